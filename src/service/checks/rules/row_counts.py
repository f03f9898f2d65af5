"""Compares the rows that a query is proved to return with the kind of the statement: one, or a list that is bounded."""

from __future__ import annotations

from service.checks import spans
from service.checks.proofs import limits
from service.checks.proofs.cardinality import at_most_one
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Link, location
from service.checks.proving import Proved, Subject


def check(subject: Subject) -> None:
    """Check every variant."""
    for proved in subject.proved.values():
        _row_count(subject, proved)
        for query in proved.queries:
            _sub_selects(subject, proved, query)
            if (why := limits.why_not(query, proved.given)) and not subject.note("unbounded"):
                subject.say(
                    "unbounded", "a LIMIT that may be no limit",
                    span=spans.at(subject.entry.statement, proved.key, location(query.node["limitCount"])), proved=why,
                    remedy="let its parameter not be None, or write LIMIT coalesce(:limit, 50)",
                )  # fmt: skip


def _row_count(subject: Subject, proved: Proved) -> None:
    kind = subject.entry.statement.kind
    if kind in ("one", "maybe", "value") and not proved.one.holds and not subject.note("one"):
        subject.say(
            "several-rows", f"a :{kind} answers one row at most, and this may answer several", proved=proved.one.why,
            remedy="compare all columns of a unique index, add LIMIT 1 with a total order, or write '-- one: why there is one'",
        )  # fmt: skip
    is_bounded = proved.one.holds or limits.is_bounded(proved.scope, proved.given)
    # Of a LIMIT that bounds nothing it is told by itself.
    is_limited = proved.scope.node["limitCount"] is not None
    if kind == "many" and not is_bounded and not is_limited and not subject.note("unbounded"):
        subject.say(
            "unbounded", "a :many without LIMIT answers as many rows as there are",
            proved=proved.one.why,
            remedy="add LIMIT :limit, or write '-- unbounded: what bounds it'",
        )  # fmt: skip


def _sub_selects(subject: Subject, proved: Proved, query: QueryScope) -> None:
    """Report sub-selects that stand for one value and may return several rows: then the server refuses the statement."""
    for node in query.own:
        if node.kind != "SUBLINK" or node["subLinkType"] not in (Link.SCALAR, Link.MULTIPLE):
            continue
        one = at_most_one(query.inner(node["subselect"]))
        if not one.holds and not subject.note("one"):
            subject.say(
                "several-rows", "a sub-select that stands for one value may return several rows",
                span=spans.at(subject.entry.statement, proved.key, location(node)), proved=one.why,
                remedy="compare all columns of a unique index, add LIMIT 1 with a total order, or write '-- one: reason'",
            )  # fmt: skip
