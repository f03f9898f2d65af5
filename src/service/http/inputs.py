"""Input: bodies and query strings. The bytes of a body are read before any statement runs, up to a limit.

Bodies and query strings are parsed when a handler asks for the value, after the caller has been admitted. So the errors 401 and
403 take precedence over errors of the input, and the input of a refused caller is never parsed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect, Request

from service.errors import FieldError, InvalidInput, Malformed, ServiceError, TooLarge, UnsupportedMediaType
from service.http import json_bounds

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)

_REPORTED = 50
"""The most wrong fields that an error answer lists."""
_NAME_SHOWN = 200
_LENGTH_DIGITS = 18


class Body(BaseModel):
    """The base of the models of bodies and query strings: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def example(**fields: Any) -> ConfigDict:
    """The model configuration of a body, with an example for the documentation. A test sends every such example."""
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [fields]})


KEPT: Any = Field(default=None)
"""The default of a patch's field whose type does not allow null: the field can be left out, but not cleared."""


class Patch(Body):
    """A merge patch (RFC 7396): an absent field keeps its value, and null clears a field whose type allows null."""

    def fields(self) -> dict[str, Any]:
        """The fields that the request contains, with their values."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Parsed(Generic[T]):
    """Input that is parsed only when `get` or `error` is first used, which is after the caller has been admitted."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._outcome: tuple[T, None] | tuple[None, ServiceError] | None = None

    @property
    def error(self) -> ServiceError | None:
        """The error that was raised by parsing the input, or None."""
        return self._settled()[1]

    def get(self) -> T:
        """The parsed input. If parsing fails, raises its error, also at each later call."""
        value, error = self._settled()
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # there is a value where there is no error

    def _settled(self) -> tuple[T, None] | tuple[None, ServiceError]:
        if self._outcome is None:
            try:
                self._outcome = self._read(), None
            except ServiceError as error:
                self._outcome = None, error
        return self._outcome


NO_BODY: Parsed[None] = Parsed(lambda: None)
"""Stands for the body of a request that has no body."""


async def read_bytes(request: Request[Any], limit: int) -> bytes | ServiceError:
    """The body, or the error that occurred while reading it; `limit` is in bytes."""
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


def parse_body(content_type: str, raw: bytes | ServiceError, model: type[B]) -> B:
    """The JSON body as `model`. If `raw` is an error, raises it. Also raises UnsupportedMediaType, Malformed, InvalidInput."""
    if isinstance(raw, ServiceError):
        raise raw
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/merge-patch+json"):
        raise UnsupportedMediaType
    json_bounds.check(raw)
    return _validated(lambda: model.model_validate_json(raw, strict=True))


def parse_query(pairs: Sequence[tuple[str, str]], model: type[B]) -> B:
    """The query string as `model`; a parameter given twice is an error. Raises InvalidInput."""
    repeated = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
    if repeated:
        raise InvalidInput(errors=tuple(_wrong(name, "given more than once") for name in repeated[:_REPORTED]))
    return _validated(lambda: model.model_validate_strings(dict(pairs)))


def _wrong(field: str, message: str) -> FieldError:
    return FieldError(field[:_NAME_SHOWN], message)


def _validated(validate: Callable[[], B]) -> B:
    """The validated model. Raises InvalidInput, which lists the wrong fields, or Malformed if the body is not JSON."""
    try:
        return validate()
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        if details[0]["type"] == "json_invalid":
            raise Malformed("The body is not valid JSON.") from None
        raise InvalidInput(
            errors=tuple(
                _wrong(".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, "))
                for each in details[:_REPORTED]
            )
        ) from None
