"""/openapi.json and /docs; tests/arranging/documented.py compares every answer of every test with the document."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import jsonschema_rs
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api
from arranging.documented import DOCUMENT, surprise_of
from service.accounts.permissions import allows
from service.api.routes import ENDPOINTS
from service.database.database import Database
from service.http.answers import STATUS
from service.work import Work

SERVED = [endpoint for endpoint in ENDPOINTS if endpoint.permission != "operator"]
Operation = dict[str, Any]


def operations() -> Iterator[tuple[str, str, Operation]]:
    """Method, path and operation, what makes something before what needs it."""
    order = {"post": 0, "put": 1, "patch": 2, "get": 3, "delete": 4}
    for path in sorted(DOCUMENT["paths"], key=lambda path: (path.count("/"), path)):
        for method in sorted(DOCUMENT["paths"][path], key=order.__getitem__):
            yield method, path, DOCUMENT["paths"][path][method]


def references(node: Any) -> Iterator[str]:
    """Every $ref below `node`."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


async def test_anyone_reads_the_document(api: Api) -> None:
    answer = await (await api.client()).get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == json.loads(json.dumps(DOCUMENT))


def test_it_is_an_openapi_document() -> None:
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(json.loads(json.dumps(DOCUMENT)))] == []
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"})


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 30
    for reference in found:
        node = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    used = {reference.rpartition("/")[2] for reference in found}
    assert set(DOCUMENT["components"]["schemas"]) <= used


def test_every_route_is_there_with_who_may_use_it() -> None:
    routes = {(method.upper(), path) for method, path, _ in operations()}
    assert routes == {(endpoint.method, endpoint.path) for endpoint in SERVED}
    for endpoint in SERVED:
        operation = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
        if endpoint.permission == "anyone":
            assert (operation["security"], "x-role" in operation) == ([], False)
        else:
            assert (operation["security"], operation["x-permission"]) == ([{"bearer": []}], endpoint.permission)
            assert allows(operation["x-role"], endpoint.permission)
        assert operation["summary"].endswith(".")


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert [name for name, times in Counter(names).items() if times > 1] == []
    for _, _, operation in operations():
        for answer in operation["responses"].values():
            assert {link["operationId"] for link in answer.get("links", {}).values()} <= set(names)


def test_every_path_parameter_is_declared_and_every_code_has_its_status() -> None:
    for method, path, operation in operations():
        declared = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
        assert declared == re.findall(r"{(\w+)}", path), (method, path)
        for status, answer in operation["responses"].items():
            for code in re.findall(r"`(\w+)`", answer["description"]) if int(status) >= 400 else ():
                assert STATUS[code] == int(status)


def test_every_body_has_an_example_that_fits_its_schema() -> None:
    for method, path, operation in operations():
        if body := operation.get("requestBody"):
            media = body["content"]["application/json"]
            schema = {**media["schema"], "components": DOCUMENT["components"]}
            jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(media["example"])
        else:
            assert method != "patch", path


async def test_every_example_is_accepted(api: Api, acme: NewTenant, database: Database) -> None:
    client, made = await api.client(acme), {"/v1/users": str(acme.owner.id)}
    examples = {path: DOCUMENT["paths"][path]["post"] for path in ("/v1/sessions", "/v1/otps/verify")}
    bodies = {path: each["requestBody"]["content"]["application/json"]["example"] for path, each in examples.items()}
    change = {"password": bodies["/v1/sessions"]["password"], "current_password": PASSWORD}
    assert (await client.put(f"/v1/users/{acme.owner.id}/password", json=change)).status_code == 204

    def place(match: re.Match[str]) -> str:
        """The row that a path parameter names: of the list before it, or of the noun that it is called by."""
        return made.get(match.string[: match.start() - 1]) or made[f"/v1/{match.group(1).removesuffix('_id')}s"]

    for method, path, operation in operations():
        if (body := operation.get("requestBody")) is None:
            continue
        if path == "/v1/otps/verify":
            async with Work(database, acme.id) as work:
                await work.otps.create(**bodies[path], lifetime=timedelta(minutes=1))
        address = re.sub(r"{(\w+)}", place, re.sub(r"{campaign_id}", made.get("/v1/campaigns", ""), path))
        example = body["content"]["application/json"]["example"]
        answer = await client.request(method, address, json=example, headers={"If-Match": "*"})
        assert answer.status_code in (200, 201, 202, 204), (method, path, answer.text)
        if method == "post" and answer.status_code == 201:
            made[path] = made[address] = answer.json().get("id", "")


def test_what_is_not_documented_would_be_noticed() -> None:
    problem = b'{"type":"x:y","title":"x","status":403,"code":"forbidden","detail":"x","request_id":"1"}'
    page, refusal = {"request-id": "1", "etag": "x"}, {"request-id": "1", "content-type": "application/problem+json"}
    page["content-type"] = "application/json"
    items = b'{"items":[],"next":null}'
    for status, headers, body in (
        (418, page, items), (200, {**page, "x-secret": "1"}, items), (200, page, b"{}"), (200, refusal, items),
        (200, {**page, "content-type": "text/html"}, items), (304, page, b"x"),
        (403, refusal, problem.replace(b"forbidden", b"gone")), (403, {"content-type": "text/html"}, problem),
    ):  # fmt: skip
        assert surprise_of("get", "/v1/campaigns", status, headers, body), (status, headers, body)
    assert not surprise_of("get", "/v1/campaigns", 200, page, items)
    assert not surprise_of("get", "/v1/campaigns", 403, refusal, problem)


class Page(HTMLParser):
    """The links, ids and tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.ids: Counter[str] = Counter()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = {name: value or "" for name, value in attrs}
        assert not [name for name in given if name.startswith("on")]
        self.links |= {given[name] for name in ("href", "src", "action", "data", "srcset") if name in given}
        self.ids.update([given["id"]] if "id" in given else [])


async def test_people_read_the_same_without_scripts_and_outside_addresses(api: Api) -> None:
    answer = await (await api.client()).get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    page = Page(answer.text)
    assert not page.tags & {"script", "link", "iframe", "img", "object", "embed", "form", "base"}
    assert {link for link in page.links if not link.startswith("#")} == {"/openapi.json"}
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert [id for id, times in page.ids.items() if times > 1] == []
    assert "url(" not in answer.text
    for _, path, operation in operations():
        assert operation["operationId"] in page.ids, path
