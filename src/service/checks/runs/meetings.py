"""What a parameter meets in a statement: columns that it is written into or compared with, texts, and functions."""

from __future__ import annotations

from collections.abc import Iterator

from service.checks.proofs import origins, writes
from service.checks.proofs.expressions import place_of
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Node, Source, arguments, walk

_ROWS = frozenset({
    "jsonb_to_recordset", "json_to_recordset", "jsonb_array_elements", "json_array_elements", "jsonb_array_elements_text",
    "json_array_elements_text", "jsonb_array_length", "json_array_length",
})  # fmt: skip
_SPECIAL = {
    **dict.fromkeys(_ROWS, "[{}]"),
    "timezone": "UTC",
    "date_trunc": "month",
    "to_tsquery": "word",
}
"""Texts for the first argument of functions that refuse others: an array of JSON, a time zone, a unit of time."""


def met(scope: QueryScope, number: int) -> Iterator[tuple[origins.Stored, bool]]:
    """Yields each column that a parameter is written into (with True) or compared with (with False).

    Instead of the parameter, it may also be a column in FROM that is made from the parameter, such as that of `unnest(:ids)`.
    Columns into which the parameter itself is written come first.
    """
    through: set[tuple[int, int, int]] = set()
    for query in scope.queries:
        through |= {(id(query), *place) for place in _unnested(query, number)}
    for relation, column, _ in origins.written(scope, number):
        yield (relation, column), True
    for query in scope.queries:
        for target, value in _stores(query):
            if (place := place_of(value)) and (id(query), *place) in through:
                yield target, True
        for node in query.own:
            for one, other in _pairs(node):
                for variable, value in ((one, other), (other, one)):
                    stored = _stored(query, variable)
                    is_met = origins.is_parameter(origins.uncast(value), number) or (
                        (place := place_of(value)) is not None and (id(query), *place) in through
                    )
                    if stored is not None and is_met:
                        yield stored, False


def _stores(query: QueryScope) -> Iterator[tuple[origins.Stored, Node]]:
    """Yields each column that a query writes, with the expression for its value; for COALESCE, once with each argument."""
    for relation, column, expression in writes.assigned(query):
        for value in _ends(expression):
            yield (relation, column), value


def _ends(expression: Node) -> Iterator[Node]:
    if expression.kind == "COALESCEEXPR":
        for each in expression["args"]:
            yield from _ends(each)
    else:
        yield expression


def _stored(query: QueryScope, expression: Node) -> origins.Stored | None:
    """The table and column that an expression consists of; None if the expression is anything else."""
    place = place_of(expression)
    relation = query.relation(place[0]) if place else None
    return (relation, relation.columns[place[1]]) if place and relation and place[1] in relation.columns else None


def _pairs(node: Node) -> Iterator[tuple[Node, Node]]:
    """The pairs of operands of a node: one pair for a binary operator, one pair for each column of a row comparison."""
    if node.kind in ("OPEXPR", "SCALARARRAYOPEXPR", "DISTINCTEXPR") and len(node.list("args")) == 2:
        one, other = arguments(node)
        yield one, other
    elif node.kind == "ROWCOMPAREEXPR":
        yield from zip(node["largs"], node["rargs"], strict=True)


def _unnested(query: QueryScope, number: int) -> Iterator[tuple[int, int]]:
    """Yields the columns in FROM that are computed by a function call with the parameter as argument, such as `unnest(:ids)`.

    The call may be directly in FROM or be a column of a subquery in FROM. The values of such a column are assumed to be the
    elements of the parameter. A column is a pair of numbers: that of its entry in the range table (the list of tables,
    functions and subqueries of the query), and that of the column in this entry.
    """
    for entry in query.read:
        calls: list[Node] = []
        if query.source(entry) is Source.FUNCTION:
            calls = [each["funcexpr"] for each in query.entry(entry).list("functions")]
        elif query.source(entry) is Source.SUBQUERY:
            calls = [each["expr"] for each in query.subquery(entry).outputs]
        for position, call in enumerate(calls, 1):
            if call.kind == "FUNCEXPR" and any(
                origins.is_parameter(origins.uncast(each), number) for each in call.list("args")
            ):
                yield entry, position


def listed(scope: QueryScope, number: int) -> list[str]:
    """The texts that a statement searches for in an array parameter, such as `name` in `'name' = ANY (:given)`.

    All of them together are used as the parameter's value. In a statement that serves PATCH requests they are the names of
    the fields that such a request may change.
    """
    found: set[str] = set()
    for node in walk(scope.node):
        if node.kind == "SCALARARRAYOPEXPR":
            one, other = arguments(node)
            if one.kind == "CONST" and origins.is_parameter(origins.uncast(other), number):
                found.update(origins.constant(one) or ())
    return sorted(found)


def special(scope: QueryScope, number: int) -> str | None:
    """A text that a function needs that gets the parameter as its first argument; None if there is no such function."""
    for query in scope.queries:
        for node in query.own:
            given = arguments(node)[:1] if node.kind == "FUNCEXPR" else []
            if given and origins.is_parameter(origins.uncast(given[0]), number):
                function = query.catalog.functions.get(node["funcid"])
                if function is not None and not function.is_ours and function.name in _SPECIAL:
                    return _SPECIAL[function.name]
    return None
