"""Measures how many more rows and blocks a statement touches when a tenant has ten times as many rows.

The growth class of the statement says how many more are allowed: `const`, `page` or `tenant`. The line `-- grows:` of its
header declares the class; without this line, the statement's kind decides.
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
    # The planner may use an index with FEW rows, and a full scan with MANY rows. So the limit allows a few full scans of a
    # table with MANY rows, but not one scan for each row.
    "tenant": lambda few: max(12 * few + 200, 3 * MANY),
}
"""Maps a growth class to a function. Its argument is the number of rows that a run touches if the tables have FEW rows; its
result is the number that the run may touch if they have MANY. The constants that are added leave room for a page on which
more rows are skipped."""
_BUFFERS: Mapping[str, Callable[[int], int]] = {
    "const": lambda few: 2 * few + 200,
    "page": lambda few: 3 * few + 200,
    "tenant": lambda few: 15 * few + 200,
}


_CHILDREN = 200
"""The largest number of sample rows that refer to the same row as the last sample row does. The last of MANY rows is not the
last of FEW rows, so the numbers of rows that are touched with the keys of the last row may differ by this much without growth."""
_POLICY = re.compile(r"\(?[\w.]*tenant_id = app\.current_tenant\(\)\)?")
_BOUNDLESS = frozenset({"Seq Scan", "Function Scan", "ProjectSet", "Recursive Union"})
"""Kinds of plan nodes that may read or produce any number of rows."""


@dataclass(frozen=True)
class Touched:
    """What one run of a statement touched: the number of rows that it read, and of blocks that it accessed (`buffers`)."""

    rows: int
    buffers: int


_NOTHING = Touched(0, 0)


def default(subject: Subject) -> str:
    """The growth class of a statement whose header declares none: `page` for the kind `:many`, `const` for all other kinds."""
    return _DEFAULT.get(subject.entry.statement.kind, "const")


def declared(subject: Subject) -> str:
    """The growth class of a statement: the one that its header declares, else the default of its kind."""
    notes = (note.subject for note in subject.entry.statement.notes if note.key == "grows")
    return next(notes, default(subject))


async def check(connection: Any, sampler: Sampler, subjects: Sequence[Subject], tenant: UUID) -> None:
    """Measure each statement when a tenant has 1,000 rows in every table, and again when it has 10,000.

    Statements with `-- unrun:` in their header are not measured. The connection must be a superuser's, to a database that
    nothing else uses. All changes are rolled back.
    """
    measured = [each for each in subjects if each.declared("unrun") is None]
    async with undone(connection):
        await sampler.fill(connection, [tenant], FEW)
        async with undone(connection):
            await sampler.fill(connection, [tenant], MANY - FEW, first=FEW + 1, with_shared=False)
            await connection.execute("ANALYZE")
            many = await _measure(connection, sampler, measured, tenant, rows=MANY)
            for subject in measured:
                with understanding(subject):
                    await _note_possible_growth(connection, subject)
        sampler.forget([tenant], FEW)
        await connection.execute("ANALYZE")
        few = await _measure(connection, sampler, measured, tenant, rows=FEW, many=many)
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
"""Maps the label of a statement and the key of a variant to what the variant touched, in each of the runs that `_rounds` lists.
A run that failed has None."""


async def _measure(
    connection: Any,
    sampler: Sampler,
    subjects: Sequence[Subject],
    tenant: UUID,
    *,
    rows: int,
    many: Measured | None = None,
) -> Measured:
    """Run all variants. With `many`, repeat only runs that touched so much of MANY rows that it matters how much of FEW."""
    trials = Trials(connection, sampler, tenant)
    found = {}
    for subject in subjects:
        with understanding(subject):
            for proved in chosen(subject):
                at = subject.entry.label, proved.key
                known = [] if many is None else many.get(at, ())
                found[at] = [
                    _NOTHING
                    if known and _is_little(subject, known[n])
                    else await _run(trials, subject, proved, tenant, each)
                    for n, each in enumerate(_rounds(subject, proved, rows))
                ]
    return found


def _is_little(subject: Subject, many: Touched | None) -> bool:
    """Whether a run with MANY rows touches so little that it keeps to each class in question."""
    classes = (declared(subject), default(subject))
    return many is not None and all(_is_within(each, _NOTHING, many) for each in classes)


def _rounds(subject: Subject, proved: Proved, rows: int) -> list[Round]:
    """The rounds in which a variant is measured. Each has other keys, because a plan may read more rows for some keys.

    The keys are those of a row in the middle of FEW rows (the same row with MANY), keys that no row has, and those of the last
    row. `rows` is the number of rows in each table. A variant with fewer than two parameters is measured only once.
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
    """Run a variant, and return what it touched. The rows include those that triggers and foreign-key checks read.

    Returns None if PostgreSQL reports an error, for example because an INSERT inserts a row that exists already.
    """
    text = subject.entry.statement.variants[proved.key].text
    # If a query writes nothing and calls none of our functions, its plan shows everything it reads.
    is_watched = proved.may_write
    before = await connection.fetchval(_READ) if is_watched else 0
    await connection.execute(f"SET LOCAL ROLE {subject.entry.role}; SET LOCAL app.tenant_id = '{tenant}'")
    try:
        explained = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", *values)
    except asyncpg.PostgresError:
        return None
    await connection.execute("RESET ROLE")
    beside = await connection.fetchval(_READ) - before if is_watched else 0
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
"""This query returns the number of live rows that the current transaction has read so far, also in functions and triggers.
Index entries are not counted, because some of them may belong to rows of runs that have been rolled back."""


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


async def _note_possible_growth(connection: Any, subject: Subject) -> None:
    """Mark the growth class in the header as needed if the statement may read more rows of real data than of sample rows.

    It may if one of these holds: the plan has a sequential scan or a set-returning function; it has a filter, which may discard
    any number of rows; it has no LIMIT and uses an index that is not unique; the class is `page` and it has a LIMIT; the
    statement calls one of our own functions. `check` reports the class as unneeded if neither this function nor the measurements
    mark it.
    """
    class_ = declared(subject)
    if class_ == default(subject) or not subject.proved:
        return
    plan = [*plans.nodes(await plans.generic(connection, subject, subject.widest))]
    has_limit = any(node["Node Type"] == "Limit" for node in plan)
    unique = {
        each.name.rpartition(".")[2]
        for relation in subject.catalog.relations.values()
        for each in relation.indexes
        if each.is_unique
    }
    may_grow = (
        (class_ == "page" and has_limit)
        or any(node["Node Type"] in _BOUNDLESS or _is_filtered(node) for node in plan)
        or (not has_limit and any(node.get("Index Name", "") not in {*unique, ""} for node in plan))
        or isolation.called(subject.widest.scope)
    )
    if may_grow:
        subject.note("grows", class_)


def _is_filtered(node: plans.Plan) -> bool:
    return _POLICY.sub("", node.get("Filter", "")).strip("() AND") != ""
