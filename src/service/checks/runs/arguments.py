"""Chooses parameter values, with which the checks then run the statements.

A value is taken from an existing sample row or computed for a row that does not exist yet. Where this is not possible, it is a
text that the statement or the parameter's annotation lists, or a fixed value of the type. A parameter may also get None.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import asyncpg

from service.checks.proofs import origins
from service.checks.proofs.annotations import expected
from service.checks.proofs.scopes import QueryScope
from service.checks.proving import Proved, Subject
from service.checks.runs import meetings
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
"""Maps an SQL type to a function that makes a value of this type from a tenant's id. The value is used for a parameter for
which no column has a value. It contains the tenant's id, or a part of it, if the type allows."""
_OTHERS = range(1, 13)
"""Numbers of rows. If the column is NULL in the intended row and the parameter needs a value, these rows are tried instead."""
_EXTREMES: dict[str, tuple[object, object]] = {
    "boolean": (False, True),
    "timestamp with time zone": (_LONG_AGO, _NOW),
    "interval": (dt.timedelta(days=36_500), dt.timedelta(hours=1)),
}
"""Maps an SQL type to two values that are far apart, so that a comparison with them selects different sample rows. If
`Round.n` is even, the parameter gets the first value, otherwise the second."""
_INTEGERS = frozenset({"smallint", "integer", "bigint"})


@dataclass(frozen=True)
class Round:
    """Which parameter values one run of a statement gets. Without flags, each is taken from the `n`-th existing row of a table.

    With `is_new`, values that the statement writes are those of a row that does not exist yet: the `n`-th row after the
    existing ones. With `is_absent`, all values are those of such a row, so that no existing row has the keys. With `is_empty`,
    each parameter that may be None is None.
    """

    n: int
    is_new: bool = False
    is_empty: bool = False
    is_absent: bool = False


def is_written(subject: Subject, proved: Proved) -> bool:
    """Whether a variant writes the value of at least one parameter into a row."""
    count = len(subject.entry.statement.variants[proved.key].parameters)
    return any(is_stored for number in range(1, count + 1) for _, is_stored in meetings.met(proved.scope, number))


def rounds(subject: Subject, proved: Proved) -> list[Round]:
    """The rounds in which a variant is run: with values of existing rows, with values of new rows, and with None.

    A variant without parameters is run once. Rounds with new rows are left out if the variant writes no parameter, rounds with
    None if no parameter may be None. A Literal annotation with more than seven texts adds rounds.
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
    """Makes parameter values for statements from the sample rows of a database. The connection must be a superuser's.

    `bound` is the id of the tenant to which the statements are bound when they run.
    """

    def __init__(self, connection: Any, sampler: Sampler, bound: UUID) -> None:
        self._connection, self._sampler, self._bound = connection, sampler, bound
        self._met: dict[tuple[int, int], list[tuple[origins.Stored, bool]]] = {}
        self._of_type: dict[str, object] = {}

    async def values(self, subject: Subject, proved: Proved, owners: Mapping[str, UUID], round_: Round) -> list[object]:
        """One value for each parameter of a variant, in the order of `$1`, `$2` and so on.

        `owners` maps the name of a parameter to the tenant from whose rows the value is taken. For a parameter that is not in
        `owners`, this is the bound tenant. Raises SampleError if there is no value for a parameter.
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
                # The column is NULL in the chosen row, but the parameter may not be None. So a value from another row is used.
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
        if type_ in ("text", "jsonb", "json") and (text := meetings.special(scope, number)) is not None:
            return text
        for (relation, column), is_written in self._columns(scope, number, name, type_):
            pick = self._sampler.coming if round_.is_absent or (is_written and round_.is_new) else self._sampler.pick
            numbers = (round_.n, round_.n + 1, round_.n + 2) if is_array else (round_.n,)
            picked = [await pick(self._connection, relation.oid, column.number, owner, each) for each in numbers]
            if not is_array:
                return picked[0]
            return picked if None not in picked else [each for each in picked if each is not None]
        if is_array and (texts := meetings.listed(scope, number)):
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
                (stored, is_written) for stored, is_written in meetings.met(scope, number)
                if _plain(kinds[stored[1].type]) == wanted or _plain(kinds[stored[1].type]) == type_
            ] or [
                ((relation, column), False) for relation in scope.catalog.relations.values()
                for column in relation.columns.values()
                if column.name == name and _plain(kinds[column.type]) == wanted and relation.oid in self._sampler.plans
            ][:1]  # fmt: skip
        return self._met[known]

    async def _typical(self, type_: str, owner: UUID, n: int) -> object:
        """A value of this SQL type that is not taken from a column. Raises SampleError if no value of the type is known."""
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
    """The name `text` for each text type, and `integer` for each integer type; another type keeps its name."""
    return "text" if type_ in ("character varying", "character") else "integer" if type_ in _INTEGERS else type_
