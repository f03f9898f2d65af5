"""Answers: models to JSON, errors to problem+json, and the headers that go with them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json
from starlette.responses import Response

from service.api.pages import Entity, cursor_of
from service.errors import Conflict, MethodNotAllowed, ServiceError, Unavailable

M = TypeVar("M", bound=BaseModel)
E = TypeVar("E", bound=Entity)

STATUS: Mapping[str, int] = {
    "malformed": 400,
    "unauthorized": 401,
    "session_expired": 401,
    "forbidden": 403,
    "tenant_suspended": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "in_use": 409,
    "in_progress": 409,
    "gone": 410,
    "stale_version": 412,
    "too_large": 413,
    "unsupported_media_type": 415,
    "invalid_input": 422,
    "key_reused": 422,
    "precondition_required": 428,
    "rate_limited": 429,
    "internal": 500,
    "read_only": 503,
    "unavailable": 503,
    "commit_unknown": 503,
    "timeout": 504,
}
"""The one table from an error's code to its HTTP status."""

_INTERNAL = "Something went wrong on our side."


class Answer(Response):
    """JSON that is rendered already; `code` is the error's code in a problem document."""

    media_type = "application/json"
    code = ""


def entity(model: type[M], row: M, status: int = 200, *, location: str | None = None) -> Answer:
    """One entity as `model` shows it (columns of a subclass are left out), with its version as ETag."""
    version = getattr(row, "version", None)
    headers = {} if version is None else {"ETag": f'"{version}"'}
    if location is not None:
        headers["Location"] = location
    return Answer(model.__pydantic_serializer__.to_json(row), status, headers)


def page(items: TypeAdapter[list[E]], rows: list[E], limit: int) -> Answer:
    """One page of a list; `rows` holds one more than `limit` when there is a next page.

    The weak ETag is of the answer itself.
    """
    following = b"null"
    if len(rows) > limit:
        rows = rows[:limit]
        following = b'"' + cursor_of(rows[-1]).encode() + b'"'
    body = b'{"items":' + items.dump_json(rows) + b',"next":' + following + b"}"
    return Answer(body, headers={"ETag": f'W/"{hashlib.sha256(body).hexdigest()[:24]}"'})


def unmodified(answer: Response, if_none_match: Sequence[str]) -> bool:
    """Whether the client holds this answer already (weak comparison, RFC 9110)."""
    if not if_none_match or answer.status_code != 200:
        return False
    etag = answer.headers.get("etag")
    if etag is None:
        return False
    held = [tag.strip().removeprefix("W/") for header in if_none_match for tag in header.split(",")]
    return etag.removeprefix("W/") in held or held == ["*"]


def document(content: Any, status: int = 200) -> Answer:
    """A small JSON document that is no entity."""
    return Answer(to_json(content), status)


def nothing() -> Response:
    """204."""
    return Response(status_code=204)


def problem(error: Exception, request_id: str) -> Answer:
    """An error as application/problem+json (RFC 9457). What is not ours to explain is `internal`."""
    known = error if isinstance(error, ServiceError) else None
    code = known.code if known is not None and known.code in STATUS else "internal"
    status = STATUS[code]
    content: dict[str, Any] = {
        "type": f"urn:quarry:error:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": known.message if known is not None and code != "internal" else _INTERNAL,
        "request_id": request_id,
    }
    headers: dict[str, str] = {}
    if known is not None and (known.errors or code == "invalid_input"):
        content["errors"] = [{"field": each.field, "message": each.message} for each in known.errors]
    if isinstance(known, Conflict) and known.field is not None:
        content["field"] = known.field
    if isinstance(known, MethodNotAllowed):
        headers["Allow"] = ", ".join(known.allowed)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (429, 503):
        headers["Retry-After"] = str(getattr(known, "retry_after", Unavailable.retry_after))
    answer = Answer(to_json(content), status, headers, media_type="application/problem+json")
    answer.code = code
    return answer
