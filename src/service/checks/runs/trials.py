"""Runs statements on sample rows. Parameters get values that occur in these rows, and each run can be undone."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from service.checks.proving import Proved, Subject
from service.checks.runs.arguments import Arguments
from service.checks.runs.samples import Sampler

TENANTS = UUID("aaaaaaaa-0000-4000-8000-000000000001"), UUID("bbbbbbbb-0000-4000-8000-000000000002")
"""The tenant that statements are run as, and the one whose rows they must not see."""


@dataclass(frozen=True)
class Outcome:
    """The result of a run: its rows, or the SQLSTATE of its failure. `touched` is the command tag, such as `UPDATE 1`."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[object, ...], ...] = ()
    touched: str = ""
    failure: str = ""
    message: str = ""


@contextlib.asynccontextmanager
async def undone(connection: Any) -> AsyncIterator[None]:
    """A transaction (inside another one, a savepoint) that is always rolled back at its end."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


class Trials:
    """Runs statements as their roles and bound to a tenant, on a superuser's connection to a database with sample rows."""

    def __init__(self, connection: Any, sampler: Sampler, bound: UUID) -> None:
        self.connection, self.sampler, self.bound = connection, sampler, bound
        self.arguments = Arguments(connection, sampler, bound)

    async def run(self, subject: Subject, proved: Proved, values: Iterable[object]) -> Outcome:
        """Run a variant in the current transaction."""
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
            answer = Outcome(failure=str(error.sqlstate), message=str(error.args[0]))
        await self.connection.execute("RESET ROLE")
        return answer


def chosen(subject: Subject) -> list[Proved]:
    """The variants that are run: without any optional line, with all of them, and with each one alone."""
    statement = subject.entry.statement
    keys = {0, max(statement.variants), *(statement.key([name]) for name in statement.conditions)}
    return [subject.proved[key] for key in sorted(keys) if key in subject.proved]
