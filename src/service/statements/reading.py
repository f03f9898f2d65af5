"""Makes row models from asyncpg records, as fast as is safe.

If a model has only plain types and no validators, only the first result of its statement in a process is validated, in full
and strictly. Later results are not validated, because the database's types and constraints guarantee them. Rows of all other
models are always validated.
"""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel

from service.statements.rows import Row
from service.tenancy.binding import Binding

M = TypeVar("M", bound=Row)

_PLAIN: frozenset[Any] = frozenset(
    {str, int, bool, float, bytes, UUID, dt.datetime, dt.date, dt.timedelta, IPv4Address, IPv6Address, type(None)}
)

# Setters of the four slots of a pydantic instance. They bypass pydantic's check that the model is frozen.
_PLACE_VALUES = BaseModel.__dict__["__dict__"].__set__
_PLACE_FIELDS_SET = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_PLACE_EXTRA = BaseModel.__dict__["__pydantic_extra__"].__set__
_PLACE_PRIVATE = BaseModel.__dict__["__pydantic_private__"].__set__


def reader(model: type[M], aggregate: str = "") -> Callable[[Sequence[Any], Binding], list[M]]:
    """A function that makes instances of `model` from the asyncpg records of a result. It raises pydantic's ValidationError.

    It decrypts personal data of `aggregate` with the binding's keys; a value that can't be decrypted becomes UNDECIPHERABLE.
    """
    validate = model.model_validate
    if model.personal:
        columns = {name: f"{aggregate}.{name}" for name in model.personal}

        def read_personal(records: Sequence[Any], binding: Binding) -> list[M]:
            rows = []
            for record in records:
                values = dict(record)
                for name, column in columns.items():
                    if (value := values[name]) is not None:
                        values[name] = binding.shown(value, column, values["id"])
                rows.append(validate(values))
            return rows

        return read_personal
    if not is_plain(model):
        return lambda records, _: [validate(dict(record)) for record in records]

    new = model.__new__
    # All rows share this set. That is safe: rows are frozen, and copying a row copies the set.
    fields = set(model.model_fields)
    keys: tuple[str, ...] | None = None

    def read(records: Sequence[Any], _: Binding) -> list[M]:
        nonlocal keys
        if not records:
            return []
        names = tuple(records[0].keys())
        if names != keys:
            # These are not the columns of the last result (another variant), or this is the first result. If they are
            # exactly the model's fields, later results with these columns are not validated.
            validated = [validate(dict(record), strict=True) for record in records]
            keys = names if fields.issuperset(names) and len(names) == len(fields) else None
            return validated
        rows = []
        for record in records:
            row = new(model)
            _PLACE_VALUES(row, dict(zip(names, record.values(), strict=False)))
            _PLACE_FIELDS_SET(row, fields)
            _PLACE_EXTRA(row, None)
            _PLACE_PRIVATE(row, None)
            rows.append(row)
        return rows

    return read


def is_plain(model: type[Row]) -> bool:
    """Whether validation by the model would leave asyncpg's values as they are."""
    decorators = model.__pydantic_decorators__
    if decorators.field_validators or decorators.model_validators or decorators.validators:
        return False
    return all(not field.metadata and _is_plain_type(field.annotation) for field in model.model_fields.values())


def _is_plain_type(annotation: Any) -> bool:
    if annotation in _PLAIN:
        return True
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return True
    if origin in (typing.Union, types.UnionType):
        return all(_is_plain_type(member) for member in typing.get_args(annotation))
    return origin is list and all(_is_plain_type(member) for member in typing.get_args(annotation))
