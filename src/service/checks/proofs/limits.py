"""LIMITs, and whatever else takes some of the rows: DISTINCT ON, the first rows of a window, the first element of an array."""

from __future__ import annotations

from collections.abc import Iterator

from service.checks.proofs import nullability
from service.checks.proofs.cardinality import Proof, pins_of, told_by
from service.checks.proofs.keys import is_volatile, place_of
from service.checks.proofs.orders import total_order
from service.checks.proofs.scopes import QueryScope, variables
from service.checks.proofs.tree import Link, Node, Source, within

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
    conditions = [*scope.always, *(each for join in scope.joins for each in join.on)]
    for variable in variables(conditions):
        if variable["varlevelsup"] == 0:
            for inner, node in _windows(variable, scope):
                yield node, _of_window(inner, node)
    for each in scope.own:
        if each.kind == "SUBSCRIPTINGREF":
            yield from _elements(each["refexpr"], scope)


def _windows(variable: Node, scope: QueryScope) -> Iterator[tuple[QueryScope, Node]]:
    """The row numbers and the like from which a column of a subquery or of a table expression is made, however deep."""
    number, attribute = variable["varno"], variable["varattno"]
    source = scope.source(number)
    if source is Source.SUBQUERY:
        inner = scope.subquery(number)
    elif source is Source.CTE and not scope.expression(number)[0]["cterecursive"]:
        inner = scope.expression(number)[1]
    else:
        return
    for leaf in leaves(inner):
        if 0 < attribute <= len(leaf.outputs):
            for node in within(leaf.outputs[attribute - 1]["expr"]):
                function = leaf.catalog.functions.get(node["winfnoid"]) if node.kind == "WINDOWFUNC" else None
                if function is not None and function.name in _NUMBERING:
                    yield leaf, node
                elif node.kind == "VAR" and node["varlevelsup"] == 0:
                    yield from _windows(node, leaf)


def leaves(scope: QueryScope) -> Iterator[QueryScope]:
    """The queries that a set operation puts together; the query itself if it is none."""
    operations = scope.node["setOperations"]
    if operations is None:
        yield scope
        return
    parts = [operations]
    while parts:
        part = parts.pop()
        if part.kind == "RANGETBLREF":
            yield from leaves(scope.subquery(part["rtindex"]))
        else:
            parts += [part["larg"], part["rarg"]]


def _elements(array: Node | None, scope: QueryScope) -> Iterator[tuple[Node, Proof]]:
    """Of an array of which an element is taken: the aggregate or sub-select that makes it, and the proof of its order."""
    if array is None:
        return
    if array.kind == "AGGREF":
        yield array, _of_aggregate(scope, array)
    elif array.kind == "COALESCEEXPR":
        for each in array["args"]:
            yield from _elements(each, scope)
    elif array.kind == "SUBLINK" and array["subLinkType"] == Link.ARRAY:
        yield array, total_order(scope.inner(array["subselect"]))
    elif (place := place_of(array)) and scope.source(place[0]) is Source.SUBQUERY:
        inner = scope.subquery(place[0])
        if inner.node["setOperations"] is None and 0 < place[1] <= len(inner.outputs):
            yield from _elements(inner.outputs[place[1] - 1]["expr"], inner)


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
    if is_volatile(keys, scope):
        return Proof(False, f"a volatile function decides the order of {what}")
    pins = pins_of(scope, told_by(keys))
    loose = ", ".join(scope.alias(number) for number in sorted(pins.loose))
    if loose:
        return Proof(False, f"rows of {loose} may be equal in the order of {what}")
    return Proof(True, f"the order of {what} has a unique key")
