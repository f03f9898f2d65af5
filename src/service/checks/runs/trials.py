"""Runs statements on sample rows, each as the role that its scope requires. What a run has changed can be rolled back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from service.checks.proving import Proved, Subject
from service.checks.runs.arguments import Arguments
from service.checks.runs.samples import Sampler
from service.statements.frames import Frame

TENANTS = UUID("aaaaaaaa-0000-4000-8000-000000000001"), UUID("bbbbbbbb-0000-4000-8000-000000000002")
"""The ids of the two tenants that have sample rows. Statements run bound to the first, and must not see rows of the second."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one run of a statement.

    If the run succeeded, it has the names of the result's columns, the rows, and PostgreSQL's command tag (`touched`, such as
    `UPDATE 1`). Otherwise `failure` is the SQLSTATE of the error, and `message` its text.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[object, ...], ...] = ()
    touched: str = ""
    failure: str = ""
    message: str = ""


@contextlib.asynccontextmanager
async def undone(connection: Any) -> AsyncIterator[None]:
    """A transaction that is always rolled back at the end of the `with` block; inside another transaction it is a savepoint."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


class Trials:
    """Runs statements, each as the role that its scope requires and bound to the tenant `bound`.

    The connection must be a superuser's, to a database with sample rows.
    """

    def __init__(self, connection: Any, sampler: Sampler, bound: UUID) -> None:
        self.connection, self.sampler, self.bound = connection, sampler, bound
        self.arguments = Arguments(connection, sampler, bound)

    async def run(self, subject: Subject, proved: Proved, values: Iterable[object]) -> Outcome:
        """Run a variant in the current transaction. `values` are the values of its parameters `$1`, `$2` and so on.

        If PostgreSQL reports an error, it is returned as a part of the outcome and not raised.
        """
        text = subject.entry.statement.variants[proved.key].text
        await self._begin(subject, self.bound)
        try:
            async with self.connection.transaction():
                prepared = await self.connection.prepare(text)
                records = await prepared.fetch(*values)
                if proved.may_write:
                    # Run the deferred constraints now, because this transaction is never committed.
                    await self.connection.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
                names = tuple(each.name for each in prepared.get_attributes() or ())
                answer = Outcome(names, tuple(tuple(record) for record in records), prepared.get_statusmsg())
        except asyncpg.PostgresError as error:
            answer = Outcome(failure=str(error.sqlstate), message=str(error.args[0]))
        await self.connection.execute("RESET ROLE")
        return answer

    async def run_framed(self, subject: Subject, frame: Frame, values: Sequence[object]) -> Outcome:
        """Run a variant in a frame. It is planned for all values, and before a tenant is bound. See `run`.

        The rows of the outcome are those of the statement; rows that are rendered as JSON have one column.
        """
        async with undone(self.connection):
            # A tenant with a schema of its own is not served so.
            await self.connection.execute(f"DELETE FROM app.schemas WHERE tenant_id = '{self.bound}'")
            await self._begin(subject, "")
            await self.connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            try:
                records = await self.connection.fetch(frame.text, *frame.values(self.bound, values))
            except asyncpg.PostgresError as error:
                return Outcome(failure=str(error.sqlstate), message=str(error.args[0]))
        rows = [(each,) if isinstance(each, str) else tuple(each.values()) for each in frame.read(records).answer]
        return Outcome(rows=tuple(rows))

    async def _begin(self, subject: Subject, tenant: UUID | str) -> None:
        await self.connection.execute(
            f"SET LOCAL ROLE {subject.entry.role}; SET LOCAL app.tenant_id = '{tenant}'; SET LOCAL statement_timeout = '20s'"
        )


def chosen(subject: Subject) -> list[Proved]:
    """The variants of a statement that are run: without optional lines, with all of them, and with the lines of each condition.

    A condition is the `:name` in `-- when :name`. Variants of which nothing is proved are left out.
    """
    statement = subject.entry.statement
    keys = {0, max(statement.variants), *(statement.key([name]) for name in statement.conditions)}
    return [subject.proved[key] for key in sorted(keys) if key in subject.proved]
