"""Searches the sample values of one table: an SQL expression for each column, so that all rows satisfy every constraint."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from service import files
from service.checks.runs.values import Candidate, SampleError, Table, bound, candidates

_TRIED = "(SELECT generate_series(1::bigint, 400) UNION ALL SELECT generate_series(20001::bigint, 20100)) AS s (n)"
"""The row numbers with which the expressions of a table are tried: 1 to 400 and 20,001 to 20,100. If rows with these numbers
satisfy the constraints, rows with the numbers between are assumed to satisfy them too. So a table can get about 20,000 sample
rows per tenant."""
_ATTEMPTS = 500
_COMBINATIONS = 4096
"""The largest number of combinations of candidates that are tried for the columns of one constraint. So the more columns the
constraint has, the fewer candidates of each column are tried."""

_REFUSALS = (asyncpg.CheckViolationError, asyncpg.UniqueViolationError, asyncpg.ExclusionViolationError)


@dataclass(frozen=True)
class Plan:
    """How to make the sample rows of a table: `expressions` maps the name of each column to an SQL expression for its value.

    In an expression, `@n` stands for the number of the row.
    """

    table: Table
    expressions: Mapping[str, str]

    def insertion(self, tenant: UUID, first: int, last: int) -> str:
        """The text of an INSERT that inserts the rows `first` to `last` of one tenant.

        If the table can hold only one row (per tenant), it inserts this row unless it exists already.
        """
        if self.table.is_single:
            there = f"SELECT FROM {self.table.name} WHERE {belongs_to(self.table, tenant)}"
            return self.into(self.table.name, tenant, f"(SELECT 1::bigint WHERE NOT EXISTS ({there})) AS s (n)")
        series = f"generate_series({first}::bigint, {last}) AS s (n)"
        # Rows that belong to no tenant may exist already, because an earlier call for other tenants has inserted them.
        return self.into(self.table.name, tenant, series) + (" ON CONFLICT DO NOTHING" if not self.table.tenant else "")

    def row(self, tenant: UUID, number: int) -> str:
        """The text of a SELECT that computes the tenant's row with this number. The row need not exist and is not inserted."""
        values = ", ".join(f'{text} AS "{column}"' for column, text in self.expressions.items()).replace("@n", "s.n")
        return f"SELECT {bound(values, tenant)} FROM (SELECT {number}::bigint) AS s (n)"

    def into(self, name: str, tenant: UUID, series: str) -> str:
        """The text of an INSERT into the table `name`. `series` is an item of FROM that returns the numbers of the rows."""
        columns = ", ".join(f'"{column}"' for column in self.expressions)
        values = ", ".join(self.expressions.values()).replace("@n", "s.n")
        return f"INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE SELECT {bound(values, tenant)} FROM {series}"


class Search:
    """The search for the expressions of one table. Each attempt inserts rows into a temporary, empty copy of the table.

    If a row violates a constraint, the next attempt uses other candidates for the columns of this constraint. The search ends
    when no row violates any.
    """

    def __init__(self, connection: asyncpg.Connection[Any], table: Table, referenced: Mapping[str, str]) -> None:
        self._connection, self._table = connection, table
        self._left = candidates(table, referenced)
        self._chosen = {column: left[0] for column, left in self._left.items()}
        self._failed: list[Mapping[str, Candidate]] = []

    async def run(self) -> Plan:
        """Search, and return the plan that was found. Raises SampleError if candidates or attempts run out before that."""
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            await self._connection.execute(
                f"CREATE TEMPORARY TABLE trial (LIKE {self._table.name} INCLUDING CONSTRAINTS INCLUDING INDEXES "
                "INCLUDING GENERATED INCLUDING IDENTITY)"
            )
            for _ in range(_ATTEMPTS):
                plan = Plan(self._table, {column: chosen.text for column, chosen in self._chosen.items()})
                if (refusal := await self._refusal(plan)) is None:
                    return plan
                await self._move_on(refusal)
        finally:
            await transaction.rollback()
        raise SampleError(f"{self._table.name}: no rows satisfy it after {_ATTEMPTS} attempts, at last {refusal}")

    async def _refusal(self, plan: Plan) -> str | None:
        """Insert rows of a plan into the copy. Returns the name of the constraint that a row violates, None if there is none."""
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
        rows = await self._connection.fetch(
            files.sql("checks", "sample_refusal.sql").read_text(encoding="utf-8"), constraint
        )
        columns = [row[0] for row in rows if row[0] != self._table.tenant and row[0] in self._left]
        if len(columns) == 1:
            # Candidates with the same `value` differ only in the rows in which they are NULL. They would violate it too.
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
        """Yields combinations of one remaining candidate for each of these columns, the combination with the lowest cost first.

        If a column has more candidates than can be combined, only those with the lowest costs are used, and the last one, which
        for a nullable column is NULL.
        """
        left = [sorted(self._left[column], key=lambda each: each.cost) for column in columns]
        width = int(_COMBINATIONS ** (1 / max(1, len(columns)))) - 1
        tried = itertools.product(*([*each[:width], *each[width:][-1:]] for each in left))
        for combination in sorted(tried, key=lambda each: sum(candidate.cost for candidate in each)):
            yield dict(zip(columns, combination, strict=True))


def belongs_to(table: Table, tenant: UUID) -> str:
    """The SQL condition that a row of a table belongs to a tenant; `true` if the table has no tenant column."""
    return f"\"{table.tenant}\" = '{tenant}'" if table.tenant else "true"
