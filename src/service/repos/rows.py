"""Row models, and the fastest safe way from an asyncpg record to one.

A row of plain types that has no validator of its own is taken as it is: the first row of every statement in a process
is validated in full and strictly, and the database's own types and constraints hold for the rest. Anything else is
validated row by row.
"""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from service.errors import NotFound, StaleVersion

M = TypeVar("M", bound="Row")

_PLAIN: frozenset[Any] = frozenset(
    {str, int, bool, float, bytes, UUID, dt.datetime, dt.date, IPv4Address, IPv6Address, type(None)}
)


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
    validate = model.model_validate
    if not is_plain(model):
        return lambda record: validate(dict(record))

    new, place = model.__new__, object.__setattr__
    fields = frozenset(model.model_fields)
    keys: tuple[str, ...] | None = None

    def build(record: Any) -> M:
        nonlocal keys
        values = dict(record)
        if keys != tuple(values):
            # Another shape than last time: another variant, or the first row of all. What validation would convert
            # or fill in can't be left out for the rows that follow.
            row = validate(values, strict=True)
            if values.keys() == fields:
                keys = tuple(values)
            return row
        row = new(model)
        place(row, "__dict__", values)
        place(row, "__pydantic_fields_set__", fields)
        place(row, "__pydantic_extra__", None)
        place(row, "__pydantic_private__", None)
        return row

    return build


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
