"""The rules about locks, rewritten tables, new indexes and foreign keys in migrations, which run while the service is in use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from service.checks.findings import Finding
from service.checks.migrations.locks import Step
from service.checks.migrations.scripts import Script

_MEANING = {
    "AccessExclusiveLock": "nobody reads or writes it",
    "ExclusiveLock": "nobody writes it",
    "ShareRowExclusiveLock": "nobody writes it",
    "ShareLock": "nobody writes it",
    "ShareUpdateExclusiveLock": "it is neither vacuumed nor altered",
}
"""The effect of each lock mode on other transactions while the lock is held. "it" is the locked table."""


def judged(script: Script, steps: Sequence[Step]) -> Iterator[Finding]:
    """The findings about one migration. `steps` says what each of its statements did."""
    yield from _impatient(script, steps)
    yield from _ineffective(script)
    for step in steps:
        yield from _rewritten(script, step)
        yield from _built(script, step)
        yield from _unbracketed(script, step, steps[-1])


def refused(script: Script, steps: Sequence[Step]) -> Iterator[Finding]:
    """A finding for the statement that the server refused, if there is one.

    A migration that runs in a transaction was tried on tables with sample rows. A migration that has to run outside a
    transaction was run on the tables as they were, without sample rows.
    """
    for step in steps:
        if step.error:
            where = "on tables with rows" if script.is_transactional else "on tables as they are"
            yield Finding(
                "fails-on-rows" if script.is_transactional else "migration-fails",
                script.id,
                script.span(step.statement),
                f"the server refuses this {where}: {step.error}.",
                "it was run as the owner with no tenant bound, as `quarry migrate up` does.",
                "Let it hold for every row there may be; backfill by a procedure that binds each tenant in turn.",
            )


def _impatient(script: Script, steps: Sequence[Step]) -> Iterator[Finding]:
    for step in steps:
        if step.locks and step.waits_forever:
            table, mode = min(step.locks.items())
            yield Finding(
                "lock-timeout-missing",
                script.id,
                script.span(step.statement),
                f"this locks {table}, and waits for the lock without end.",
                f"it took {mode}, and lock_timeout was 0. Whoever comes after it waits too; then {_MEANING[mode]}.",
                f"Write SET {'LOCAL ' if script.is_transactional else ''}lock_timeout = '4s'; before it.",
            )
            return


def _ineffective(script: Script) -> Iterator[Finding]:
    for statement in () if script.is_transactional else script.statements:
        if re.match(r"SET\s+LOCAL\b", statement.text, re.IGNORECASE):
            yield Finding(
                "set-local-ineffective",
                script.id,
                script.span(statement),
                "this sets nothing.",
                "the file runs outside a transaction, where SET LOCAL ends with its own statement.",
                "Write SET instead; the connection ends with the migration.",
            )


def _rewritten(script: Script, step: Step) -> Iterator[Finding]:
    for table in step.rewritten:
        yield Finding(
            "table-rewritten",
            script.id,
            script.span(step.statement),
            f"this rewrites all rows of {table}.",
            "its file is another one afterwards (pg_class.relfilenode). Nobody reads or writes it meanwhile.",
            "Add a column, fill it tenant by tenant, and drop the old one in a later migration.",
        )


def _built(script: Script, step: Step) -> Iterator[Finding]:
    for table, index in step.indexes:
        yield Finding(
            "index-not-concurrent",
            script.id,
            script.span(step.statement),
            f"this builds the index {index} while writers of {table} wait.",
            "the table was there before the migration, and the index was built in its transaction.",
            "CREATE INDEX CONCURRENTLY in a migration of its own, with -- transactional: false below its -- depends:.",
        )


def _unbracketed(script: Script, step: Step, last: Step) -> Iterator[Finding]:
    for reference in step.references:
        left = reference.forced or last.unforced
        if not left:
            continue
        when = "while the policies of {} are forced" if reference.forced else "and leaves the policies of {} not forced"
        refused = "; on rows the server refused it with TN001" if reference.is_unbound else ""
        yield Finding(
            "foreign-key-unbracketed",
            script.id,
            script.span(step.statement),
            f"this checks the foreign key {reference.name} {when.format(' and '.join(left))}.",
            f"pg_constraint says validated, pg_class.relforcerowsecurity says so{refused}. Bound, it sees one tenant's rows.",
            "ALTER TABLE … NO FORCE ROW LEVEL SECURITY on both tables before it, and FORCE on both after it.",
        )
