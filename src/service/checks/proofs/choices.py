"""Expressions whose value depends on which row comes first: row numbers, array elements, aggregates, UPDATE … FROM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.checks.proofs.cardinality import Proof, pins_of
from service.checks.proofs.expressions import is_volatile, place_of, told_by
from service.checks.proofs.functions import system_name
from service.checks.proofs.orders import clause_keys, sorted_by, total_order
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Command, Link, Node, Source, arguments, references, same, walk, within

_NUMBERING = frozenset({"row_number", "ntile"})
_ORDERED = frozenset(
    {"array_agg", "json_agg", "jsonb_agg", "string_agg", "xmlagg", "json_object_agg", "jsonb_object_agg"}
)
_NEIGHBOURS = frozenset({"first_value", "last_value", "nth_value", "lag", "lead"})
"""Window functions that return a value of another row."""
_BY_ROWS = 0x4
"""`FRAMEOPTION_ROWS`: a frame of ROWS, which tells rows apart that are equal in the window's order."""
_ELEMENTS = frozenset({"->", "->>", "#>", "#>>"})
_PARTS = frozenset({
    "split_part", "left", "right", "substr", "substring", "jsonb_path_query_first", "jsonb_path_query", "jsonb_extract_path",
    "jsonb_extract_path_text", "json_extract_path", "json_extract_path_text",
})  # fmt: skip


def chosen_rows(scope: QueryScope) -> Iterator[tuple[Node, Proof]]:
    """Yields each such expression, with the proof whether its value is determined."""
    conditions = [*scope.always, *(each for join in scope.joins for each in join.on), scope.node["havingQual"]]
    if scope.node["limitCount"] is not None or scope.node["hasDistinctOn"]:
        conditions += sorted_by(scope)
    for variable in references(conditions):
        for inner, node in _windows(variable, scope):
            yield node, _of_window(inner, node)
    for each in scope.own:
        if each.kind == "SUBSCRIPTINGREF":
            yield from _elements(each["refexpr"], scope)
        elif (each.kind == "OPEXPR" and scope.catalog.operators.get(each["opno"]) in _ELEMENTS) or (
            each.kind == "FUNCEXPR" and system_name(each["funcid"], scope.catalog) in _PARTS
        ):
            yield from _elements(arguments(each)[0], scope)
        elif each.kind == "WINDOWFUNC" and system_name(each["winfnoid"], scope.catalog) in _NEIGHBOURS:
            yield each, _of_window(scope, each)
        elif each.kind == "AGGREF":
            yield from _arbitrary_value(each, scope)
    yield from _joined_rows(scope)


def _windows(variable: Node, scope: QueryScope) -> Iterator[tuple[QueryScope, Node]]:
    """The row numbers and ROWS windows from which a column of a subquery or table expression is computed, at any depth."""
    number, attribute = variable["varno"], variable["varattno"]
    inner = scope.source_query(number)
    if inner is None or scope.is_recursive(number):
        return
    for leaf in inner.leaves:
        if 0 < attribute <= len(leaf.outputs):
            for node in within(leaf.outputs[attribute - 1]["expr"]):
                if node.kind == "WINDOWFUNC" and (
                    system_name(node["winfnoid"], leaf.catalog) in _NUMBERING
                    or _window(leaf, node)["frameOptions"] & _BY_ROWS
                ):
                    yield leaf, node
                elif node.kind == "VAR" and node["varlevelsup"] == 0:
                    yield from _windows(node, leaf)


def _elements(array: Node | None, scope: QueryScope) -> Iterator[tuple[Node, Proof]]:
    """The aggregate or sub-select that builds an array (or JSON array, or text), with the proof that its order is total."""
    if array is None:
        return
    if array.kind == "AGGREF":
        if _keeps_order(array["aggfnoid"], scope):
            yield array, _of_aggregate(scope, array)
    elif array.kind == "WINDOWFUNC":
        if _keeps_order(array["winfnoid"], scope):
            yield array, _of_window(scope, array)
    elif array.kind == "SUBLINK" and array["subLinkType"] == Link.ARRAY:
        yield array, total_order(scope.inner(array["subselect"]))
    elif array.kind == "SUBLINK" and array["subLinkType"] == Link.SCALAR:
        yield from _shown(scope.inner(array["subselect"]), 1)
    elif place := place_of(array):
        inner = scope.source_query(place[0])
        if inner is not None:
            yield from _shown(inner, place[1])
    elif array.kind in ("COALESCEEXPR", "FUNCEXPR", "OPEXPR"):
        # A function of an array keeps its order, as far as is known.
        for each in arguments(array):
            yield from _elements(each, scope)
    elif array.kind in ("RELABELTYPE", "COERCEVIAIO", "ARRAYCOERCEEXPR"):
        yield from _elements(array["arg"], scope)


def _keeps_order(function: int, scope: QueryScope) -> bool:
    """Whether the result of an aggregate depends on the order of its rows, as far as is known."""
    found = scope.catalog.functions.get(function)
    return found is None or found.is_ours or found.name in _ORDERED


def _shown(inner: QueryScope, attribute: int) -> Iterator[tuple[Node, Proof]]:
    if inner.node["setOperations"] is None and 0 < attribute <= len(inner.outputs):
        yield from _elements(inner.outputs[attribute - 1]["expr"], inner)


def _window(scope: QueryScope, node: Node) -> Node:
    found: Node = next(each for each in scope.node.list("windowClause") if each["winref"] == node["winref"])
    return found


def _of_window(scope: QueryScope, node: Node) -> Proof:
    clause = _window(scope, node)
    keys = clause_keys(scope.node.list("targetList"), [*clause.list("partitionClause"), *clause.list("orderClause")])
    return _order_proof(scope, keys, "the window")


def _of_aggregate(scope: QueryScope, node: Node) -> Proof:
    keys = clause_keys(node.list("args"), node.list("aggorder"))
    if keys and node.list("args") and same(node.list("args")[0]["expr"], keys[0]):
        return Proof(True, "the aggregate orders its values by themselves")
    return _order_proof(scope, [*keys, *scope.grouping], "the aggregate")


def _order_proof(scope: QueryScope, keys: Sequence[Node], what: str) -> Proof:
    if is_volatile(keys, scope):
        return Proof(False, f"a volatile function decides the order of {what}")
    pins = pins_of(scope, told_by(keys))
    loose = ", ".join(scope.alias(number) for number in sorted(pins.loose))
    if loose:
        return Proof(False, f"rows of {loose} may be equal in the order of {what}")
    return Proof(True, f"the order of {what} has a unique key")


def _arbitrary_value(aggregate: Node, scope: QueryScope) -> Iterator[tuple[Node, Proof]]:
    """The aggregates that return one of several values: any_value, unless all of a group are one, and mode."""
    name = system_name(aggregate["aggfnoid"], scope.catalog)
    if name == "mode":
        yield aggregate, Proof(False, "several values may be equally frequent")
    elif name == "jsonb_object_agg":
        # Of several values of one key, the last remains.
        keys = [each["expr"] for each in aggregate.list("args")[:1]]
        by_key = _order_proof(scope, [*keys, *scope.grouping], "the keys of the object")
        yield aggregate, by_key if by_key.holds else _of_aggregate(scope, aggregate)
    elif name == "any_value":
        pins = pins_of(scope, told_by(scope.grouping))
        is_one = all(pins.is_fixed(each["expr"]) for each in aggregate.list("args"))
        yield aggregate, Proof(is_one, "a group has one value" if is_one else "a group may have several values")


def _joined_rows(scope: QueryScope) -> Iterator[tuple[Node, Proof]]:
    """The values that UPDATE and DELETE take from an entry that may have several rows for one target row.

    VALUES and arrays that the caller supplies are skipped.
    """
    is_change = scope.command in (Command.UPDATE, Command.DELETE)
    relation = scope.relation(scope.target) if is_change and scope.target else None
    if relation is None or len(scope.read) < 2:
        return
    pins = pins_of(scope, [(scope.target or 0, attribute) for attribute in relation.columns])
    stored = {each for each in scope.read if not _is_supplied(scope, each)}
    loose = stored - pins.single - {scope.target}
    taken = [each["expr"] for each in (*scope.assignments, *scope.outputs)]
    for each in references(taken):
        if each["varno"] in loose:
            name = scope.alias(each["varno"])
            yield each, Proof(False, f"several rows of {name} may meet one row of {scope.alias(scope.target or 0)}")


def _is_supplied(scope: QueryScope, number: int) -> bool:
    """Whether an entry has only what the caller supplies: VALUES, or a function of parameters that reads no column."""
    source = scope.source(number)
    if source is Source.FUNCTION:
        calls = [each["funcexpr"] for each in scope.entry(number).list("functions")]
        is_given = all(any(each.kind == "PARAM" for each in walk(call)) for call in calls)
        return is_given and not any(True for _ in references(calls))
    return source not in (Source.RELATION, Source.SUBQUERY, Source.CTE)
