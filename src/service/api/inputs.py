"""Input: bodies, queries and preconditions, read before any statement runs; what is wrong with them is kept and raised
only after who asks has been settled (401 and 403 come first).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Protocol, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, ValidationError
from starlette.requests import Request

from service.errors import (
    FieldError,
    InvalidInput,
    Malformed,
    PreconditionRequired,
    ServiceError,
    StaleVersion,
    TooLarge,
    UnsupportedMediaType,
)

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ETAG = re.compile(r'(?:W/)?"(\d{1,9})"\Z')


def _printable(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("control characters are not allowed")
    return text


def _single_line(text: str) -> str:
    if _LINE_CONTROL.search(text):
        raise ValueError("control characters are not allowed")
    return text


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_single_line)
]
LongText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000), AfterValidator(_printable)
]
Url = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2_000, pattern=r"^https?://[^\s/?#]+[^\s]*$"),
    AfterValidator(_single_line),
]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
MinorUnits = Annotated[int, Field(ge=0, lt=2**53, strict=True)]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=320, pattern=r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)*$"),
    AfterValidator(_single_line),
]
Password = Annotated[str, StringConstraints(min_length=10, max_length=1_000), AfterValidator(_single_line)]


class Body(BaseModel):
    """A request's body: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


KEPT: Any = Field(default=None)
"""The default of a field that can be left out of a patch but not cleared: null is not of its type."""


class Patch(Body):
    """A merge patch (RFC 7396): a field that is absent keeps its value, null clears it where its type allows null."""

    def fields(self) -> dict[str, Any]:
        """The fields that were given."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Parsed(Generic[T]):
    """Input that was read: its value, or what is wrong with it."""

    def __init__(self, value: T | None = None, error: ServiceError | None = None) -> None:
        self._value = value
        self.error = error

    def get(self) -> T:
        """The value. Raises what is wrong with it."""
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]  # there is a value where there is no error


NO_BODY: Parsed[None] = Parsed()
"""The input of a request that has none."""


async def read_body(request: Request[Any], model: type[B], limit: int) -> Parsed[B]:
    """The JSON body as `model`; `limit` in bytes."""
    try:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        raw = await _read_bytes(request, limit)
        if content_type not in ("application/json", "application/merge-patch+json"):
            raise UnsupportedMediaType
        return Parsed(_validated(lambda: model.model_validate_json(raw, strict=True)))
    except ServiceError as error:
        return Parsed(error=error)


def read_query(request: Request[Any], model: type[B]) -> Parsed[B]:
    """The query string as `model`; a parameter given twice is an error."""
    try:
        pairs = request.query_params.multi_items()
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise InvalidInput.of(name, "given more than once")
        return Parsed(_validated(lambda: model.model_validate_strings(dict(pairs))))
    except ServiceError as error:
        return Parsed(error=error)


def _validated(validate: Callable[[], B]) -> B:
    """Raises Malformed for what is no JSON, InvalidInput that names every wrong field otherwise."""
    try:
        return validate()
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        if any(each["type"] == "json_invalid" for each in details):
            raise Malformed("The body is not valid JSON.") from None
        raise InvalidInput(
            errors=tuple(
                FieldError(".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, "))
                for each in details
            )
        ) from None


async def _read_bytes(request: Request[Any], limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge
        chunks.append(chunk)
    return b"".join(chunks)


class Cursor(BaseModel):
    """The last row of a page: where the next one begins."""

    model_config = ConfigDict(frozen=True)

    created_at: datetime
    id: UUID

    def encode(self) -> str:
        """As opaque text."""
        microseconds = round(self.created_at.timestamp() * 1_000_000)
        return base64.urlsafe_b64encode(microseconds.to_bytes(8, "big", signed=True) + self.id.bytes).decode()


def decode_cursor(text: object) -> Cursor:
    """A cursor from its text. Raises ValueError."""
    try:
        raw = base64.b64decode(str(text), altchars=b"-_", validate=True)
        if len(raw) != 24:
            raise ValueError
        microseconds = int.from_bytes(raw[:8], "big", signed=True)
        seconds, fraction = divmod(microseconds, 1_000_000)
        return Cursor(
            created_at=datetime.fromtimestamp(seconds, UTC).replace(microsecond=fraction), id=UUID(bytes=raw[8:])
        )
    except (binascii.Error, ValueError, OverflowError, OSError):
        raise ValueError("this is not a cursor of this list") from None


class Entity(Protocol):
    """What a list is ordered by."""

    @property
    def created_at(self) -> datetime: ...
    @property
    def id(self) -> UUID: ...


def cursor_of(row: Entity) -> str:
    """The cursor that continues after `row`."""
    return Cursor(created_at=row.created_at, id=row.id).encode()


class PageQuery(Body):
    """What every list takes."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    after: Annotated[Cursor | None, PlainValidator(decode_cursor)] = None

    def arguments(self) -> dict[str, Any]:
        """The arguments of a repository's `page`: one row more than asked for tells whether there is a next page."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"limit", "after"}}
        if self.after is not None:
            given |= {"after_created_at": self.after.created_at, "after_id": self.after.id}
        return given | {"limit": self.limit + 1}


class Precondition:
    """If-Match: the version that the caller means to change."""

    def __init__(self, header: str | None) -> None:
        match = _ETAG.match(header.strip()) if header is not None else None
        self.is_missing = header is None
        self.is_any = header is not None and header.strip() == "*"
        self.version = int(match.group(1)) if match else None

    @property
    def is_plain(self) -> bool:
        """Whether the statement's own version predicate says it all."""
        return self.is_any or self.version is not None

    def check(self, version: int) -> None:
        """Against the row's version: raises PreconditionRequired or StaleVersion."""
        if self.is_missing:
            raise PreconditionRequired
        if not self.is_any and self.version != version:
            raise StaleVersion
