"""Input: bodies, queries and preconditions, read before any statement runs; what is wrong with them is kept and raised
only after who asks has been settled (401 and 403 come first).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from service.errors import FieldError, InvalidInput, Malformed, ServiceError, TooLarge, UnsupportedMediaType

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)*\Z")
_URL = re.compile(r"https?://[^\s/?#]\S*\Z", re.IGNORECASE)
_CURRENCY = re.compile(r"[A-Z]{3}\Z")
SHORTEST_PASSWORD = 10
"""Characters."""
_REPORTED = 50
"""How many wrong fields an answer names; more of them are no help."""
_NAME_SHOWN = 200
_LENGTH_DIGITS = 18


def _printable(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("control characters are not allowed")
    return text


def _single_line(text: str) -> str:
    if _LINE_CONTROL.search(text):
        raise ValueError("control characters are not allowed")
    return text


def _matching(pattern: re.Pattern[str], message: str) -> AfterValidator:
    """A check whose message says what is wanted, which a pattern does not."""

    def check(text: str) -> str:
        if not pattern.match(text):
            raise ValueError(message)
        return text

    return AfterValidator(check)


def _calendar_day(value: object) -> date:
    # Pydantic would take seconds since 1970 for a date, too.
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError("give a date as YYYY-MM-DD")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("there is no such day") from None


def _storable(value: Any) -> Any:
    """A JSON value that the database can hold: no NUL or other control character, no number beyond all bounds."""
    if isinstance(value, str):
        _printable(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a number is too large")
    elif isinstance(value, dict):
        for name, member in value.items():
            _printable(name)
            _storable(member)
    elif isinstance(value, list):
        for member in value:
            _storable(member)
    return value


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_single_line)
]
LongText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000), AfterValidator(_printable)]
Url = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2_000),
    AfterValidator(_single_line),
    _matching(_URL, "give an address such as https://example.com/page"),
]
Currency = Annotated[str, _matching(_CURRENCY, "give a currency's three capital letters, such as USD")]
MinorUnits = Annotated[int, Field(ge=0, lt=2**53, strict=True)]
Day = Annotated[date, PlainValidator(_calendar_day, json_schema_input_type=date)]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, min_length=3, max_length=320),
    AfterValidator(_single_line),
    _matching(_EMAIL, "give an address such as name@example.com"),
]
HostName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=253),
    AfterValidator(_single_line),
]
Password = Annotated[
    str, StringConstraints(min_length=SHORTEST_PASSWORD, max_length=1_000), AfterValidator(_single_line)
]
JsonObject = Annotated[dict[str, Any], AfterValidator(_storable)]


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
        _check_json(raw)
        return Parsed(_validated(lambda: model.model_validate_json(raw, strict=True)))
    except ClientDisconnect:
        return Parsed(error=Malformed())
    except ServiceError as error:
        return Parsed(error=error)


def read_query(request: Request[Any], model: type[B]) -> Parsed[B]:
    """The query string as `model`; a parameter given twice is an error."""
    try:
        pairs = request.query_params.multi_items()
        repeated = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
        if repeated:
            raise InvalidInput(errors=tuple(_wrong(name, "given more than once") for name in repeated[:_REPORTED]))
        return Parsed(_validated(lambda: model.model_validate_strings(dict(pairs))))
    except ServiceError as error:
        return Parsed(error=error)


def _check_json(raw: bytes) -> None:
    """Raises Malformed for what is no JSON; validation alone would let NaN and Infinity pass."""
    try:
        from_json(raw, allow_inf_nan=False, cache_strings="none")
    except ValueError:
        raise Malformed("The body is not valid JSON.") from None


def _wrong(field: str, message: str) -> FieldError:
    return FieldError(field[:_NAME_SHOWN], message)


def _validated(validate: Callable[[], B]) -> B:
    """Raises InvalidInput that names the wrong fields."""
    try:
        return validate()
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidInput(
            errors=tuple(
                _wrong(".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, "))
                for each in details[:_REPORTED]
            )
        ) from None


async def _read_bytes(request: Request[Any], limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > _LENGTH_DIGITS or int(declared) > limit):
        raise TooLarge
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge
        chunks.append(chunk)
    return b"".join(chunks)
