"""Finds where values come from and go to: which texts a result column may contain, and which columns a parameter is compared
with or written into.
"""

from __future__ import annotations

from collections.abc import Iterator

from service.checks.proofs.catalog import Column, Relation
from service.checks.proofs.expressions import place_of
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Node, Source, arguments

Texts = frozenset[str] | None
"""The only texts that a value can be, for example because a CHECK constraint lists them. None if nothing limits the value."""
Stored = tuple[Relation, Column]


def texts(scope: QueryScope) -> list[Texts]:
    """The texts that each result column of a query may contain; one item for each column, in the order of the columns."""
    if scope.texts is None:
        scope.texts = _shown(scope)
    return scope.texts


def _shown(scope: QueryScope) -> list[Texts]:
    operations = scope.node["setOperations"]
    if operations is not None:
        return _combined(operations, scope)
    return [texts_of(entry["expr"], scope) for entry in scope.outputs]


def _combined(part: Node, scope: QueryScope) -> list[Texts]:
    if part.kind == "RANGETBLREF":
        return texts(scope.subquery(part["rtindex"]))
    both = zip(_combined(part["larg"], scope), _combined(part["rarg"], scope), strict=True)
    return [None if one is None or other is None else one | other for one, other in both]


def texts_of(expression: Node | None, scope: QueryScope) -> Texts:
    """The texts that an expression may be; None where nothing limits them."""
    if expression is None:
        return frozenset()
    kind = expression.kind
    if kind == "CONST":
        return constant(expression)
    if kind == "RELABELTYPE":
        return texts_of(expression["arg"], scope)
    if kind == "VAR":
        return _variable(expression, scope.up(expression["varlevelsup"]))
    if kind == "CASEEXPR":
        return _union([*(each["result"] for each in expression["args"]), expression["defresult"]], scope)
    if kind == "COALESCEEXPR":
        return _union(expression["args"], scope)
    return None


def _union(expressions: list[Node | None], scope: QueryScope) -> Texts:
    found: frozenset[str] = frozenset()
    for each in expressions:
        known = texts_of(each, scope)
        if known is None:
            return None
        found |= known
    return found


def _variable(variable: Node, scope: QueryScope) -> Texts:
    number: int = variable["varno"]
    attribute: int = variable["varattno"]
    source = scope.source(number)
    if source is Source.RELATION:
        relation = scope.relation(number)
        if relation is None or attribute not in relation.columns:
            return None
        return relation.columns[attribute].allowed
    if source is Source.SUBQUERY:
        return texts(scope.subquery(number))[attribute - 1]
    if source is Source.CTE:
        expression, inner = scope.expression(number)
        return None if expression["cterecursive"] else texts(inner)[attribute - 1]
    if source is Source.JOIN:
        return texts_of(scope.entry(number).list("joinaliasvars")[attribute - 1], scope)
    if source is Source.GROUP:
        return texts_of(scope.entry(number).list("groupexprs")[attribute - 1], scope)
    return None


def constant(node: Node) -> Texts:
    """The text of a constant (CONST node), as a set of one; the empty set for NULL, None for a type of fixed length.

    The bytes of the constant begin with four bytes for its length, which are skipped.
    """
    if node["constisnull"]:
        return frozenset()
    value = node["constvalue"]
    data = value[-1] if isinstance(value, list) else value
    if node["constlen"] != -1 or not isinstance(data, bytes):
        return None
    return frozenset({data[4:].decode(errors="replace")})


def written(scope: QueryScope, number: int) -> Iterator[tuple[Relation, Column, bool]]:
    """The table columns into which a query, or a query inside it, writes the parameter `$number`.

    Yields the table, the column, and whether the column always gets this parameter's value. With CASE or COALESCE it may get
    another value instead.
    """
    for query in scope.queries:
        relation = query.relation(query.target) if query.target else None
        for entry in query.assignments if relation is not None else ():
            column = relation.columns.get(entry["resno"]) if relation is not None else None
            if relation is not None and column is not None:
                for value, is_plain in _values(entry["expr"], query):
                    if is_parameter(value, number):
                        yield relation, column, is_plain


def _values(expression: Node, scope: QueryScope, *, is_plain: bool = True) -> Iterator[tuple[Node, bool]]:
    """The expressions from which an expression may take its value.

    For CASE they are its branches, for COALESCE its arguments, for a column of a subquery in FROM the expression in the
    subquery. Any other expression is yielded itself.

    The second item of each pair is False if the value comes through CASE or COALESCE.
    """
    if expression.kind == "CASEEXPR":
        for each in (*(branch["result"] for branch in expression["args"]), expression["defresult"]):
            if each is not None:
                yield from _values(each, scope, is_plain=False)
    elif expression.kind == "COALESCEEXPR":
        for each in expression["args"]:
            yield from _values(each, scope, is_plain=False)
    elif (place := place_of(expression)) and scope.source(place[0]) is Source.SUBQUERY:
        inner = scope.subquery(place[0])
        if inner.node["setOperations"] is None and place[1] <= len(inner.outputs):
            yield from _values(inner.outputs[place[1] - 1]["expr"], inner, is_plain=is_plain)
    else:
        yield expression, is_plain


def compared(scope: QueryScope, number: int) -> Iterator[Stored]:
    """The table columns that a query, or a query inside it, compares with the parameter `$number` by an equality operator."""
    for query in scope.queries:
        for node in query.own:
            if node.kind == "OPEXPR" and query.catalog.equates(node["opno"]):
                one, other = arguments(node)
                for variable, value in ((one, other), (other, one)):
                    place = place_of(variable)
                    if place and is_parameter(value, number) and (relation := query.relation(place[0])) is not None:
                        yield relation, relation.columns[place[1]]


def is_parameter(expression: Node, number: int) -> bool:
    """Whether an expression is the parameter `$number`, with or without a cast that changes only its type (RELABELTYPE)."""
    return number_of(expression) == number


def number_of(expression: Node) -> int | None:
    """The number of a parameter, with or without a cast that changes only its type; None if the expression is anything else."""
    while expression.kind == "RELABELTYPE":
        expression = expression["arg"]
    if expression.kind != "PARAM" or expression["paramkind"] != 0:
        return None
    number: int = expression["paramid"]
    return number


def uncast(expression: Node) -> Node:
    """An expression without the casts around it."""
    while expression.kind in ("RELABELTYPE", "COERCEVIAIO", "ARRAYCOERCEEXPR") or (
        expression.kind == "FUNCEXPR" and expression["funcformat"] and len(expression.list("args")) == 1
    ):
        expression = expression["arg"] or expression["args"][0]
    return expression
