"""LIMITs, and whether they bound the rows of a query."""

from __future__ import annotations

from service.checks.proofs import nullability
from service.checks.proofs.scopes import QueryScope

_WITH_TIES = 1
"""`LIMIT_OPTION_WITH_TIES`."""


def takes_some(scope: QueryScope) -> bool:
    """Whether a query returns only some of the rows that its conditions leave."""
    return scope.node["limitCount"] is not None or bool(scope.node["hasDistinctOn"])


def is_bounded(scope: QueryScope, given: frozenset[int]) -> bool:
    """Whether LIMIT bounds the rows of a query; `given` are the parameters that are never None."""
    return scope.node["limitCount"] is not None and not why_not(scope, given)


def why_not(scope: QueryScope, given: frozenset[int]) -> str:
    """Why a LIMIT bounds nothing; '' if it does, or if there is none."""
    limit = scope.node["limitCount"]
    if limit is None:
        return ""
    if scope.node["limitOption"] == _WITH_TIES:
        return "WITH TIES returns every row that is equal to the last one"
    if nullability.of_expression(limit, scope, given).is_nullable:
        return "LIMIT NULL is no limit"
    return ""
