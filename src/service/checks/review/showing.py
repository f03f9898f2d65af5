"""Formats statements as text for a terminal: a table of many statements, or all facts about one statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.checks.plans import Plan
from service.checks.proving import Subject
from service.checks.review import calling
from service.checks.review.facts import ALL_TENANTS, Facts, Held, Step
from service.checks.review.stating import state

_HEADS = ("STATEMENT", "ANSWERS", "SCOPE", "VARIANTS", "GROWS", "TABLES")


def listed(subjects: Sequence[Subject]) -> list[str]:
    """The lines of a text table: a line of headings, then one line for each statement."""
    rows = [_HEADS, *(_row(state(each)) for each in subjects)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(facts: Facts) -> tuple[str, ...]:
    tables = ", ".join(each.name for each in facts.tables) or "-"
    return facts.label, f":{facts.kind}", facts.scope, str(facts.variants), facts.grows, tables


def as_json(subject: Subject) -> Mapping[str, Any]:
    """The facts about one statement, as a dictionary for JSON output. The plan, the indexes and the requests are left out."""
    return _facts(subject, None).as_json


def shown(subject: Subject, plan: Plan | None = None) -> str:
    """The facts about one statement as text. `plan` is the plan of the variant with all optional lines; None leaves it out."""
    return "\n".join(_lines(_facts(subject, plan)))


def _facts(subject: Subject, plan: Plan | None) -> Facts:
    callers = calling.callers([subject.entry], {})[subject.entry.label]
    found = {subject.widest.key: plan} if plan is not None else {}
    return state(subject, callers=callers, plan=plan, found=found)


def _lines(facts: Facts) -> Iterator[str]:
    variants = f"{facts.variants} variant{'' if facts.variants == 1 else 's'}"
    yield f"{facts.label}  :{facts.kind}  {facts.scope}  {variants}  grows: {facts.grows}"
    yield f"{facts.file}:{facts.line}"
    yield facts.doc
    for remark in facts.remarks:
        yield f"-- {remark.key}: {f'{remark.subject} because ' if remark.subject else ''}{remark.reason}"
    yield from _section("FINDINGS", (line for block in facts.findings for line in block.split("\n")))
    yield from _section("TEXT", facts.source.split("\n"))
    yield from _section("PROVED", _proved(facts))
    yield from _section(
        "PARAMETERS",
        _columns(
            [
                (f":{each.name}", each.type, each.annotation, each.given, "; ".join(each.uses))
                for each in facts.parameters
            ]
        ),
    )
    yield from _section(
        "COLUMNS",
        _columns([
            (each.name, each.type, f"{'may be NULL' if each.is_nullable else 'never NULL'}: {each.why}", each.becomes)
            for each in facts.answers
        ]),
    )  # fmt: skip
    missing = ALL_TENANTS if facts.scope == "platform" else "nothing"
    yield from _section(
        "TENANT LOCKS",
        _columns([
            (each.named, "written" if each.is_written else "read", each.policy or missing,
             each.predicate or (f"nothing, because {each.reason}" if each.reason else missing))
            for each in facts.locks
        ]),
    )  # fmt: skip
    yield from _section("PLAN", _plan(facts.plan, "") if facts.plan else ())
    yield from _section("SENT BY A GET", facts.sent.split("\n") if facts.sent else ())
    yield from _section("CALLED BY", (each.place for each in facts.callers))


def _section(title: str, lines: Any) -> Iterator[str]:
    found = list(lines)
    if found:
        yield ""
        yield title
        yield from (f"  {line}".rstrip() for line in found)


def _proved(facts: Facts) -> Iterator[str]:
    yield f"another tenant's row: {facts.isolation}"
    yield f"rows: {_held(facts.rows)}"
    for each in facts.orders:
        yield f"order of {each.about}: {'total' if each.holds else 'not total'}: {each.why}"
    for table in facts.tables:
        yield f"{table.name}: {', '.join(table.commands)}"
    for call in facts.calls:
        yield f"calls {call.name}() with {call.rights}: {call.reason or 'nothing says why'}"


def _held(held: Held) -> str:
    return f"{held.about}: {held.why}" if held.why else held.about


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _plan(step: Step, margin: str) -> Iterator[str]:
    """The lines of a plan whose top node is `step`. They begin with `margin`, which grows by two spaces with each level."""
    role = f"{step.role}: " if step.role else ""
    on = f" on {step.on}" if step.on else ""
    through = f" through {step.index}" if step.index else ""
    yield f"{margin}{role}{step.title}{on}{through}"
    for label, words in step.details:
        yield f"{margin}    {label}: {' AND '.join(words)}"
    for each in step.steps:
        yield from _plan(each, f"{margin}  ")
