"""Compares the rows that a query is proved to return with the kind of the statement: one, or a list that is bounded."""

from __future__ import annotations

from service.checks.proofs import limits
from service.checks.proving import Proved, Subject


def check(subject: Subject) -> None:
    """Check every variant."""
    for proved in subject.proved.values():
        _row_count(subject, proved)


def _row_count(subject: Subject, proved: Proved) -> None:
    kind = subject.entry.statement.kind
    if kind in ("one", "maybe", "value") and not proved.one.holds and not subject.note("one"):
        subject.say(
            "several-rows", f"a :{kind} answers one row at most, and this may answer several", proved=proved.one.why,
            remedy="compare all columns of a unique index, add LIMIT 1 with a total order, or write '-- one: why there is one'",
        )  # fmt: skip
    is_bounded = proved.one.holds or limits.is_bounded(proved.scope, proved.given)
    if kind == "many" and not is_bounded and not subject.note("unbounded"):
        subject.say(
            "unbounded", "a :many without LIMIT answers as many rows as there are",
            proved=limits.why_not(proved.scope, proved.given) or proved.one.why,
            remedy="add LIMIT :limit, or write '-- unbounded: what bounds it'",
        )  # fmt: skip
