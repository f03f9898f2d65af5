"""Generates the OpenAPI 3.1 document from the routes, and from the models of their bodies, query strings and answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from service import positions
from service.accounts.permissions import weakest_role
from service.http.answers import Answer, Created, Entity, Page, Text
from service.http.endpoints import Endpoint
from service.http.problems import PROBLEM, problems
from service.http.streaming import EventStream

Document = dict[str, Any]

_REF = "#/components/schemas/{model}"
_PATH_ID = re.compile(r"{(\w+)}")
_DESCRIPTION = """Sign in with `POST /v1/sessions` and send the token as `Authorization: Bearer …`; it names its tenant.

Lists are pages, newest first: follow `next` with `?after=`. Changes name the version that they are meant for (`If-Match`
with the `ETag` that was read). Send an `Idempotency-Key` with a write, and repeating it is safe. Errors are
`application/problem+json` with a stable `code`."""

_EVENT: dict[str, Any] = {
    "type": "object",
    "description": "One event of the stream. Its `data` are JSON: where the stream is (`ready`), an item as of GET /v1/changes "
    "(`commit`), or why what was missed can't be told (`reset`).",
    "properties": {
        "event": {"enum": ["ready", "commit", "reset"]},
        "id": {"type": "string", "pattern": positions.PATTERN},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "id", "data"],
}


def document(endpoints: Sequence[Endpoint]) -> Document:
    """The OpenAPI document of these endpoints, without those that need an operator's token."""
    served = [endpoint for endpoint in endpoints if endpoint.permission != "operator"]
    schemas, names = _schemas(served)
    paths: dict[str, dict[str, Any]] = {}
    located = {endpoint.path for endpoint in served if endpoint.method == "GET"}
    for endpoint in served:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, names, located)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Quarry", "version": version("quarry"), "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": PROBLEM},
            "headers": _HEADERS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A session's token, or an API key."}
            },
        },
    }


Names = Mapping[Any, str]
"""Maps a model and a mode (`validation` for input, `serialization` for output) to the name of the model's schema."""


def _schemas(endpoints: Iterable[Endpoint]) -> tuple[dict[str, Any], Names]:
    """Two mappings: from names to the schemas of all bodies and answers, and from models to these names (`Names`)."""
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
    for endpoint in endpoints:
        if endpoint.contract.body is not None:
            wanted[endpoint.contract.body, "validation"] = None
        if endpoint.contract.model is not None:
            wanted[endpoint.contract.model, "serialization"] = None
    references, definitions = models_json_schema(list(wanted), ref_template=_REF)
    names = {key: reference["$ref"].rpartition("/")[2] for key, reference in references.items()}
    return {name: _plain(schema) for name, schema in definitions["$defs"].items()}, names


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A model's schema without redundant entries: titles that repeat the field's name, and null as a default."""
    fields = {
        name: {key: value for key, value in field.items() if key != "title" and (key, value) != ("default", None)}
        for name, field in schema.get("properties", {}).items()
    }
    return {**schema, "properties": fields} if fields else schema


def _operation(endpoint: Endpoint, names: Names, located: set[str]) -> dict[str, Any]:
    contract = endpoint.contract
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "tags": [endpoint.heading],
        "summary": contract.summary,
        "parameters": [*_path_parameters(endpoint.path), *_query_parameters(contract.query), *_headers(endpoint)],
        "responses": {
            str(contract.answer.status): _answer(endpoint, names, located),
            **_not_modified(endpoint),
            **problems(endpoint),
        },
        "security": [] if endpoint.permission == "anyone" else [{"bearer": []}],
    }
    if contract.description:
        operation["description"] = contract.description
    if endpoint.permission != "anyone":
        operation["x-permission"] = endpoint.permission
        operation["x-role"] = weakest_role(endpoint.permission)
    if contract.body is not None:
        schema = {"$ref": _REF.format(model=names[contract.body, "validation"])}
        examples = contract.body.model_config.get("json_schema_extra")
        media: dict[str, Any] = {"schema": schema}
        if isinstance(examples, dict) and isinstance(shown := examples.get("examples"), list):
            media["example"] = shown[0]
        kinds = ["application/json"] + (["application/merge-patch+json"] if endpoint.method == "PATCH" else [])
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(kinds, media)}
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    """The id of an operation: module and function of its handler, such as `campaigns.create`."""
    return f"{endpoint.handler.__module__.rpartition('.')[2]}.{endpoint.handler.__name__}"


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
        for name in _PATH_ID.findall(path)
    ]


def _query_parameters(query: type[BaseModel] | None) -> list[dict[str, Any]]:
    if query is None:
        return []
    schema = query.model_json_schema(mode="validation")
    return [
        {"name": name, "in": "query", "required": False, "schema": _inlined(_without_null(each), schema)}
        for name, each in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a query parameter without its title and without null, because a query string can't contain a null."""
    options = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    kept = {name: value for name, value in schema.items() if name not in ("anyOf", "default", "title")}
    if schema.get("default") is not None:
        kept["default"] = schema["default"]
    return {**kept, **options[0]} if options else kept


def _inlined(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return root["$defs"][reference.rpartition("/")[2]] if reference else schema


def _headers(endpoint: Endpoint) -> list[dict[str, Any]]:
    """The OpenAPI parameters for the request headers that an endpoint uses."""
    headers = []
    if endpoint.contract.has_precondition:
        headers.append(_header("If-Match", "The ETag of the version that is meant, or *.", "*", is_required=True))
    if endpoint.is_idempotent:
        headers.append(_header("Idempotency-Key", "Any text of yours; repeating the request with it is safe.", None))
    if endpoint.method == "GET" and _has_etag(endpoint):
        headers.append(_header("If-None-Match", "The ETag that you hold; 304 when it still is the one.", None))
    if endpoint.method == "GET" and endpoint.permission not in ("anyone", "operator"):
        headers.append(_header("Consistency", "What a write was answered with: the read sees it.", None))
    if issubclass(endpoint.contract.answer, EventStream):
        headers.append(_header("Last-Event-ID", "The id of the last event that you have; goes before ?since=.", None))
    return headers


def _header(name: str, description: str, example: str | None, *, is_required: bool = False) -> dict[str, Any]:
    # If-Match has no pattern: a malformed tag is not an error, but a tag that matches no version. The pattern of Idempotency-Key
    # is the one in idempotency.py.
    schema: dict[str, Any] = {"type": "string"}
    if name == "Idempotency-Key":
        schema["pattern"] = r"^[\x21-\x7e]{1,200}$"
    elif name == "Consistency":
        schema["pattern"] = positions.PATTERN
    shown = {} if example is None else {"example": example}
    return {
        "name": name,
        "in": "header",
        "required": is_required,
        "description": description,
        "schema": schema,
        **shown,
    }


def _answer(endpoint: Endpoint, names: Names, located: set[str]) -> dict[str, Any]:
    contract = endpoint.contract
    answer: dict[str, Any] = {"description": _described(contract.answer), "headers": _answer_headers(endpoint, located)}
    if contract.model is not None:
        schema: dict[str, Any] = {"$ref": _REF.format(model=names[contract.model, "serialization"])}
        if issubclass(contract.answer, Page):
            schema = {
                "type": "object",
                "required": ["items", "next"],
                "properties": {
                    "items": {"type": "array", "items": schema},
                    "next": {"type": ["string", "null"], "description": "The cursor of the next page, for ?after=."},
                },
            }
        answer["content"] = {"application/json": {"schema": schema}}
    elif issubclass(contract.answer, EventStream):
        answer["content"] = {"text/event-stream": {"schema": _EVENT}}
    elif issubclass(contract.answer, Text):
        answer["content"] = {"*/*": {"schema": {"type": "string"}}}
    elif contract.answer is Answer:
        answer["content"] = {"application/json": {"schema": {"type": "object"}}}
    following = f"{endpoint.path}/{{id}}"
    if contract.answer is Created and following in located:
        parents = {name: f"$request.path.{name}" for name in _PATH_ID.findall(endpoint.path)}
        module = endpoint.handler.__module__.rpartition(".")[2]
        answer["links"] = {
            "found": {"operationId": f"{module}.find", "parameters": {**parents, "id": "$response.body#/id"}}
        }
    return answer


def _described(answer: type[Answer]) -> str:
    return " ".join((answer.__doc__ or "").split())


def _answer_headers(endpoint: Endpoint, located: set[str]) -> dict[str, Any]:
    names = ["Request-Id"]
    if _has_etag(endpoint):
        names.append("ETag")
    if endpoint.contract.answer is Created and f"{endpoint.path}/{{id}}" in located:
        names.append("Location")
    if endpoint.method != "GET" and not endpoint.is_shared:
        names.append("Consistency")
    if endpoint.is_idempotent:
        names.append("Idempotency-Replayed")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _has_etag(endpoint: Endpoint) -> bool:
    """Whether the endpoint's answers have the header ETag: pages always have it, entities only if they have a version."""
    model = endpoint.contract.model
    if issubclass(endpoint.contract.answer, Page):
        return True
    return issubclass(endpoint.contract.answer, Entity) and model is not None and "version" in model.model_fields


def _not_modified(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.method == "GET" and _has_etag(endpoint):
        headers = {name: {"$ref": f"#/components/headers/{name}"} for name in ("Request-Id", "ETag")}
        return {"304": {"description": "You hold it already.", "headers": headers}}
    return {}


_HEADERS: dict[str, Any] = {
    name: {"description": description, "schema": {"type": "string"}}
    for name, description in {
        "Request-Id": "The request's id, yours or ours; name it when you ask for help.",
        "ETag": "The version and a mark of the row, for If-Match and If-None-Match.",
        "Location": "The address of what was made.",
        "Consistency": "`<epoch>-<number>` of the change; a read that sends it back sees the change.",
        "Idempotency-Replayed": "`true` when this answer was given before.",
    }.items()
}
