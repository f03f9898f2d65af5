"""Measures how many more rows and blocks a statement touches when a tenant has ten times as many rows.

The measurement is compared with the growth class that the statement's header declares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from service.checks import plans, spans
from service.checks.proofs import isolation
from service.checks.proving import Proved, Subject, understanding
from service.checks.runs.arguments import Round, is_written
from service.checks.runs.samples import SampleError, Sampler
from service.checks.runs.trials import Trials, chosen, undone

FEW, MANY = 1_000, 10_000
_DEFAULT = {"many": "page"}
_ALLOWED: Mapping[str, Callable[[int], int]] = {
    "const": lambda few: few + 10,
    "page": lambda few: 2 * few + 60,
    # With FEW rows the plan may use an index, and with MANY rows a full scan. The limit allows one full scan, but not one
    # for each row.
    "tenant": lambda few: max(12 * few + 200, 3 * MANY),
}
"""For each growth class: how many rows may be touched with MANY rows, from the number touched with FEW. The margins allow
for a deeper index and for a page on which more rows are skipped."""
_BUFFERS: Mapping[str, Callable[[int], int]] = {
    "const": lambda few: 2 * few + 200,
    "page": lambda few: 3 * few + 200,
    "tenant": lambda few: 15 * few + 200,
}


_CHILDREN = 200
"""The most children that the parent of the last sample row can have. With FEW and MANY rows the last row is another one, so
the rows touched for it may differ by this number."""
_POLICY = re.compile(r"\(?[\w.]*tenant_id = app\.current_tenant\(\)\)?")
_BOUNDLESS = frozenset({"Seq Scan", "Function Scan", "ProjectSet"})
"""Nodes of a plan that may read any number of rows."""


@dataclass(frozen=True)
class Touched:
    """What one run touched: `rows` that were read, and `buffers`, the blocks that were accessed."""

    rows: int
    buffers: int


def default(subject: Subject) -> str:
    """The growth class of a statement whose header declares none: `page` for `:many`, `const` for all other kinds."""
    return _DEFAULT.get(subject.entry.statement.kind, "const")


def declared(subject: Subject) -> str:
    """The growth class of a statement: the one that its header declares, else the default of its kind."""
    notes = (note.subject for note in subject.entry.statement.notes if note.key == "grows")
    return next(notes, default(subject))


async def check(connection: Any, sampler: Sampler, subjects: Sequence[Subject], tenant: UUID) -> None:
    """Measure each statement with 1,000 and then with 10,000 rows of a tenant in every table.

    The connection must be a superuser's, to a database that nothing else uses. Everything is rolled back.
    """
    measured = [each for each in subjects if each.declared("unrun") is None]
    async with undone(connection):
        await sampler.fill(connection, [tenant], FEW)
        await connection.execute("ANALYZE")
        few = await _measure(connection, sampler, measured, tenant, FEW)
        await sampler.fill(connection, [tenant], MANY - FEW, first=FEW + 1, with_shared=False)
        await connection.execute("ANALYZE")
        many = await _measure(connection, sampler, measured, tenant, MANY)
        for subject in measured:
            with understanding(subject):
                await _note_what_may_grow(connection, subject)
    for subject in measured:
        has_runs = False
        for proved in chosen(subject):
            at = (subject.entry.label, proved.key)
            pairs = zip(few.get(at, ()), many.get(at, ()), strict=False)
            runs = [(one, other) for one, other in pairs if one is not None and other is not None]
            for n, (one, other) in enumerate(runs, 1):
                _judge(subject, proved, one, other, is_last=n == len(runs) > 1)
            has_runs = has_runs or bool(runs)
            if not runs and not any(each.code in ("never-ran", "not-understood") for each in subject.findings):
                subject.say(
                    "growth-unmeasured", "no run of it at 1,000 and at 10,000 rows succeeds, so its growth is not known",
                    remedy="correct it, or write '-- unrun: why sample rows can't suit it'",
                )  # fmt: skip
        if has_runs:
            _unneeded(subject)


def _unneeded(subject: Subject) -> None:
    for note in subject.entry.statement.notes:
        if note.key == "grows" and note.subject != default(subject) and not subject.is_used(note):
            subject.say(
                "note-unneeded", f"'-- grows: {note.subject}' is an exception that nothing needs",
                span=spans.of_line(subject.entry.statement, note.line), remedy="take it away",
            )  # fmt: skip


Measured = Mapping[tuple[str, int], Sequence[Touched | None]]
"""For each variant, by its statement's label and its key: what each of its `_rounds` touched; None for a run that failed."""


async def _measure(connection: Any, sampler: Sampler, subjects: Sequence[Subject], tenant: UUID, rows: int) -> Measured:
    trials = Trials(connection, sampler, tenant)
    found = {}
    for subject in subjects:
        with understanding(subject):
            for proved in chosen(subject):
                runs = [await _run(trials, subject, proved, tenant, each) for each in _rounds(subject, proved, rows)]
                found[subject.entry.label, proved.key] = runs
    return found


def _rounds(subject: Subject, proved: Proved, rows: int) -> list[Round]:
    """The rounds to measure, because each may lead to another access path.

    They have keys of the same row with few and with many rows, keys that do not exist, and keys of the last row.
    """
    if len(subject.entry.statement.variants[proved.key].parameters) < 2:
        return [Round(FEW // 2)]
    if is_written(subject, proved):
        return [Round(FEW // 2), Round(1, is_new=True), Round(1, is_absent=True), Round(rows)]
    if proved.key not in (0, subject.widest.key):
        return [Round(FEW // 2), Round(1, is_absent=True), Round(rows)]
    return [Round(FEW // 2), Round(FEW // 2 + 1), Round(1, is_absent=True), Round(2, is_absent=True), Round(rows)]


async def _run(trials: Trials, subject: Subject, proved: Proved, tenant: UUID, each: Round) -> Touched | None:
    try:
        values = await trials.arguments.values(subject, proved, {}, each)
    except SampleError:
        return None
    async with undone(trials.connection):
        return await _touched(trials.connection, subject, proved, values, tenant)


async def _touched(
    connection: Any, subject: Subject, proved: Proved, values: Sequence[object], tenant: UUID
) -> Touched | None:
    """What a run touches, including its triggers and foreign keys. None if it fails, as an INSERT of an existing row does."""
    text = subject.entry.statement.variants[proved.key].text
    before = await connection.fetchval(_READ)
    await connection.execute(f"SET LOCAL ROLE {subject.entry.role}; SET LOCAL app.tenant_id = '{tenant}'")
    try:
        explained = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", *values)
    except asyncpg.PostgresError:
        return None
    await connection.execute("RESET ROLE")
    beside = await connection.fetchval(_READ) - before
    plan = json.loads(explained)[0]["Plan"]
    rows = 0
    for node in plans.nodes(plan):
        if node["Node Type"].endswith("Scan"):
            removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            rows += round((node["Actual Rows"] + removed) * node["Actual Loops"])
    return Touched(max(rows, beside), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


_READ = """
SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid)), 0)::int8
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r'
   AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
"""
"""The number of live rows that this transaction has read so far, also in functions and triggers. Index entries are not
counted, because they include entries of rows that undone runs have inserted."""


def _judge(subject: Subject, proved: Proved, few: Touched, many: Touched, *, is_last: bool) -> None:
    if is_last:
        few = Touched(few.rows + _CHILDREN, few.buffers + 3 * _CHILDREN)
    class_ = declared(subject)
    if not _is_within(default(subject), few, many):
        subject.note("grows", class_)
    if _is_within(class_, few, many):
        return
    given = subject.entry.statement.given(proved.key)
    suffix = f", given {', '.join(given)}" if given else ""
    subject.say(
        "grows", f"it touches more than '{class_}' allows as the tenant grows{suffix}",
        span=spans.whole(subject.entry.statement),
        proved=f"{few.rows} rows and {few.buffers} blocks of {FEW:,}, {many.rows} rows and {many.buffers} blocks of {MANY:,}",
        remedy="add an index that leads to its rows, or write '-- grows: tenant'",
    )  # fmt: skip


def _is_within(class_: str, few: Touched, many: Touched) -> bool:
    return many.rows <= _ALLOWED[class_](few.rows) and many.buffers <= _BUFFERS[class_](few.buffers)


async def _note_what_may_grow(connection: Any, subject: Subject) -> None:
    """Mark the header's growth class as needed, if with other rows the plan may read more than it did with the sample rows.

    A filter may discard any number of rows before the first one that passes. A LIMIT may let a scan stop at any row.
    """
    class_ = declared(subject)
    if class_ == default(subject) or not subject.proved:
        return
    for node in plans.nodes(await plans.generic(connection, subject, subject.widest)):
        is_boundless = node["Node Type"] in _BOUNDLESS or _POLICY.sub("", node.get("Filter", "")).strip("() AND") != ""
        if (
            is_boundless
            or (class_ == "page" and node["Node Type"] == "Limit")
            or isolation.called(subject.widest.scope)
        ):
            subject.note("grows", class_)
