"""LIMITs, and whatever else takes some of the rows: DISTINCT ON, the first rows of a window, the first element of an array."""

from __future__ import annotations

from collections.abc import Iterator

from service.checks.proofs import nullability
from service.checks.proofs.cardinality import Proof, pins_of
from service.checks.proofs.keys import place_of
from service.checks.proofs.scopes import QueryScope, variables
from service.checks.proofs.tree import Node, Source

_WITH_TIES = 1
"""`LIMIT_OPTION_WITH_TIES`."""
_NUMBERING = frozenset({"row_number", "first_value", "last_value", "nth_value", "lag", "lead", "ntile"})


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


def chosen_rows(scope: QueryScope) -> Iterator[tuple[Node, Proof]]:
    """The expressions that choose among rows by an order, and whether that order leaves no choice open."""
    for number in scope.read:
        if scope.source(number) is Source.SUBQUERY:
            inner = scope.subquery(number)
            for node in _asked(scope, number, inner):
                yield node, _of_window(inner, node)
    for node in scope.own:
        if node.kind == "SUBSCRIPTINGREF" and node["refexpr"] is not None and node["refexpr"].kind == "AGGREF":
            yield node["refexpr"], _of_aggregate(scope, node["refexpr"])


def _asked(scope: QueryScope, number: int, inner: QueryScope) -> Iterator[Node]:
    """The row numbers and the like of a subquery that a condition around it asks for."""
    if inner.node["setOperations"] is not None:
        return
    conditions = [*scope.always, *(each for join in scope.joins for each in join.on)]
    for variable in variables(conditions):
        if (
            variable["varlevelsup"] == 0
            and variable["varno"] == number
            and 0 < variable["varattno"] <= len(inner.outputs)
        ):
            expression = inner.outputs[variable["varattno"] - 1]["expr"]
            function = inner.catalog.functions.get(expression["winfnoid"]) if expression.kind == "WINDOWFUNC" else None
            if function is not None and function.name in _NUMBERING:
                yield expression


def _of_window(scope: QueryScope, node: Node) -> Proof:
    clause = next(each for each in scope.node.list("windowClause") if each["winref"] == node["winref"])
    by_reference = {each["ressortgroupref"]: each["expr"] for each in scope.node.list("targetList")}
    keys = [
        by_reference[each["tleSortGroupRef"]]
        for each in (*clause.list("partitionClause"), *clause.list("orderClause"))
    ]  # fmt: skip
    return _total(scope, keys, "the window")


def _of_aggregate(scope: QueryScope, node: Node) -> Proof:
    by_reference = {each["ressortgroupref"]: each["expr"] for each in node.list("args")}
    keys = [by_reference[each["tleSortGroupRef"]] for each in node.list("aggorder")]
    return _total(scope, [*keys, *scope.grouping], "the aggregate")


def _total(scope: QueryScope, keys: list[Node], what: str) -> Proof:
    pins = pins_of(scope, [place for each in keys if (place := place_of(each))])
    loose = ", ".join(scope.alias(number) for number in sorted(pins.loose))
    if loose:
        return Proof(False, f"rows of {loose} may be equal in the order of {what}")
    return Proof(True, f"the order of {what} has a unique key")
