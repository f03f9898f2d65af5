"""The types of fields in bodies and query strings: the values that each accepts, and the messages for other values."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, to_json
from pydantic_core.core_schema import no_info_after_validator_function

from service import texts
from service.api.currencies import CURRENCIES

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})\Z")
_EMAIL = r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)*"
_URL = r"[Hh][Tt][Tt][Pp][Ss]?://[^\s/?#]\S*"
_USERNAME = r"[a-z0-9._]{3,50}"
_PHONE = r"\+[1-9][0-9]{6,14}"
_OBJECT_BYTES = 64 * 1024
SHORTEST_PASSWORD = 10
"""The least number of characters in a password."""


def _printable(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("control characters are not allowed")
    return text


def _single_line(text: str) -> str:
    if _LINE_CONTROL.search(text):
        raise ValueError("control characters are not allowed")
    return text


def _visible(text: str, *, lines: bool = False) -> str:
    """The text in Unicode's composed form (NFC), so that letters that look the same compare equal.

    Raises ValueError if a character is invisible. With `lines`, line breaks and tabs are allowed.
    """
    if (char := texts.invisible(text, lines=lines)) is not None:
        raise ValueError(f"the invisible character U+{ord(char):04X} is not allowed")
    return texts.composed(text)


def _name(text: str) -> str:
    if texts.is_blank(text):
        raise ValueError("this has no visible character")
    return _visible(text)


def _address(text: str) -> str:
    return texts.email_address(_visible(text))


def _host_name(text: str) -> str:
    return texts.host_name(_visible(text))


@dataclass(frozen=True)
class _Checked:
    """Validates a text in an annotation. `check` returns the text or raises ValueError; `pattern` describes the check in the JSON
    schema.
    """

    check: Callable[[str], str]
    pattern: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": self.pattern}


def _matching(pattern: str, message: str) -> _Checked:
    """A check that a text matches a pattern; `message` is the error. A type with this check has to strip white space before,
    because the JSON schema allows white space around the text.
    """
    compiled = re.compile(rf"(?:{pattern})\Z")

    def check(text: str) -> str:
        if not compiled.match(_single_line(text)):
            raise ValueError(message)
        return text

    return _Checked(check, rf"^\s*(?:{pattern})\s*$")


def _currency(text: str) -> str:
    if text not in CURRENCIES:
        raise ValueError("give the three capital letters of an ISO 4217 currency, such as USD")
    return text


def _calendar_day(value: object) -> date:
    # Pydantic would also accept a number, as seconds since 1970.
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError("give a date as YYYY-MM-DD")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("there is no such day") from None


def _moment(value: object) -> datetime:
    # Pydantic would also accept a number, as a count of seconds since 1970.
    if not isinstance(value, str) or not _MOMENT.match(value):
        raise ValueError("give a moment as 2030-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("there is no such moment") from None


def _with_plus(value: object) -> object:
    # In a query string, a plus that is not written as %2B means a space. So a space before a phone number is taken for its plus.
    return f"+{value[1:]}" if isinstance(value, str) and value.startswith(" ") else value


def _not_to_come(day: date) -> date:
    if day > datetime.now(UTC).date():
        raise ValueError("this day is still to come")
    return day


def _storable(value: Any) -> Any:
    """Check that the database can store a JSON value, and return the value. Raises ValueError for control characters (except tabs
    and line breaks) and infinite numbers.
    """
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


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    """Return the object, or raise ValueError if it has more than 64 KiB as JSON.

    The database has a CHECK with the same limit. But it would first merge the object with the stored one, which takes long for a
    large object.
    """
    if len(to_json(value)) > _OBJECT_BYTES:
        raise ValueError("this has more than 64 KiB")
    return value


_PRINTED = r"[^\x00-\x1f\x7f-\x9f]"
_LINE = _Checked(_single_line, rf"^{_PRINTED}*[^\s\x00-\x1f\x7f-\x9f]{_PRINTED}*$")
_LINES = _Checked(_printable, r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$")

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), _LINE, AfterValidator(_name)
]
LongText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=10_000),
    _LINES,
    AfterValidator(functools.partial(_visible, lines=True)),
]
Url = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2_000),
    _matching(_URL, "give an address such as https://example.com/page"),
]
Currency = Annotated[str, AfterValidator(_currency), WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$"})]
MinorUnits = Annotated[int, Field(ge=0, lt=2**53, strict=True)]
Day = Annotated[date, PlainValidator(_calendar_day, json_schema_input_type=date)]
Moment = Annotated[datetime, PlainValidator(_moment, json_schema_input_type=datetime)]
PastDay = Annotated[Day, AfterValidator(_not_to_come)]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, min_length=3, max_length=320),
    _matching(_EMAIL, "give an address such as name@example.com"),
    AfterValidator(_address),
]
Username = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    _matching(_USERNAME, "give 3 to 50 of lower-case letters, digits, dot and underscore"),
]
Phone = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    _matching(_PHONE, "give a number in E.164 form, such as +14155550123"),
]
PhoneFilter = Annotated[Phone, BeforeValidator(_with_plus)]
DocumentReference = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000), _LINE]
NicheIds = Annotated[list[UUID], Field(max_length=50)]
HostName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=253),
    _LINE,
    AfterValidator(_host_name),
]
Password = Annotated[
    str, StringConstraints(min_length=SHORTEST_PASSWORD, max_length=1_000), _Checked(_single_line, rf"^{_PRINTED}*$")
]
JsonObject = Annotated[dict[str, Any], AfterValidator(_storable), AfterValidator(_bounded)]
