"""The input of requests: bodies and query strings.

The bytes of a body are read before any SQL statement runs, up to a limit. Bodies and query strings are parsed later, when a
handler asks for the value: after the caller has been admitted. So a caller who is not admitted gets the error 401 or 403 even
if the input is wrong, and the input is not parsed.
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
"""An error answer lists at most this many wrong fields."""
_NAME_SHOWN = 200
_LENGTH_DIGITS = 18


class Body(BaseModel):
    """The base class for models of bodies and of query strings. A field that the model does not have is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def example(**fields: Any) -> ConfigDict:
    """The model configuration of a body. `fields` are an example body for the documentation; a test sends every example."""
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [fields]})


KEPT: Any = Field(default=None)
"""The default of those fields of a Patch that can't be cleared: a request may leave them out, but may not set them to null."""


class Patch(Body):
    """The base class for bodies of PATCH (a merge patch, RFC 7396): a field that is left out keeps its value, and null clears a
    field whose type allows null.
    """

    def fields(self) -> dict[str, Any]:
        """The fields that the request contains, with their values."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Parsed(Generic[T]):
    """Input that is parsed only when a handler first uses `get` or `error`, normally after the caller has been admitted."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._outcome: tuple[T, None] | tuple[None, ServiceError] | None = None

    @property
    def error(self) -> ServiceError | None:
        """The error that parsing the input has raised; None if the input is valid."""
        return self._settled()[1]

    def get(self) -> T:
        """The parsed input. Raises the error of parsing if the input is not valid; a second call raises the same error again."""
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
"""For functions that need the parsed body of a request, such as `preconditions.expected`, if the request has no body."""


async def read_bytes(request: Request[Any], limit: int) -> bytes | ServiceError:
    """The bytes of the body. Errors are returned, not raised: TooLarge (more than `limit` bytes) or Malformed (disconnected)."""
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
    """An instance of `model` from a JSON body. `raw` is the result of `read_bytes`; if it is an error, the error is raised.

    Also raises UnsupportedMediaType, Malformed and InvalidInput.
    """
    if isinstance(raw, ServiceError):
        raise raw
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/merge-patch+json"):
        raise UnsupportedMediaType
    json_bounds.check(raw)
    return _validated(lambda: model.model_validate_json(raw, strict=True))


def parse_query(pairs: Sequence[tuple[str, str]], model: type[B]) -> B:
    """An instance of `model` from the names and values of a query string. Raises InvalidInput, also for a name given twice."""
    repeated = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
    if repeated:
        raise InvalidInput(errors=tuple(_wrong(name, "given more than once") for name in repeated[:_REPORTED]))
    return _validated(lambda: model.model_validate_strings(dict(pairs)))


def _wrong(field: str, message: str) -> FieldError:
    return FieldError(field[:_NAME_SHOWN], message)


def _validated(validate: Callable[[], B]) -> B:
    """The result of `validate`. Instead of pydantic's error, raises InvalidInput with the wrong fields, or Malformed if the body
    is not JSON.
    """
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
