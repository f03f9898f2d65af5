"""The rules about rows in migrations: what looks at all of them, changes or deletes them, and what a rollback loses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from service.checks.findings import Finding
from service.checks.migrations.locks import Step, Trace
from service.checks.migrations.scripts import Script

_LOCKING = re.compile(r"(ALTER|DROP|TRUNCATE|LOCK|CREATE\s+(UNIQUE\s+)?INDEX|CREATE\s+TRIGGER)\b", re.IGNORECASE)
"""Statements that lock a table in a way that others have to wait for."""
_COUNTERS = frozenset({"app.heads", "app.installation"})
"""Tables that triggers write when a row of another is written: one row for each tenant, or one at all."""


def judged(script: Script, back: Script | None, traced: Trace) -> Iterator[Finding]:
    """The findings about a migration, and about its rollback `back`."""
    for step in traced.steps:
        yield from _looked(script, step)
        yield from _changed(script, step)
        if re.match(r"LOCK\b", step.statement.text, re.IGNORECASE):
            yield _finding(
                script,
                step,
                "lock-table",
                "this locks a table by hand, until the transaction ends",
                "whoever wants the table waits for all statements after it.",
                "Let each statement take the lock that it needs.",
            )
    if back is not None:
        yield from _impatient(script, back, traced.tables)
        if traced.refused is not None:
            place = back.span(traced.refused.statement) if traced.refused.statement else back.span_of()
            yield Finding(
                "way-back-fails",
                script.id,
                place,
                f"the server refuses this on tables with rows: {traced.refused}.",
                "it was run as the owner with no tenant bound, as `quarry migrate down` does.",
                "Let it hold for every row there may be.",
            )
        if traced.lost:
            more = f" and {len(traced.lost) - 1} more" if len(traced.lost) > 1 else ""
            yield Finding(
                "way-back-loses",
                script.id,
                script.span_of(),
                f"the way back loses {traced.lost[0]}{more}.",
                f"on tables with rows, up and back again lost: {'; '.join(traced.lost[:6])}.",
                "Keep the values, or say why nobody needs them: -- accepts: way-back-loses because …",
            )


def _impatient(script: Script, back: Script, tables: frozenset[str]) -> Iterator[Finding]:
    """A finding for the first statement of a rollback that locks one of `tables`, and has no lock_timeout before it."""
    for statement in back.statements:
        if re.match(r"SET\s+(LOCAL\s+|SESSION\s+)?lock_timeout\b", statement.text, re.IGNORECASE):
            return
        is_lock = _LOCKING.match(statement.text)
        if is_lock and tables & set(re.findall(r"\w+", statement.text)):
            yield Finding(
                "lock-timeout-missing",
                script.id,
                back.span(statement),
                "this waits for a lock without end, on the way back.",
                "no statement before it sets lock_timeout. Whoever comes after it waits too.",
                f"Write SET {'LOCAL ' if script.is_transactional else ''}lock_timeout = '4s'; before it.",
            )
            return


def _looked(script: Script, step: Step) -> Iterator[Finding]:
    for table, name in step.effects.checked:
        yield _finding(
            script,
            step,
            "check-looks-at-rows",
            f"this looks at all rows of {table} for the CHECK {name}",
            "the constraint is validated by the statement that adds it. Nobody reads or writes the table meanwhile.",
            "ADD CONSTRAINT … NOT VALID, and VALIDATE CONSTRAINT in a migration of its own.",
        )
    for table, name in step.effects.kept:
        if script.is_transactional:
            yield _finding(
                script,
                step,
                "validated-at-once",
                f"this validates {name} of {table} while the lock that added it is held",
                "NOT VALID and VALIDATE are in one transaction. Nobody reads or writes the table meanwhile.",
                "VALIDATE CONSTRAINT in a migration of its own.",
            )
    for table, name in step.effects.narrowed:
        yield _finding(
            script,
            step,
            "served-release-refused",
            f"the running release may write rows to {table} that {name} rejects",
            "a constraint applies to new rows at once, even if it is NOT VALID, and the previous release still writes.",
            "First ship a release whose rows satisfy the constraint, then write: -- accepts: served-release-refused because …",
        )
    for table, name in step.effects.required:
        yield _finding(
            script,
            step,
            "not-null-looks-at-rows",
            f"this looks at all rows of {table} for NULL in {name}",
            "no validated CHECK says that the column is not NULL. Nobody reads or writes the table meanwhile.",
            f"ADD CONSTRAINT … CHECK ({name} IS NOT NULL) NOT VALID, VALIDATE it in a later migration, and then SET NOT NULL.",
        )


def _changed(script: Script, step: Step) -> Iterator[Finding]:
    for table in set(step.effects.updated) - _COUNTERS if script.is_transactional else ():
        yield _finding(
            script,
            step,
            "backfill-in-one-transaction",
            f"this changes rows of {table}, of all tenants in one transaction",
            "on tables with rows it updated some. Their writers wait until the migration ends.",
            "Backfill tenant by tenant, in a procedure that commits in between, with -- transactional: false.",
        )
    for table in step.effects.deleted:
        yield _finding(
            script,
            step,
            "rows-deleted",
            f"this deletes rows of {table}",
            "on tables with rows it deleted some.",
            "Leave them to a purge, or say why nobody needs them: -- accepts: rows-deleted because …",
        )


def _finding(script: Script, step: Step, *texts: str) -> Finding:
    code, message, proved, remedy = texts
    return Finding(code, script.id, script.span(step.statement), f"{message}.", proved, remedy)
