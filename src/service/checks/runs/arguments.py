"""Chooses the values of the parameters that statements are run with.

They are keys of existing rows, values of rows that do not exist yet, texts from a list, and nulls.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import asyncpg

from service.checks.proofs import origins
from service.checks.proofs.annotations import expected
from service.checks.proofs.keys import place_of
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Node, Source, arguments, walk
from service.checks.proving import Proved, Subject
from service.checks.runs.samples import SampleError, Sampler
from service.statements.statement import TENANT_PARAMETER

_LIMIT = 50
_NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
_LONG_AGO = dt.datetime(1990, 1, 1, tzinfo=dt.UTC)
_DEFAULTS: dict[str, Any] = {
    "uuid": lambda owner: owner,
    "uuid[]": lambda owner: [owner],
    "text": lambda owner: f"given {owner.hex[:8]}",
    "text[]": lambda _: [],
    "bytea": lambda owner: b"\x01" + owner.bytes * 2,
    "bytea[]": lambda owner: [b"\x01" + owner.bytes * 2],
    "smallint": lambda _: _LIMIT,
    "integer": lambda _: _LIMIT,
    "bigint": lambda _: _LIMIT,
    "inet": lambda _: ip_address("192.0.2.1"),
    "jsonb": lambda _: "{}",
    "json": lambda _: "{}",
    "xid8": lambda _: 1,
}
"""By type, the value for a parameter that is not compared with a column or written into one. If the type allows, the value
is derived from the tenant whose keys are tried."""
_OTHERS = range(1, 13)
"""The numbers of the rows from which a value is taken instead, if the column is NULL in the intended row."""
_EXTREMES: dict[str, tuple[object, object]] = {
    "boolean": (False, True),
    "timestamp with time zone": (_LONG_AGO, _NOW),
    "interval": (dt.timedelta(days=36_500), dt.timedelta(hours=1)),
}
"""By type, two extreme values: compared with one of them all sample rows match, with the other none. `Round.n` decides which
one a parameter gets."""
_INTEGERS = frozenset({"smallint", "integer", "bigint"})


@dataclass(frozen=True)
class Round:
    """Which values a run gets. Without flags, all are values of the `n`-th existing row.

    With `is_new`, values that are written come from a row that does not exist yet: the `n`-th after the existing ones. With
    `is_absent`, all values do, so that no row has these keys. With `is_empty`, each parameter that may be None is None.
    """

    n: int
    is_new: bool = False
    is_empty: bool = False
    is_absent: bool = False


def is_written(subject: Subject, proved: Proved) -> bool:
    """Whether a variant writes the value of at least one parameter into a row."""
    count = len(subject.entry.statement.variants[proved.key].parameters)
    return any(is_stored for number in range(1, count + 1) for _, is_stored in _met(proved.scope, number))


def rounds(subject: Subject, proved: Proved) -> list[Round]:
    """The rounds that a variant is run in: with existing keys, with new values, with nulls, and with each text of a Literal.

    Rounds that could not differ from another one are left out.
    """
    names = subject.entry.statement.variants[proved.key].parameters
    asked = [name for name in names if name != TENANT_PARAMETER]
    if not asked:
        return [Round(1)]
    literals = [expected(subject.entry.annotation(name)).literals or () for name in asked]
    most = max(7, *(len(each) for each in literals))
    found = [Round(n) for n in (1, 2, 3, 4, 7, *range(8, most + 1))]
    if is_written(subject, proved):
        found += [Round(n, is_new=True) for n in (1, 2, 3)]
    if any(not subject.entry.is_given(name, proved.key) for name in asked):
        found += [Round(1, is_empty=True), Round(2, is_new=True, is_empty=True)]
    return found


class Arguments:
    """Makes the values for the parameters of statements, from a superuser's connection to a database with sample rows."""

    def __init__(self, connection: Any, sampler: Sampler, bound: UUID) -> None:
        self._connection, self._sampler, self._bound = connection, sampler, bound
        self._met: dict[tuple[int, int], list[tuple[origins.Stored, bool]]] = {}
        self._of_type: dict[str, object] = {}

    async def values(self, subject: Subject, proved: Proved, owners: Mapping[str, UUID], round_: Round) -> list[object]:
        """A value for each parameter of a variant.

        `owners` maps a parameter to the tenant whose value it gets; without an entry it gets one of the bound tenant. Raises
        SampleError if there is no value for a parameter.
        """
        found: list[object] = []
        for number, name in enumerate(subject.entry.statement.variants[proved.key].parameters, 1):
            if name == TENANT_PARAMETER:
                found.append(self._bound)
                continue
            is_given = subject.entry.is_given(name, proved.key)
            if round_.is_empty and not is_given:
                found.append(None)
                continue
            type_ = subject.catalog.types[proved.described.parameters[number - 1]]
            owner = owners.get(name, self._bound)
            literals = sorted(expected(subject.entry.annotation(name)).literals or ())
            value = await self._value(proved.scope, number, name, type_=type_, owner=owner, round_=round_)
            if value is None and is_given:
                # The column is NULL in that row, but the parameter may not be None. So a value from another row is used.
                others = [
                    await self._value(proved.scope, number, name, type_=type_, owner=owner, round_=replace(round_, n=n))
                    for n in _OTHERS
                ]
                value = next((each for each in others if each is not None), None)
            if value is None and is_given:
                value = await self._typical(type_, owner, round_.n)
            if literals and value not in literals and not isinstance(value, list):
                value = literals[(round_.n - 1) % len(literals)]
            found.append(value)
        return found

    async def _value(
        self, scope: QueryScope, number: int, name: str, *, type_: str, owner: UUID, round_: Round
    ) -> object:
        is_array = type_.endswith("[]")
        for (relation, column), is_written in self._columns(scope, number, name, type_):
            pick = self._sampler.coming if round_.is_absent or (is_written and round_.is_new) else self._sampler.pick
            numbers = (round_.n, round_.n + 1, round_.n + 2) if is_array else (round_.n,)
            picked = [await pick(self._connection, relation.oid, column.number, owner, each) for each in numbers]
            if not is_array:
                return picked[0]
            return picked if None not in picked else [each for each in picked if each is not None]
        if is_array and (texts := _listed(scope, number)):
            return [] if round_.is_empty else texts
        return await self._typical(type_, owner, round_.n)

    def _columns(self, scope: QueryScope, number: int, name: str, type_: str) -> list[tuple[origins.Stored, bool]]:
        """The columns of the parameter's type that it is compared with or written into, each with whether it is written.

        For a parameter that meets none, as an argument of a function does, it is the column that is called like it.
        """
        known = (id(scope), number)
        if known not in self._met:
            kinds = scope.catalog.types
            wanted = _plain(type_.removesuffix("[]"))
            self._met[known] = [
                (stored, is_written) for stored, is_written in _met(scope, number)
                if _plain(kinds[stored[1].type]) == wanted or _plain(kinds[stored[1].type]) == type_
            ] or [
                ((relation, column), False) for relation in scope.catalog.relations.values()
                for column in relation.columns.values()
                if column.name == name and _plain(kinds[column.type]) == wanted and relation.oid in self._sampler.plans
            ][:1]  # fmt: skip
        return self._met[known]

    async def _typical(self, type_: str, owner: UUID, n: int) -> object:
        """Some value of a type. Raises SampleError for a type of which no value is known."""
        if type_ in _EXTREMES:
            return _EXTREMES[type_][n % 2]
        if type_ in _DEFAULTS:
            return _DEFAULTS[type_](owner)
        if type_ not in self._of_type:
            text = await self._sampler.literal(self._connection, type_)
            try:
                async with self._connection.transaction():
                    self._of_type[type_] = await self._connection.fetchval(f"SELECT {text}")
            except asyncpg.PostgresError as error:
                raise SampleError(f"no sample value is known of the type {type_}: {error}") from error
        return self._of_type[type_]


def _plain(type_: str) -> str:
    """One name for all types whose values are interchangeable here: the text types, and the integer types."""
    return "text" if type_ in ("character varying", "character") else "integer" if type_ in _INTEGERS else type_


def _met(scope: QueryScope, number: int) -> Iterator[tuple[origins.Stored, bool]]:
    """The columns that a parameter is written into or compared with, and whether it is written. Written ones come first."""
    through: set[tuple[int, int, int]] = set()
    for query in scope.queries:
        through |= {(id(query), *place) for place in _unnested(query, number)}
    for relation, column, _ in origins.written(scope, number):
        yield (relation, column), True
    for query in scope.queries:
        for target, value in _stores(query):
            if (place := place_of(value)) and (id(query), *place) in through:
                yield target, True
        for node in query.own:
            for one, other in _pairs(node):
                for variable, value in ((one, other), (other, one)):
                    stored = _stored(query, variable)
                    is_met = _is_parameter(value, number) or (
                        (place := place_of(value)) is not None and (id(query), *place) in through
                    )
                    if stored is not None and is_met:
                        yield stored, False


def _stores(query: QueryScope) -> Iterator[tuple[origins.Stored, Node]]:
    """The columns that a query writes, each with every expression that may become its value."""
    relation = query.relation(query.target) if query.target else None
    if relation is None:
        return
    for entry in query.node.list("targetList"):
        if not entry["resjunk"] and (column := relation.columns.get(entry["resno"])) is not None:
            for value in _ends(entry["expr"]):
                yield (relation, column), value


def _ends(expression: Node) -> Iterator[Node]:
    if expression.kind == "COALESCEEXPR":
        for each in expression["args"]:
            yield from _ends(each)
    else:
        yield expression


def _stored(query: QueryScope, expression: Node) -> origins.Stored | None:
    """The table column that an expression refers to; None if it is anything else."""
    place = place_of(expression)
    relation = query.relation(place[0]) if place else None
    return (relation, relation.columns[place[1]]) if place and relation and place[1] in relation.columns else None


def _pairs(node: Node) -> Iterator[tuple[Node, Node]]:
    """The pairs of expressions that a node compares."""
    if node.kind in ("OPEXPR", "SCALARARRAYOPEXPR", "DISTINCTEXPR") and len(node.list("args")) == 2:
        one, other = arguments(node)
        yield one, other
    elif node.kind == "ROWCOMPAREEXPR":
        yield from zip(node["largs"], node["rargs"], strict=True)


def _unnested(query: QueryScope, number: int) -> Iterator[tuple[int, int]]:
    """The columns of functions and subqueries in FROM that are computed from the parameter, such as `unnest(:ids)`.

    Their values are taken to be its elements. Each is a pair: the number in the range table, and the number of the column.
    """
    for entry in query.read:
        calls: list[Node] = []
        if query.source(entry) is Source.FUNCTION:
            calls = [each["funcexpr"] for each in query.entry(entry).list("functions")]
        elif query.source(entry) is Source.SUBQUERY:
            calls = [each["expr"] for each in query.subquery(entry).outputs]
        for position, call in enumerate(calls, 1):
            if call.kind == "FUNCEXPR" and any(_is_parameter(each, number) for each in call.list("args")):
                yield entry, position


def _is_parameter(expression: Node, number: int) -> bool:
    """Whether an expression is the parameter with this number, possibly with a cast."""
    while expression.kind in ("RELABELTYPE", "COERCEVIAIO", "ARRAYCOERCEEXPR") or (
        expression.kind == "FUNCEXPR" and expression["funcformat"] and len(expression.list("args")) == 1
    ):
        expression = expression["arg"] or expression["args"][0]
    return origins.is_parameter(expression, number)


def _listed(scope: QueryScope, number: int) -> list[str]:
    """The constants that a statement searches an array parameter for, as in `'name' = ANY (:given)`.

    They are used as the parameter's value. In the statement of a PATCH they are the names of the fields that it may set.
    """
    found: set[str] = set()
    for node in walk(scope.node):
        if node.kind == "SCALARARRAYOPEXPR":
            one, other = arguments(node)
            if one.kind == "CONST" and _is_parameter(other, number):
                found.update(origins.constant(one) or ())
    return sorted(found)
