"""Sample rows for every table, made from the catalog alone: what statements run on when they are proved by running them.

Rows are numbered from 1 in every table and tenant, and a row's values follow from its table, tenant and number. So a
foreign key is computed, not looked up, and a later call adds rows to the ones that are there. What triggers would write
(a folded name, the time of publication) is made up like the rest.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from service import files
from service.checks.runs.values import NEWCOMER, NOBODY, Candidate, Column, SampleError, Table, bound, candidates, mark

__all__ = ["SampleError", "Sampler", "fill", "mark"]

_IMPLIED = {("app.changes", "xid"): ("app.commits", "xid")}
"""What refers to another table without a foreign key: the log's triggers see to it, and they are off here. A commit has
changes, so each has one."""

_FIXED = {("app.changes", "ordinal"): "1"}
"""The first change of a commit is the one that numbers it."""

_TRIED = "(SELECT generate_series(1::bigint, 400) UNION ALL SELECT generate_series(20001::bigint, 20100)) AS s (n)"
"""The first rows and some late ones: an expression that fits both also fits the rows between, about 20,000 per table."""
_ATTEMPTS = 500
_COMBINATIONS = 4096
"""How many a constraint's columns have at most; the more columns, the fewer candidates of each."""
_PICKED = 1000
"""How many values of a column are read to pick from; those of later rows are computed."""

_REFUSALS = (asyncpg.CheckViolationError, asyncpg.UniqueViolationError, asyncpg.ExclusionViolationError)


async def fill(
    connection: asyncpg.Connection[Any], schema: str, tenants: Sequence[UUID], rows: int, *, first: int = 1
) -> None:
    """Fill every table once, as `Sampler.fill` does."""
    await (await Sampler.of(connection, schema)).fill(connection, tenants, rows, first=first)


@dataclass(frozen=True)
class Sampler:
    """How rows are made: for each table an expression per column."""

    plans: Mapping[int, _Plan]
    _picked: dict[tuple[int, int, UUID | None], list[object]] = field(default_factory=dict)
    _rows: dict[tuple[int, UUID, int], Any] = field(default_factory=dict)
    _last: dict[UUID, int] = field(default_factory=dict)

    @classmethod
    async def of(cls, connection: asyncpg.Connection[Any], schema: str = "quarry") -> Sampler:
        """Find expressions that satisfy the constraints of every table of `app` and `schema`; changes nothing.

        The connection is a superuser's. Raises SampleError, which names the constraint that can't be satisfied.
        """
        tables = {table.relation: table for table in await _tables(connection, schema)}
        plans: dict[int, _Plan] = {}
        for table in _parents_first(tables):
            plans[table.relation] = await _Search(connection, table, _referenced(table, tables, plans)).run()
        return cls(plans)

    async def fill(
        self,
        connection: asyncpg.Connection[Any],
        tenants: Sequence[UUID],
        rows: int,
        *,
        first: int = 1,
        with_shared: bool = True,
    ) -> None:
        """Give each tenant the rows `first` to `first + rows - 1` in every table; those before must be there.

        Tables without a tenant get them once, unless `with_shared` is false. Tables with room for one row keep the one that
        they have.
        """
        async with connection.transaction():
            before = await connection.fetchval("SELECT current_setting('session_replication_role')")
            # No triggers and no foreign keys: nothing is recorded, numbered or looked up row by row.
            await connection.execute("SET LOCAL session_replication_role = replica")
            for plan in self.plans.values():
                newcomer = (NEWCOMER,) if plan.table.is_of_tenants else ()
                shared = (NOBODY,) if with_shared else ()
                for tenant in (*tenants, *newcomer) if plan.table.tenant else shared:
                    await connection.execute(plan.insertion(tenant, first, first + rows - 1))
            await connection.execute(_sql("sample_heads"), list(tenants))
            await connection.execute("SELECT set_config('session_replication_role', $1, true)", before)
        self._picked.clear()
        self._rows.clear()
        self._last.update(dict.fromkeys((*tenants, *((NOBODY,) if with_shared else ())), first + rows - 1))

    async def pick(
        self, connection: asyncpg.Connection[Any], relation: int, attnum: int, tenant: UUID, n: int
    ) -> object:
        """The value of a column, by the numbers of the catalog, in the tenant's `n`-th row (from 1), as asyncpg gives it.

        A table with fewer rows begins again at its first. Raises SampleError for a table that has none.
        """
        table = self.plans[relation].table
        if n > _PICKED and n <= self._last.get(tenant, 0) and not table.is_single:
            return (await self._row(connection, relation, tenant, n)).get(self._name(relation, attnum))
        key = (relation, attnum, tenant if table.tenant else None)
        if key not in self._picked:
            named = "SELECT quote_ident(attname) FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attnum = $2"
            column = await connection.fetchval(named, relation, attnum)
            rows = await connection.fetch(
                f"SELECT {column} FROM {table.name} WHERE {_belongs(table, tenant)} ORDER BY ctid LIMIT {_PICKED}"
            )
            self._picked[key] = [row[0] for row in rows]
        values = self._picked[key]
        if not values:
            raise SampleError(f"{table.name} has no rows of {tenant}")
        return values[(n - 1) % len(values)]

    async def coming(
        self, connection: asyncpg.Connection[Any], relation: int, attnum: int, tenant: UUID, n: int
    ) -> object:
        """The value of a column in the tenant's `n`-th row (from 1) after those that are there; None for one that INSERT never gives.

        Where a tenant has room for one row, the row is of NEWCOMER, who has none; a tenant's own row is of a tenant yet to come.
        """
        plan = self.plans[relation]
        if plan.table.is_of_tenants:
            owner = UUID(bytes=hashlib.md5(f"{tenant} {n}".encode(), usedforsecurity=False).digest(), version=4)
        else:
            owner = NEWCOMER if plan.table.is_single else tenant if plan.table.tenant else NOBODY
        row = await self._row(connection, relation, owner, self._last.get(owner, 0) + n)
        return row.get(self._name(relation, attnum))

    async def _row(self, connection: asyncpg.Connection[Any], relation: int, owner: UUID, number: int) -> Any:
        key = (relation, owner, number)
        if key not in self._rows:
            self._rows[key] = await connection.fetchrow(self.plans[relation].row(owner, number))
        return self._rows[key]

    def _name(self, relation: int, attnum: int) -> str:
        columns = self.plans[relation].table.columns.values()
        return next((each.name for each in columns if each.number == attnum), "")

    @staticmethod
    async def literal(connection: asyncpg.Connection[Any], type_: str) -> str:
        """An expression in SQL that is some value of a type."""
        return str(await connection.fetchval(_sql("sample_literal"), type_))


@dataclass(frozen=True)
class _Plan:
    """An expression for each column of a table."""

    table: Table
    expressions: Mapping[str, str]

    def insertion(self, tenant: UUID, first: int, last: int) -> str:
        """The INSERT of some rows of one tenant."""
        if self.table.is_single:
            there = f"SELECT FROM {self.table.name} WHERE {_belongs(self.table, tenant)}"
            return self.into(self.table.name, tenant, f"(SELECT 1::bigint WHERE NOT EXISTS ({there})) AS s (n)")
        series = f"generate_series({first}::bigint, {last}) AS s (n)"
        # What all tenants share may have been filled for others.
        return self.into(self.table.name, tenant, series) + (" ON CONFLICT DO NOTHING" if not self.table.tenant else "")

    def row(self, tenant: UUID, number: int) -> str:
        """The SELECT of one row, which is not inserted."""
        values = ", ".join(f'{text} AS "{column}"' for column, text in self.expressions.items()).replace("@n", "s.n")
        return f"SELECT {bound(values, tenant)} FROM (SELECT {number}::bigint) AS s (n)"

    def into(self, name: str, tenant: UUID, series: str) -> str:
        """The INSERT into a table of these columns, of the rows numbered by `series`."""
        columns = ", ".join(f'"{column}"' for column in self.expressions)
        values = ", ".join(self.expressions.values()).replace("@n", "s.n")
        return f"INSERT INTO {name} ({columns}) SELECT {bound(values, tenant)} FROM {series}"


class _Search:
    """Tries rows on a copy of the table until none is refused, taking the next candidates of a constraint's columns."""

    def __init__(self, connection: asyncpg.Connection[Any], table: Table, referenced: Mapping[str, str]) -> None:
        self._connection, self._table = connection, table
        self._left = candidates(table, referenced)
        self._chosen = {column: left[0] for column, left in self._left.items()}
        self._failed: list[Mapping[str, Candidate]] = []

    async def run(self) -> _Plan:
        """The plan. Raises SampleError."""
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            await self._connection.execute(
                f"CREATE TEMPORARY TABLE trial (LIKE {self._table.name} INCLUDING CONSTRAINTS INCLUDING INDEXES "
                "INCLUDING GENERATED INCLUDING IDENTITY)"
            )
            for _ in range(_ATTEMPTS):
                plan = _Plan(self._table, {column: chosen.text for column, chosen in self._chosen.items()})
                if (refusal := await self._refusal(plan)) is None:
                    return plan
                await self._move_on(refusal)
        finally:
            await transaction.rollback()
        raise SampleError(f"{self._table.name}: no rows satisfy it after {_ATTEMPTS} attempts, at last {refusal}")

    async def _refusal(self, plan: _Plan) -> str | None:
        """The constraint that refuses the rows."""
        series = "(SELECT 1::bigint) AS s (n)" if self._table.is_single else _TRIED
        try:
            async with self._connection.transaction():
                await self._connection.execute(plan.into("pg_temp.trial", UUID(int=1), series))
        except _REFUSALS as error:
            return str(error.constraint_name)
        except asyncpg.PostgresError as error:
            raise SampleError(f"{self._table.name}: {error}") from error
        return None

    async def _move_on(self, constraint: str) -> None:
        rows = await self._connection.fetch(_sql("sample_refusal"), constraint)
        columns = [row[0] for row in rows if row[0] != self._table.tenant and row[0] in self._left]
        if len(columns) == 1:
            # Candidates with the same value differ only in which rows are NULL, and would be refused too.
            refused = self._chosen[columns[0]].value
            self._left[columns[0]] = [each for each in self._left[columns[0]] if each.value != refused]
        else:
            self._failed.append({column: self._chosen[column] for column in columns})
        for combination in self._combinations(columns):
            chosen = {**self._chosen, **combination}
            if not any(all(chosen[name] == failed[name] for name in failed) for failed in self._failed):
                self._chosen = chosen
                return
        raise SampleError(f"{self._table.name}: no sample values satisfy {constraint} on {', '.join(columns)}")

    def _combinations(self, columns: Sequence[str]) -> Iterator[Mapping[str, Candidate]]:
        """All that is left for these columns, the likeliest first; NULL is among it where it may be."""
        left = [sorted(self._left[column], key=lambda each: each.cost) for column in columns]
        width = int(_COMBINATIONS ** (1 / max(1, len(columns)))) - 1
        tried = itertools.product(*([*each[:width], *each[width:][-1:]] for each in left))
        for combination in sorted(tried, key=lambda each: sum(candidate.cost for candidate in each)):
            yield dict(zip(columns, combination, strict=True))


def _belongs(table: Table, tenant: UUID) -> str:
    return f"\"{table.tenant}\" = '{tenant}'" if table.tenant else "true"


def _parents_first(tables: Mapping[int, Table]) -> Iterator[Table]:
    """The tables, each after the tables that it refers to, except for circular references."""
    met: set[int] = set()

    def visit(table: Table) -> Iterator[Table]:
        if table.relation not in met:
            met.add(table.relation)
            for column in table.columns.values():
                if column.parent and column.parent[0] in tables:
                    yield from visit(tables[column.parent[0]])
            yield table

    for table in tables.values():
        yield from visit(table)


def _referenced(table: Table, tables: Mapping[int, Table], plans: Mapping[int, _Plan]) -> dict[str, str]:
    """For each column that refers to another row: the value that it refers to, as an expression of that row's number."""
    found = {}
    for column in table.columns.values():
        if column.parent is None:
            continue
        relation, name = column.parent
        if relation not in tables or name not in tables[relation].columns:
            raise SampleError(f"{table.name}.{column.name} refers to what is given no value here")
        parent = tables[relation]
        # A table that refers to itself has no plan yet, so the column's first candidate is used.
        plan = plans.get(relation)
        expression = plan.expressions[name] if plan else candidates(parent, {})[name][0].text
        expression = expression if parent.tenant else bound(expression, NOBODY)
        found[column.name] = expression.replace("@n", "1") if parent.is_single else expression
    return found


async def _tables(connection: asyncpg.Connection[Any], schema: str) -> list[Table]:
    rows = await connection.fetch(_sql("sample_columns"), schema)
    names = {row["table_name"]: row["relation"] for row in rows}
    found = []
    for name, group in itertools.groupby(rows, key=lambda row: row["table_name"]):
        columns = {}
        given = list(group)
        for row in given:
            parent = (row["parent"], row["parent_column"]) if row["parent"] else None
            implied = _IMPLIED.get((name, row["name"]))
            if implied:
                parent = (names[implied[0]], implied[1])
            columns[row["name"]] = Column(
                row["number"], row["name"], row["declared"], row["type_name"], row["is_nullable"], row["is_tenant"],
                row["is_indexed"], row["initial"], row["checks"], parent, implied is not None,
                _FIXED.get((name, row["name"]), ""),
            )  # fmt: skip
        found.append(Table(names[name], name, columns, given[0]["is_single"]))
    return found


def _sql(name: str) -> str:
    return files.sql("checks", f"{name}.sql").read_text(encoding="utf-8")
