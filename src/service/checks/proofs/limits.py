"""LIMITs, and whether they bound the rows of a query."""

from __future__ import annotations

from service.checks.proofs import nullability
from service.checks.proofs.cardinality import at_most_one, pins_of
from service.checks.proofs.expressions import integer, place_of
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Link, arguments, references, walk

_MOST = 100_000
"""A LIMIT with a larger number bounds nothing that a caller could keep."""
_WITH_TIES = 1
"""`LIMIT_OPTION_WITH_TIES`."""


def takes_some(scope: QueryScope) -> bool:
    """Whether a query returns only some of the rows that its conditions leave."""
    return scope.node["limitCount"] is not None or bool(scope.node["hasDistinctOn"])


def is_bounded(scope: QueryScope, given: frozenset[int]) -> bool:
    """Whether the rows of a query are bounded; `given` are the parameters that are never None.

    They are bounded if there is a LIMIT, if there is at most one row, or if a unique key joins each row to a row of a bounded
    inner query. Example: an UPDATE of the rows that `WITH … LIMIT` selects.
    """
    if scope.node["limitCount"] is not None:
        return not why_not(scope, given)
    return at_most_one(scope).holds or _joins_bounded(scope, given)


def _joins_bounded(scope: QueryScope, given: frozenset[int]) -> bool:
    node = scope.node
    if node["hasTargetSRFs"] or node.list("groupingSets") or node["setOperations"] is not None:
        return False
    start, numbers = [], set()
    for number in scope.read:
        inner = scope.source_query(number)
        is_whole = inner is not None and not scope.is_recursive(number) and not scope.entry(number)["lateral"]
        if inner is not None and is_whole and is_bounded(inner, given):
            numbers.add(number)
            start += [(number, position) for position in range(1, len(inner.outputs) + 1)]
    for condition in scope.always:
        if condition.kind == "SUBLINK" and condition["subLinkType"] == Link.ANY:
            test, inner = condition["testexpr"], scope.inner(condition["subselect"])
            is_equal = test.kind == "OPEXPR" and scope.catalog.equates(test["opno"])
            is_whole = not any(True for _ in references(condition["subselect"]))
            place = place_of(arguments(test)[0]) if is_equal and is_whole else None
            start += [place] if place and is_bounded(inner, given) else []
    return bool(start) and pins_of(scope, start).loose <= numbers


def why_not(scope: QueryScope, given: frozenset[int]) -> str:
    """Why a LIMIT bounds nothing; '' if it does, or if there is none."""
    limit = scope.node["limitCount"]
    if limit is None:
        return ""
    if scope.node["limitOption"] == _WITH_TIES:
        return "WITH TIES returns every row that is equal to the last one"
    if nullability.of_expression(limit, scope, given).is_nullable:
        return "LIMIT NULL is no limit"
    if any(each.kind in ("SUBLINK", "CASEEXPR") for each in walk(limit)):
        return "what LIMIT depends on may be any number"
    if any((number := integer(each)) is not None and number > _MOST for each in walk(limit)):
        return f"LIMIT may be more than {_MOST:,}"
    return ""
