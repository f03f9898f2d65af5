"""Input: bodies, queries and preconditions, read before any statement runs; what is wrong with them is kept and raised
only after who asks has been settled (401 and 403 come first).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.requests import ClientDisconnect, Request

from service.errors import FieldError, InvalidInput, Malformed, ServiceError, TooLarge, UnsupportedMediaType

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)

_REPORTED = 50
"""How many wrong fields an answer names; more of them are no help."""
_NAME_SHOWN = 200
_LENGTH_DIGITS = 18


class Body(BaseModel):
    """A request's body: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def example(**fields: Any) -> ConfigDict:
    """A body's configuration with an example for the documentation; a test sends each of them."""
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [fields]})


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


async def read_bytes(request: Request[Any], limit: int) -> bytes | ServiceError:
    """The body, or why it can't be had; `limit` in bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > _LENGTH_DIGITS or int(declared) > limit):
        return TooLarge()
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                return TooLarge()
            chunks.append(chunk)
    except ClientDisconnect:
        return Malformed()
    return b"".join(chunks)


def parse_body(request: Request[Any], raw: bytes | ServiceError, model: type[B]) -> Parsed[B]:
    """The JSON body as `model`."""
    if isinstance(raw, ServiceError):
        return Parsed(error=raw)
    try:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type not in ("application/json", "application/merge-patch+json"):
            raise UnsupportedMediaType
        _check_json(raw)
        return Parsed(_validated(lambda: model.model_validate_json(raw, strict=True)))
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
