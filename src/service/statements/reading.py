"""Makes instances of row models from asyncpg records.

If a model has only plain types and no validators, only the first result of its statement in a process is validated, and later a
result whose columns differ from those of the result before. The other results are not validated, which takes much less time and
is safe: the types and constraints of the database guarantee their values. Rows of all other models are always validated.
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

# Setters of the four slots in which a pydantic instance keeps its state. Called directly, they also work on frozen models.
_PLACE_VALUES = BaseModel.__dict__["__dict__"].__set__
_PLACE_FIELDS_SET = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_PLACE_EXTRA = BaseModel.__dict__["__pydantic_extra__"].__set__
_PLACE_PRIVATE = BaseModel.__dict__["__pydantic_private__"].__set__


def reader(model: type[M], aggregate: str = "") -> Callable[[Sequence[Any], Binding], list[M]]:
    """Return a function that makes instances of `model` from the asyncpg records of a result.

    The function decrypts personal data, which is sealed for the table `aggregate`, with the binding's keys. A value that can't be
    decrypted becomes UNDECIPHERABLE. Rows that do not fit the model raise pydantic's ValidationError.
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
    # pydantic keeps with each instance the set of its fields that are set. All rows share one: rows are frozen, and copying a row
    # copies the set.
    fields = set(model.model_fields)
    keys: tuple[str, ...] | None = None

    def read(records: Sequence[Any], _: Binding) -> list[M]:
        nonlocal keys
        if not records:
            return []
        names = tuple(records[0].keys())
        if names != keys:
            # This is the first result, or one with other columns than the result before. If its columns are exactly the
            # model's fields, the next results with the same columns are not validated.
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
    """Whether the model has only plain types and no validators, so that validation would not change the values from asyncpg."""
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
