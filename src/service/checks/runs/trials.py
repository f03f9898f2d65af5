"""Running statements on sample rows: with parameters that mean something to them, and with nothing left behind."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import asyncpg

from service.checks.proofs import origins
from service.checks.proofs.keys import place_of
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Node, Source, arguments, walk
from service.checks.proving import Proved, Subject
from service.checks.runs.samples import Sampler
from service.statements.statement import TENANT_PARAMETER

TENANTS = UUID("aaaaaaaa-0000-4000-8000-000000000001"), UUID("bbbbbbbb-0000-4000-8000-000000000002")
"""The tenant that statements are run as, and the one whose rows they must not see."""
_LIMIT = 50


@dataclass(frozen=True)
class Outcome:
    """What a run came to: its rows, or the SQLSTATE of its failure; `touched` is the server's count of rows."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[object, ...], ...] = ()
    touched: str = ""
    failure: str = ""


@contextlib.asynccontextmanager
async def undone(connection: Any) -> AsyncIterator[None]:
    """A transaction, or a savepoint in one, that is rolled back whatever happens."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


class Trials:
    """Runs statements as their roles, bound to a tenant, on a superuser's connection to a database of samples."""

    def __init__(self, connection: Any, sampler: Sampler, bound: UUID) -> None:
        self.connection, self.sampler, self.bound = connection, sampler, bound
        self._met: dict[tuple[int, int], list[origins.Stored]] = {}

    async def values(self, subject: Subject, proved: Proved, owners: Mapping[str, UUID], n: int) -> list[object]:
        """A value for each parameter of a variant: from the n-th row of the tenant that `owners` names for it."""
        found: list[object] = []
        for number, name in enumerate(subject.entry.statement.variants[proved.key].parameters, 1):
            if name == TENANT_PARAMETER:
                found.append(self.bound)
                continue
            type_ = subject.catalog.types[proved.described.parameters[number - 1]]
            owner = owners.get(name, self.bound)
            value = await self._value(proved.scope, number, type_, owner, n)
            if value is None and subject.entry.is_given(name, proved.key):
                # The column is null in that row, and the parameter never is.
                value = _DEFAULTS[type_](owner)
            found.append(value)
        return found

    async def _value(self, scope: QueryScope, number: int, type_: str, owner: UUID, n: int) -> object:
        is_array = type_.endswith("[]")
        known = (id(scope), number)
        if known not in self._met:
            self._met[known] = list(_met(scope, number))
        for relation, column in self._met[known]:
            numbers = (n, n + 1, n + 2) if is_array else (n,)
            picked = [
                await self.sampler.pick(self.connection, relation.oid, column.number, owner, each) for each in numbers
            ]
            if not is_array:
                return picked[0]
            return [each for each in picked if each is not None]
        if is_array and (texts := _listed(scope, number)):
            return texts
        return _DEFAULTS[type_](owner)

    async def run(self, subject: Subject, proved: Proved, values: Iterable[object]) -> Outcome:
        """Run a variant in the transaction that is open."""
        text = subject.entry.statement.variants[proved.key].text
        await self.connection.execute(
            f"SET LOCAL ROLE {subject.entry.role}; SET LOCAL app.tenant_id = '{self.bound}'; SET LOCAL statement_timeout = '20s'"
        )
        try:
            async with self.connection.transaction():
                prepared = await self.connection.prepare(text)
                records = await prepared.fetch(*values)
                names = tuple(each.name for each in prepared.get_attributes() or ())
                answer = Outcome(names, tuple(tuple(record) for record in records), prepared.get_statusmsg())
        except asyncpg.PostgresError as error:
            answer = Outcome(failure=str(error.sqlstate))
        await self.connection.execute("RESET ROLE")
        return answer


def chosen(subject: Subject) -> list[Proved]:
    """The variants that are run: without any optional line, with all of them, and with each one alone."""
    statement = subject.entry.statement
    keys = {0, max(statement.variants), *(statement.key([name]) for name in statement.conditions)}
    return [subject.proved[key] for key in sorted(keys) if key in subject.proved]


def _met(scope: QueryScope, number: int) -> Iterator[origins.Stored]:
    """The columns that a parameter is compared with or written into."""
    for query in scope.queries:
        through = set(_unnested(query, number))
        for node in query.own:
            for one, other in _pairs(node):
                for variable, value in ((one, other), (other, one)):
                    stored = _stored(query, variable)
                    if stored is not None and (_is_parameter(value, number) or place_of(value) in through):
                        yield stored
    for relation, column, _ in origins.written(scope, number):
        yield relation, column


def _stored(query: QueryScope, expression: Node) -> origins.Stored | None:
    """The column of a table that an expression is."""
    place = place_of(expression)
    relation = query.relation(place[0]) if place else None
    return (relation, relation.columns[place[1]]) if place and relation and place[1] in relation.columns else None


def _pairs(node: Node) -> Iterator[tuple[Node, Node]]:
    """What is compared with what in a node."""
    if node.kind in ("OPEXPR", "SCALARARRAYOPEXPR", "DISTINCTEXPR") and len(node.list("args")) == 2:
        one, other = arguments(node)
        yield one, other
    elif node.kind == "ROWCOMPAREEXPR":
        yield from zip(node["largs"], node["rargs"], strict=True)


def _unnested(query: QueryScope, number: int) -> Iterator[tuple[int, int]]:
    """The variables that are elements of an array that the parameter is."""
    for entry in query.read:
        if query.source(entry) is Source.FUNCTION:
            for position, function in enumerate(query.entry(entry).list("functions"), 1):
                if any(_is_parameter(each, number) for each in function["funcexpr"].list("args")):
                    yield entry, position


def _is_parameter(expression: Node, number: int) -> bool:
    """Whether an expression is a parameter of the statement, cast or not."""
    while expression.kind in ("RELABELTYPE", "COERCEVIAIO", "ARRAYCOERCEEXPR") or (
        expression.kind == "FUNCEXPR" and expression["funcformat"] and len(expression.list("args")) == 1
    ):
        expression = expression["arg"] or expression["args"][0]
    return origins.is_parameter(expression, number)


def _listed(scope: QueryScope, number: int) -> list[str]:
    """The constants that an array parameter is searched for: the names that PATCH may give."""
    found: set[str] = set()
    for node in walk(scope.node):
        if node.kind == "SCALARARRAYOPEXPR":
            one, other = arguments(node)
            if one.kind == "CONST" and _is_parameter(other, number):
                found.update(origins.constant(one) or ())
    return sorted(found)


_NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
_DEFAULTS: dict[str, Any] = {
    "uuid": lambda owner: owner,
    "uuid[]": lambda owner: [owner],
    "text": lambda owner: f"given {owner.hex[:8]}",
    "text[]": lambda _: [],
    "bytea": lambda owner: b"\x01" + owner.bytes * 2,
    "bytea[]": lambda owner: [b"\x01" + owner.bytes * 2],
    "boolean": lambda _: True,
    "smallint": lambda _: _LIMIT,
    "integer": lambda _: _LIMIT,
    "integer[]": lambda _: [1],
    "bigint": lambda _: _LIMIT,
    "timestamp with time zone": lambda _: _NOW,
    "date": lambda _: _NOW.date(),
    "interval": lambda _: dt.timedelta(hours=1),
    "inet": lambda _: ip_address("192.0.2.1"),
    "jsonb": lambda _: "{}",
    "xid8": lambda _: 1,
}
"""What a parameter is given that meets no column: a value of the tenant whose keys are tried, where its type can be one."""
