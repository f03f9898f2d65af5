"""How much more a statement touches when a tenant has ten times the rows, against what its header says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from service.checks import plans, spans
from service.checks.proving import Proved, Subject
from service.checks.runs.samples import Sampler
from service.checks.runs.trials import Trials, chosen, undone

FEW, MANY = 1_000, 10_000
_ROW = 500
"""The row whose keys are looked for; it is there in either case."""
_DEFAULT = {"many": "page"}
_ALLOWED = {
    "const": lambda few: few + 10,
    "page": lambda few: 2 * few + 60,
    # If few rows were found by an index, many may be read by a full scan, but by one scan only, not by one for each row.
    "tenant": lambda few: max(12 * few + 200, 3 * MANY),
}
"""How many rows may be touched with ten times the rows. An index's depth, an unlucky page are no growth."""
_BUFFERS = {
    "const": lambda few: 2 * few + 200,
    "page": lambda few: 3 * few + 200,
    "tenant": lambda few: 15 * few + 200,
}


@dataclass(frozen=True)
class Touched:
    """What one run touched: rows that its scans read, blocks that it looked at."""

    rows: int
    buffers: int


def declared(subject: Subject) -> str:
    """The class of a statement: as its header says; else const for one row, page for several."""
    notes = (note.subject for note in subject.entry.statement.notes if note.key == "grows")
    return next(notes, _DEFAULT.get(subject.entry.statement.kind, "const"))


async def check(connection: Any, sampler: Sampler, subjects: Sequence[Subject], tenant: UUID) -> None:
    """Measure each statement at 1,000 and at 10,000 rows of a tenant in every table.

    The connection is a superuser's to a database that nothing else uses; everything is rolled back.
    """
    async with undone(connection):
        await sampler.fill(connection, [tenant], FEW)
        await connection.execute("ANALYZE")
        few = await _measure(connection, sampler, subjects, tenant)
        await sampler.fill(connection, [tenant], MANY - FEW, first=FEW + 1)
        await connection.execute("ANALYZE")
        many = await _measure(connection, sampler, subjects, tenant)
    for subject in subjects:
        for proved in chosen(subject):
            at = (subject.entry.label, proved.key)
            if at in few and at in many:
                _judge(subject, proved, few[at], many[at])


async def _measure(
    connection: Any, sampler: Sampler, subjects: Sequence[Subject], tenant: UUID
) -> Mapping[tuple[str, int], Touched]:
    trials = Trials(connection, sampler, tenant)
    found = {}
    for subject in subjects:
        for proved in chosen(subject):
            values = await trials.values(subject, proved, {}, _ROW)
            async with undone(connection):
                touched = await _touched(connection, subject, proved, values, tenant)
            if touched is not None:
                found[subject.entry.label, proved.key] = touched
    return found


async def _touched(
    connection: Any, subject: Subject, proved: Proved, values: Sequence[object], tenant: UUID
) -> Touched | None:
    """What a run touches; None where it fails, as an INSERT of what is there does."""
    text = subject.entry.statement.variants[proved.key].text
    await connection.execute(f"SET LOCAL ROLE {subject.entry.role}; SET LOCAL app.tenant_id = '{tenant}'")
    try:
        explained = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", *values)
    except asyncpg.PostgresError:
        return None
    plan = json.loads(explained)[0]["Plan"]
    rows = 0
    for node in plans.nodes(plan):
        if node["Node Type"].endswith("Scan"):
            removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            rows += round((node["Actual Rows"] + removed) * node["Actual Loops"])
    return Touched(rows, plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def _judge(subject: Subject, proved: Proved, few: Touched, many: Touched) -> None:
    class_ = declared(subject)
    if many.rows <= _ALLOWED[class_](few.rows) and many.buffers <= _BUFFERS[class_](few.buffers):
        return
    given = subject.entry.statement.given(proved.key)
    suffix = f", given {', '.join(given)}" if given else ""
    subject.say(
        "grows", f"it touches more than '{class_}' allows as the tenant grows{suffix}",
        span=spans.whole(subject.entry.statement),
        proved=f"{few.rows} rows and {few.buffers} blocks of {FEW:,}, {many.rows} rows and {many.buffers} blocks of {MANY:,}",
        remedy="add an index that leads to its rows, or write '-- grows: tenant'",
    )  # fmt: skip
