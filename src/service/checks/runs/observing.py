"""Runs every statement with parameter values of the bound tenant's own rows.

At least one run of each variant must succeed, and the results must agree with what was proved.
"""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Sequence

from service.checks import spans
from service.checks.proofs.annotations import expected
from service.checks.proving import Proved, Subject, understanding
from service.checks.runs import framing
from service.checks.runs.arguments import rounds
from service.checks.runs.samples import SampleError
from service.checks.runs.trials import Outcome, Trials, chosen, undone
from service.statements.statement import Note

_FAULTS = ("22", "42", "23514", "23502", "0A")
"""SQLSTATEs, or their first two characters, of errors for which the statement is blamed and not the sample row: invalid values
(22), unknown names and missing privileges (42), violated CHECK (23514) and NOT NULL (23502), unsupported features (0A)."""


async def observe(trials: Trials, subjects: Sequence[Subject]) -> None:
    """Run all statements, except those with `-- unrun:` in their header, and compare the results with the proofs.

    `trials.chosen` says which variants are run, `arguments.rounds` with which values. Each run is rolled back.
    """
    for subject in subjects:
        if subject.declared("unrun") is not None:
            if not await _runs(trials, subject):
                subject.note("unrun")
            continue
        with understanding(subject):
            has_rows = [await _observe(trials, subject, proved) for proved in chosen(subject)]
            if not any(has_rows):
                _unshown(subject)


async def _runs(trials: Trials, subject: Subject) -> bool:
    """Whether each variant succeeds in a run after all, and returns a row if exceptions about rows have to be shown."""
    has_rows = False
    for proved in chosen(subject):
        outcomes = []
        for each in rounds(subject, proved):
            try:
                values = await trials.arguments.values(subject, proved, {}, each)
            except SampleError:
                continue
            async with undone(trials.connection):
                outcomes.append(await trials.run(subject, proved, values))
        if all(each.failure for each in outcomes):
            return False
        has_rows = has_rows or any(each.rows for each in outcomes)
    return has_rows or not any(each.key in ("notnull", "one", "values") for each in subject.entry.statement.notes)


def _unshown(subject: Subject) -> None:
    """Report exceptions about rows of which no run has returned one: nothing speaks for them."""
    for note in subject.entry.statement.notes:
        if note.key in ("notnull", "one", "values"):
            subject.say(
                "note-unshown", f"no run returns a row that could show '-- {note.key}: {note.subject or note.reason}'",
                span=spans.of_line(subject.entry.statement, note.line),
                remedy="let the statement find sample rows, or write '-- unrun: why they can't suit it'",
            )  # fmt: skip


async def _observe(trials: Trials, subject: Subject, proved: Proved) -> bool:
    failures: Counter[tuple[str, str]] = Counter()
    has_run = has_rows = False
    for each in rounds(subject, proved):
        try:
            values = await trials.arguments.values(subject, proved, {}, each)
        except SampleError as error:
            failures["", str(error)] += 1
            continue
        async with undone(trials.connection):
            outcome = await trials.run(subject, proved, values)
            await framing.compare(trials, subject, proved, values, outcome)
        if outcome.failure:
            failures[outcome.failure, outcome.message] += 1
            # In a round with None or with values of new rows, the values need not fit together. So a violated CHECK (23514) is
            # then no fault of the statement.
            if outcome.failure.startswith(_FAULTS) and not (
                outcome.failure == "23514" and (each.is_new or each.is_empty)
            ):
                _refused(subject, outcome)
            continue
        has_run = True
        has_rows = has_rows or bool(outcome.rows)
        _nulls(subject, proved, outcome)
        _rows(subject, proved, outcome)
        _texts(subject, outcome)
    if not has_run:
        _never_ran(subject, proved, failures)
    return has_rows


def _refused(subject: Subject, outcome: Outcome) -> None:
    if not subject.note("fails", outcome.failure):
        subject.say(
            "run-refused", f"PostgreSQL refuses it when it is run: {outcome.message}",
            proved=f"SQLSTATE {outcome.failure}, with sample values of its parameters",
            remedy=f"correct it, or write '-- fails: {outcome.failure} because …'",
        )  # fmt: skip


def _never_ran(subject: Subject, proved: Proved, failures: Counter[tuple[str, str]]) -> None:
    given = subject.entry.statement.given(proved.key)
    suffix = f" when {', '.join(given)} is given" if given else ""
    subject.say(
        "never-ran", f"no run of it with sample rows succeeds{suffix}, so nothing is shown by running it",
        proved="; ".join(
            f"{f'SQLSTATE {state}: ' if state else ''}{message}" for (state, message), _ in failures.most_common(2)
        ),
        remedy="correct it, or write '-- unrun: why sample rows can't suit it'",
    )  # fmt: skip


def _nulls(subject: Subject, proved: Proved, outcome: Outcome) -> None:
    for position, column in enumerate(outcome.columns):
        is_null = any(row[position] is None for row in outcome.rows)
        note, verdict = subject.declared("notnull", column), proved.verdicts[position]
        if is_null and (note or not verdict.is_nullable):
            subject.say(
                "null-observed", f"'{column}' was NULL", span=spans.of_word(subject.entry.statement, column),
                proved=f"it should never be: {note.reason if note else verdict.why}", remedy=_remedy(note),
            )  # fmt: skip


def _rows(subject: Subject, proved: Proved, outcome: Outcome) -> None:
    note = subject.declared("one")
    is_one = subject.entry.statement.kind in ("one", "maybe", "value") and (note or proved.one.holds)
    if len(outcome.rows) > 1 and is_one:
        subject.say(
            "rows-observed", f"it answered {len(outcome.rows)} rows",
            proved=f"there should be one: {note.reason if note else proved.one.why}", remedy=_remedy(note),
        )  # fmt: skip


def _texts(subject: Subject, outcome: Outcome) -> None:
    """Report a text that `-- values` says is none of a column's."""
    for position, column in enumerate(outcome.columns):
        note, model = subject.declared("values", column), subject.entry.model
        literals = (
            None if note is None or model is None else expected(typing.get_type_hints(model).get(column)).literals
        )
        shown = {value for row in outcome.rows if isinstance(value := row[position], str)}
        if literals is not None and shown - literals:
            subject.say(
                "values-observed", f"'{column}' was {', '.join(sorted(shown - literals))}",
                span=spans.of_word(subject.entry.statement, column),
                proved=f"it should be one of the listed texts: {note.reason if note else ''}", remedy=_remedy(note),
            )  # fmt: skip


def _remedy(note: Note | None) -> str:
    if note is None:
        return "the proof in src/service/checks is wrong"
    return f"take '-- {note.key}: …' away, which is not so, and keep the rule that it excused"
