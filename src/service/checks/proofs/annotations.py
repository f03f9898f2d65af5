"""Which types of PostgreSQL a Python annotation stands for, by what asyncpg takes and answers.

Source: asyncpg's documentation, "Type Conversion".
"""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Json

from service.personal.marking import is_personal

_TYPES: dict[Any, frozenset[str]] = {
    UUID: frozenset({"uuid"}),
    str: frozenset({"text", "character varying", "character", "name"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"smallint", "integer", "bigint", "oid", "xid8"}),
    float: frozenset({"real", "double precision"}),
    Decimal: frozenset({"numeric"}),
    bytes: frozenset({"bytea"}),
    dt.datetime: frozenset({"timestamp with time zone"}),
    dt.date: frozenset({"date"}),
    dt.timedelta: frozenset({"interval"}),
    IPv4Address: frozenset({"inet"}),
    IPv6Address: frozenset({"inet"}),
}
_JSON = frozenset({"jsonb", "json"})


@dataclass(frozen=True)
class Expected:
    """The types that fit (none: the annotation is not understood), whether None does, and the only texts if listed."""

    types: frozenset[str]
    is_optional: bool = False
    literals: frozenset[str] | None = None


def expected(annotation: Any, *, is_sealed: bool = False) -> Expected:
    """What fits an annotation; a value that is sealed on its way is bytes in the database."""
    if is_sealed or is_personal(annotation):
        return Expected(_TYPES[bytes], type(None) in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [expected(each) for each in typing.get_args(annotation) if each is not type(None)]
        is_optional = type(None) in typing.get_args(annotation)
        common = frozenset.intersection(*(each.types for each in members))
        return Expected(common, is_optional, members[0].literals if len(members) == 1 else None)
    if typing.get_origin(annotation) is Annotated:
        if any(each is Json or type(each) is Json for each in annotation.__metadata__):
            return Expected(_JSON)
        return expected(typing.get_args(annotation)[0])
    if annotation is Json:
        return Expected(_JSON)
    if typing.get_origin(annotation) is Literal:
        values = typing.get_args(annotation)
        if all(isinstance(value, str) for value in values):
            return Expected(_TYPES[str], literals=frozenset(values))
        return Expected(frozenset())
    if typing.get_origin(annotation) in (list, Sequence):
        inner = expected(typing.get_args(annotation)[0])
        return Expected(frozenset(f"{each}[]" for each in inner.types))
    return Expected(_TYPES.get(annotation, frozenset()))
