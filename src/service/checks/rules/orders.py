"""Orders: that LIMIT, and whatever else takes some of the rows, takes the same rows each time."""

from __future__ import annotations

from service.checks import spans
from service.checks.proofs import choices
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import location
from service.checks.proving import Proved, Subject
from service.checks.rules import pages

_UNORDERED_GROUPS = "end ORDER BY with all columns of GROUP BY, or write '-- unordered: why any will do'"
_UNORDERED = "end ORDER BY with a unique key such as id, or write '-- unordered: why any will do'"


def check(subject: Subject) -> None:
    """Check the orders of every variant."""
    for proved in subject.proved.values():
        for scope, proof in proved.orders:
            if not proof.holds and not subject.note("unordered"):
                what = "LIMIT" if scope.node["limitCount"] is not None else "DISTINCT ON"
                subject.say(
                    "order-not-total", f"{what} takes some of the rows, and which ones is left open",
                    span=spans.at(subject.entry.statement, proved.key, location(scope.node["limitCount"])), proved=proof.why,
                    remedy=_UNORDERED_GROUPS if scope.node.list("groupClause") else _UNORDERED,
                )  # fmt: skip
        paged = [pages.check(subject, proved, each) for each, _ in proved.orders if each.node["limitCount"] is not None]
        if paged and not any(paged):
            pages.lost(subject, proved)
        for scope in proved.scope.queries:
            _choices(subject, proved, scope)


def _choices(subject: Subject, proved: Proved, scope: QueryScope) -> None:
    if (given := scope.node["limitOffset"]) is not None:
        subject.say(
            "offset", "OFFSET reads all that it leaves out", span=spans.at(subject.entry.statement, proved.key, location(given)),
            remedy="go on after the last row: (created_at, id) < (…)",
        )  # fmt: skip
    for node, proof in choices.chosen_rows(scope):
        if not proof.holds and not subject.note("unordered"):
            subject.say(
                "order-not-total", "one of several rows is taken, and which one is left open",
                span=spans.at(subject.entry.statement, proved.key, location(node)), proved=proof.why, remedy=_UNORDERED,
            )  # fmt: skip
