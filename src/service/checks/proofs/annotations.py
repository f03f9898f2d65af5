"""Which types of PostgreSQL a Python annotation stands for: those that asyncpg converts to and from its Python type.

Source: asyncpg's documentation, "Type Conversion".
"""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from pydantic import Json

from service.personal.marking import is_personal

_TYPES: dict[Any, frozenset[str]] = {
    UUID: frozenset({"uuid"}),
    str: frozenset(
        {
            "text",
            "character varying",
            "character",
            "name",
            "enum",
            "tsvector",
            "tsquery",
            "xml",
            "jsonpath",
            "pg_lsn",
            "macaddr",
            '"char"',
            "money",
            "regclass",
            "regtype",
        }
    ),
    bool: frozenset({"boolean"}),
    int: frozenset({"smallint", "integer", "bigint", "oid", "xid8"}),
    float: frozenset({"real", "double precision"}),
    Decimal: frozenset({"numeric"}),
    bytes: frozenset({"bytea"}),
    dt.datetime: frozenset({"timestamp with time zone", "timestamp without time zone"}),
    dt.date: frozenset({"date"}),
    dt.time: frozenset({"time without time zone", "time with time zone"}),
    dt.timedelta: frozenset({"interval"}),
    IPv4Address: frozenset({"inet"}),
    IPv6Address: frozenset({"inet"}),
    IPv4Interface: frozenset({"inet"}),
    IPv6Interface: frozenset({"inet"}),
    IPv4Network: frozenset({"cidr"}),
    IPv6Network: frozenset({"cidr"}),
    asyncpg.Range: frozenset({"range"}),
    asyncpg.BitString: frozenset({"bit", "bit varying"}),
    asyncpg.Point: frozenset({"point"}),
    asyncpg.Record: frozenset({"composite"}),
    tuple: frozenset({"composite"}),
}
_JSON = frozenset({"jsonb", "json"})


@dataclass(frozen=True)
class Expected:
    """The types that fit (none: the annotation is not understood), whether None does, and the only texts if listed.

    `enum`, `range`, `multirange` and `composite` stand for all types of that kind.
    """

    types: frozenset[str]
    is_optional: bool = False
    literals: frozenset[str] | None = None


def expected(annotation: Any, *, is_sealed: bool = False) -> Expected:
    """What fits an annotation. `is_sealed` says that the database gets the value as bytes: sealed, or as a blind index."""
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
    if typing.get_origin(annotation) in (tuple, asyncpg.Range):
        return Expected(_TYPES[typing.get_origin(annotation)])
    if typing.get_origin(annotation) in (list, Sequence):
        inner = expected(typing.get_args(annotation)[0])
        of_ranges = {"multirange"} if "range" in inner.types else set()
        return Expected(frozenset({f"{each}[]" for each in inner.types} | of_ranges))
    return Expected(_TYPES.get(annotation, frozenset()))
