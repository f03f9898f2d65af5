"""Row models, and the fastest safe way from an asyncpg record to one.

A row of plain types that has no validator of its own is taken as it is: the first answer of every statement in a process
is validated in full and strictly, and the database's own types and constraints hold for the rest. Anything else is
validated row by row.
"""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from service.errors import NotFound, StaleVersion

M = TypeVar("M", bound="Row")

_PLAIN: frozenset[Any] = frozenset(
    {str, int, bool, float, bytes, UUID, dt.datetime, dt.date, IPv4Address, IPv6Address, type(None)}
)


# The four slots that make a pydantic model's instance, without its own check that the model is frozen.
_PLACE_VALUES = BaseModel.__dict__["__dict__"].__set__
_PLACE_FIELDS_SET = BaseModel.__dict__["__pydantic_fields_set__"].__set__
_PLACE_EXTRA = BaseModel.__dict__["__pydantic_extra__"].__set__
_PLACE_PRIVATE = BaseModel.__dict__["__pydantic_private__"].__set__


class Row(BaseModel):
    """A row as a statement answers it: frozen, and with exactly the columns that are declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Outcome(Protocol):
    """A row after an attempt to change it; not `applied` when its version was not the expected one."""

    @property
    def applied(self) -> bool: ...


A = TypeVar("A", bound=Outcome)


def settled(outcome: A | None) -> A:
    """The changed row. Raises NotFound when there was none, StaleVersion when it was not the expected one."""
    if outcome is None:
        raise NotFound
    if not outcome.applied:
        raise StaleVersion
    return outcome


def removed(applied: bool | None) -> None:
    """Nothing, after a removal that happened. Raises NotFound or StaleVersion, as `settled` does."""
    if applied is None:
        raise NotFound
    if not applied:
        raise StaleVersion


def builder(model: type[M]) -> Callable[[Any], M]:
    """A function from an asyncpg record to a `model`. Raises pydantic's ValidationError when they do not fit."""
    read = reader(model)
    return lambda record: read((record,))[0]


def reader(model: type[M]) -> Callable[[Sequence[Any]], list[M]]:
    """A function from the asyncpg records of one answer to `model`s. Raises pydantic's ValidationError."""
    validate = model.model_validate
    if not is_plain(model):
        return lambda records: [validate(dict(record)) for record in records]

    new = model.__new__
    # Shared by all rows: they are frozen, and a copy of a row copies it.
    fields = set(model.model_fields)
    keys: tuple[str, ...] | None = None

    def read(records: Sequence[Any]) -> list[M]:
        nonlocal keys
        if not records:
            return []
        names = tuple(records[0].keys())
        if names != keys:
            # Another shape than last time: another variant, or the first answer of all. What validation would convert
            # or fill in can't be left out for the answers that follow.
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
    """Whether asyncpg's own Python values are already what the model's validation would make of them."""
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
