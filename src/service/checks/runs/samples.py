"""Makes sample rows for every table, from no other information than the catalog. The checks run the statements on these rows.

In each table the rows of a tenant are numbered from 1. A row's values depend only on its table, tenant and number. So the value
of a foreign key is computed without reading the other row, and a later call can add rows to the existing ones. Triggers do not
run; the values that they would write (a folded name, the time of publication) are computed like all others.
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
from service.checks.runs.search import Plan, Search, belongs_to
from service.checks.runs.values import NEWCOMER, NOBODY, Column, SampleError, Table, bound, candidates, mark

__all__ = ["SampleError", "Sampler", "fill", "mark"]

_IMPLIED = {("app.changes", "xid"): ("app.commits", "xid")}
"""Maps a column to the column of another table that it refers to, though there is no foreign key; a column is written as table
and name. Triggers, which normally write both tables, do not run here. Every commit has at least one change, so each sample
commit gets exactly one."""

_FIXED = {("app.changes", "ordinal"): "1"}
"""Maps a column, written as table and name, to the SQL expression that it always gets. Each sample commit has only one change,
so the ordinal of the change is 1."""

_PICKED = 1000
"""`Sampler.pick` reads the values of a column from this number of rows at once. For later rows it computes the values."""


async def fill(
    connection: asyncpg.Connection[Any], schema: str, tenants: Sequence[UUID], rows: int, *, first: int = 1
) -> None:
    """Insert sample rows into every table of the schemas `app` and `schema`, in the way that `Sampler.fill` describes."""
    await (await Sampler.of(connection, schema)).fill(connection, tenants, rows, first=first)


@dataclass(frozen=True)
class Sampler:
    """Makes sample rows. `plans` maps the OID of a table to its plan: an SQL expression for the values of each column.

    `failures` maps the OID of a table without sample rows to the reason.
    """

    plans: Mapping[int, Plan]
    failures: Mapping[int, str] = field(default_factory=dict)
    _picked: dict[tuple[int, int, UUID | None], list[object]] = field(default_factory=dict)
    _rows: dict[tuple[int, UUID, int], Any] = field(default_factory=dict)
    _last: dict[UUID, int] = field(default_factory=dict)

    @classmethod
    async def of(
        cls, connection: asyncpg.Connection[Any], schema: str = "quarry", left_out: list[SampleError] | None = None
    ) -> Sampler:
        """A Sampler for all tables of the schemas `app` and `schema`. Its expressions satisfy the constraints of the tables.

        The connection must be a superuser's; the database is not changed. Raises SampleError if no expressions are found for a
        table; the message says which constraint is not satisfied, or which column has no values. With `left_out` the error
        is added to it instead, and the table has no rows.
        """
        tables = {table.relation: table for table in await _tables(connection, schema)}
        plans: dict[int, Plan] = {}
        failures: dict[int, str] = {}
        for table in _parents_first(tables):
            try:
                plans[table.relation] = await Search(connection, table, _referenced(table, tables, plans)).run()
            except SampleError as error:
                if left_out is None:
                    raise
                left_out.append(error)
                failures[table.relation] = f"{error}"
        return cls(plans, failures)

    async def fill(
        self,
        connection: asyncpg.Connection[Any],
        tenants: Sequence[UUID],
        rows: int,
        *,
        first: int = 1,
        with_shared: bool = True,
    ) -> None:
        """Insert the rows `first` to `first + rows - 1` of each tenant into every table. The rows before `first` must exist.

        A table without a tenant column gets these rows once for all tenants, or no rows if `with_shared` is false. A table that
        can hold only one row (per tenant) gets this row unless it exists already.
        """
        async with connection.transaction():
            before = await connection.fetchval("SELECT current_setting('session_replication_role')")
            # This disables triggers and foreign-key checks, so no commit is recorded or numbered, and no other row is looked up.
            await connection.execute("SET LOCAL session_replication_role = replica")
            for plan in self.plans.values():
                newcomer = (NEWCOMER,) if plan.table.is_of_tenants else ()
                shared = (NOBODY,) if with_shared else ()
                for tenant in (*tenants, *newcomer) if plan.table.tenant else shared:
                    await connection.execute(plan.insertion(tenant, first, first + rows - 1))
            await connection.execute(_sql("sample_heads"), list(tenants))
            await connection.execute("SELECT set_config('session_replication_role', $1, true)", before)
        self.forget([*tenants, *((NOBODY,) if with_shared else ())], first + rows - 1)

    def forget(self, tenants: Sequence[UUID], last: int) -> None:
        """Take `last` as the number of the last row of each tenant, for example after rows have been rolled back."""
        self._picked.clear()
        self._rows.clear()
        self._last.update(dict.fromkeys(tenants, last))

    async def pick(
        self, connection: asyncpg.Connection[Any], relation: int, attnum: int, tenant: UUID, n: int
    ) -> object:
        """The value of a column in the tenant's `n`-th row (from 1), as asyncpg decodes it.

        `relation` is the table's OID, `attnum` the column's number. If the tenant has fewer than `n` rows in the table,
        counting starts again at its first row. Raises SampleError if it has none.
        """
        if relation not in self.plans:
            raise SampleError(self.failures.get(relation, "there are no sample rows of a view"))
        table = self.plans[relation].table
        if n > _PICKED and n <= self._last.get(tenant, 0) and not table.is_single:
            return (await self._row(connection, relation, tenant, n)).get(self._name(relation, attnum))
        key = (relation, attnum, tenant if table.tenant else None)
        if key not in self._picked:
            named = "SELECT quote_ident(attname) FROM pg_catalog.pg_attribute WHERE attrelid = $1 AND attnum = $2"
            column = await connection.fetchval(named, relation, attnum)
            rows = await connection.fetch(
                f"SELECT {column} FROM {table.name} WHERE {belongs_to(table, tenant)} ORDER BY ctid LIMIT {_PICKED}"
            )
            self._picked[key] = [row[0] for row in rows]
        values = self._picked[key]
        if not values:
            raise SampleError(f"{table.name} has no rows of {tenant}")
        return values[(n - 1) % len(values)]

    async def coming(
        self, connection: asyncpg.Connection[Any], relation: int, attnum: int, tenant: UUID, n: int
    ) -> object:
        """The value of a column in a row that does not exist yet: the `n`-th (from 1) after the existing rows of the tenant.

        If the table can hold only one row per tenant, the row is one of the tenant NEWCOMER, who has no row there. In the table
        of tenants it describes a new tenant. Returns None for a column that an INSERT can't set (generated).
        """
        if relation not in self.plans:
            raise SampleError(self.failures.get(relation, "there are no sample rows of a view"))
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
        """An SQL expression for a value of the type with this name, no matter which value."""
        return str(await connection.fetchval(_sql("sample_literal"), type_))


def _parents_first(tables: Mapping[int, Table]) -> Iterator[Table]:
    """Yields each table after the tables to which it refers. In a circle of references, one table comes too early."""
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


def _referenced(table: Table, tables: Mapping[int, Table], plans: Mapping[int, Plan]) -> dict[str, str]:
    """Maps the name of each column that refers to a row of another table to the SQL expression of the column referred to.

    In this expression, @n stands for the number of the row referred to.
    """
    found = {}
    for column in table.columns.values():
        if column.parent is None:
            continue
        relation, name = column.parent
        if relation not in tables or name not in tables[relation].columns:
            raise SampleError(f"{table.name}.{column.name} refers to what is given no value here")
        parent = tables[relation]
        # A table that refers to itself has no plan yet. Then the first candidate for the column referred to is used.
        plan = plans.get(relation)
        expression = plan.expressions[name] if plan else candidates(parent, {})[name][0].text
        expression = expression if parent.tenant else bound(expression, NOBODY)
        found[column.name] = expression.replace("@n", "1") if parent.is_single else expression
    return found


async def _tables(connection: asyncpg.Connection[Any], schema: str) -> list[Table]:
    rows = await connection.fetch(_sql("sample_columns"), schema)
    names = {row["table_name"]: row["relation"] for row in rows}
    literals = {each: await Sampler.literal(connection, each) for each in {row["type_name"] for row in rows}}
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
                literals[row["type_name"]], row["labels"], _FIXED.get((name, row["name"]), ""), row["is_from_sequence"],
            )  # fmt: skip
        found.append(Table(names[name], name, columns, given[0]["is_single"]))
    return found


def _sql(name: str) -> str:
    return files.sql("checks", f"{name}.sql").read_text(encoding="utf-8")
