"""HTTP responses, called answers in this project: models become JSON, errors become problem+json, and headers are added.

A handler is a function that serves a route. Its return annotation names the class of its answer: `Page[Campaign]`,
`Created[Campaign]`, `Nothing`. The OpenAPI document is generated from these annotations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json
from starlette.responses import Response

from service.errors import Conflict, MethodNotAllowed, ServiceError, Unavailable
from service.http.pages import cursor_of

M = TypeVar("M", bound=BaseModel)
E = TypeVar("E", bound="Entity[Any]")

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
"""The HTTP status of each error code."""

_INTERNAL = "Something went wrong on our side."


class Answer(Response):
    """An HTTP response whose body is a JSON document."""

    media_type: str | None = "application/json"
    status: ClassVar[int] = 200
    # The error code if this answer is a problem document (RFC 9457), otherwise empty.
    code = ""


class Entity(Answer, Generic[M]):
    """One object: an entity (such as a campaign) as it is after the request, or the result of an operation."""

    # The entity's id and version, from which `tag` makes the ETag; None if the entity has no version.
    tagged: tuple[UUID, int] | None = None

    def tag(self, tenant: UUID) -> None:
        """Set the header ETag, made from the entity's version, its id and `tenant`. Without a version, no header is set."""
        if self.tagged is not None:
            id, version = self.tagged
            self.headers["ETag"] = f'"{version}.{mark(tenant, id)}"'


class Created(Entity[M]):
    """The entity that was created."""

    status = 201


class Page(Answer, Generic[M]):
    """One page of a list: its `items`, and `next`, the cursor of the next page (null on the last page)."""


class Accepted(Answer):
    """The request was accepted; the answer has no body."""

    media_type = None
    status = 202


class Nothing(Answer):
    """The request was carried out; the answer has no body."""

    media_type = None
    status = 204


class Text(Answer):
    """An answer with text that is not JSON, such as HTML."""


def entity(model: type[M], row: M) -> Entity[M]:
    """An answer with `row`, serialized as `model`. If `row` is of a subclass of `model`, the subclass's fields are left out."""
    return _tagged(Entity(model.__pydantic_serializer__.to_json(row), Entity.status), row)


def created(model: type[M], row: M, location: str | None = None) -> Created[M]:
    """An answer with a new entity. `location` is the entity's path for the header Location; None: no such header."""
    headers = {} if location is None else {"Location": location}
    return _tagged(Created(model.__pydantic_serializer__.to_json(row), Created.status, headers), row)


def page(
    items: TypeAdapter[list[M]],
    rows: list[M],
    limit: int,
    cursor: Callable[[Any], str] = cursor_of,
    *,
    etag: str | None = None,
) -> Page[M]:
    """An answer with one page of a list: the first `limit` of the `rows`. If there are more rows, there is a next page.

    `cursor` makes the cursor of the next page from the last row of this page. `items` serializes the rows. The ETag is `etag`
    if that is given (numbered_pages.py gives one), otherwise a weak ETag made from a hash of the body.
    """
    following = b"null"
    if len(rows) > limit:
        rows = rows[:limit]
        following = b'"' + cursor(rows[-1]).encode() + b'"'
    return page_of(b'{"items":' + items.dump_json(rows) + b',"next":' + following + b"}", etag)


def page_of(body: bytes, etag: str | None) -> Page[Any]:
    """An answer with one page of a list, whose body is ready. See `page` for the ETag."""
    return Page(body, headers={"ETag": etag or f'W/"{hashlib.sha256(body).hexdigest()[:24]}"'})


def keep(answer: Response, *, is_secret: bool) -> None:
    """Set Cache-Control, unless the answer already has it, and add Authorization to Vary.

    A secret answer must not be stored. Any other answer may be stored by the client, but not by shared caches, and the client
    has to revalidate it before each use.
    """
    if "cache-control" not in answer.headers:
        answer.headers["Cache-Control"] = "no-store" if is_secret else "private, no-cache"
    answer.headers.add_vary_header("Authorization")


def not_modified(etag: str) -> Page[Any]:
    """An answer with status 304, without a body: the client already has what this ETag stands for."""
    unmodified: Page[Any] = Page(status_code=304, headers={"ETag": etag})
    del unmodified.headers["content-type"]
    return unmodified


def accepted() -> Accepted:
    """An answer with status 202 and no body."""
    return Accepted(status_code=Accepted.status)


def nothing() -> Nothing:
    """An answer with status 204 and no body."""
    return Nothing(status_code=Nothing.status)


def unmodified(answer: Response, if_none_match: Sequence[str]) -> bool:
    """Whether the client already has this answer: the status is 200, and If-None-Match contains the answer's ETag or is `*`."""
    if not if_none_match or answer.status_code != 200:
        return False
    etag = answer.headers.get("etag")
    return etag is not None and holds(etag, if_none_match)


def holds(etag: str, if_none_match: Sequence[str]) -> bool:
    """Whether the values of If-None-Match contain `etag` (by weak comparison, RFC 9110), or are just `*`."""
    held = [tag.strip().removeprefix("W/") for header in if_none_match for tag in header.split(",")]
    return etag.removeprefix("W/") in held or held == ["*"]


def problem(error: Exception, request_id: str) -> Answer:
    """The answer to an error, as application/problem+json (RFC 9457).

    The answer's error code is that of the exception. It is `internal` for an exception that is no ServiceError, or whose code
    is not in STATUS.
    """
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


def mark(tenant: UUID, row: UUID) -> str:
    """The part of an ETag that identifies the tenant and the row: 16 hexadecimal digits.

    A URL such as /v1/tenant shows users of different tenants different rows, and these may have the same version. A browser
    sends the ETag that it stored for a URL even after a different user has signed in. Without this part, that user could get
    the answer 304, and the browser would show the row that the former user saw.
    """
    return hashlib.sha256(tenant.bytes + row.bytes).hexdigest()[:16]


def _tagged(answer: E, row: BaseModel) -> E:
    version = getattr(row, "version", None)
    if version is not None:
        answer.tagged = (row.id, version)  # type: ignore[attr-defined]  # every row model with a version has an id
    return answer
