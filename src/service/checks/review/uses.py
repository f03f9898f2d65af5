"""Describes in words, from the query tree, what a statement does with its tables and parameters."""

from __future__ import annotations

from collections.abc import Iterator

from service.checks.proofs import origins
from service.checks.proofs.catalog import Relation
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Command, Node, within

_UPDATES_ON_CONFLICT = 2
"""The value that means ON CONFLICT DO UPDATE in PostgreSQL's enum `OnConflictAction`."""
Path = tuple[Node, ...]
"""An expression and the nodes around it: first the outermost node, then the nodes inside it, at the end the expression itself."""


def tables(scope: QueryScope) -> list[tuple[Relation, list[str]]]:
    """Every table and view that a query or a query inside it uses, each with the commands that are applied to it (SELECT, …)."""
    found: dict[int, tuple[Relation, list[str]]] = {}
    for query in scope.queries:
        for number in sorted(query.read | ({query.target} if query.target else set())):
            relation = query.relation(number)
            if relation is None:
                continue
            words = found.setdefault(relation.oid, (relation, []))[1]
            words.append(query.command.name if number == query.target else Command.SELECT.name)
            conflict = query.node["onConflict"]
            if number == query.target and conflict is not None and conflict["action"] == _UPDATES_ON_CONFLICT:
                words.append(Command.UPDATE.name)
    return [(relation, list(dict.fromkeys(words))) for relation, words in found.values()]


def of_parameter(scope: QueryScope, number: int) -> list[str]:
    """What a statement does with the parameter `$number`, in words, such as `= campaigns.id` or `goes into campaigns.name`."""
    words = [f"goes into {relation.name}.{column.name}" for relation, column, _ in origins.written(scope, number)]
    for query in scope.queries:
        for field, value in query.node.fields.items():
            if field == "cteList":
                continue
            for path in _paths(value, number, ()):
                words += [_said(path, query) or ("LIMIT" if field == "limitCount" else _written(path, query))]
    return list(dict.fromkeys(filter(None, words))) or ["used in an expression"]


def _paths(value: object, number: int, around: Path) -> Iterator[Path]:
    if isinstance(value, list):
        for each in value:
            yield from _paths(each, number, around)
    elif isinstance(value, Node) and value.kind != "QUERY":
        if value.kind == "PARAM" and value["paramkind"] == 0 and value["paramid"] == number:
            yield (*around, value)
        for each in value.fields.values():
            if isinstance(each, Node | list):
                yield from _paths(each, number, (*around, value))


def _said(path: Path, scope: QueryScope) -> str:
    """Describe the innermost comparison, NULL test or function call that contains the parameter at the end of `path`.

    Most comparisons and calls in which no column occurs are skipped. The result is '' if there is nothing to describe.
    """
    for node, inner in zip(reversed(path[:-1]), reversed(path), strict=False):
        if node.kind == "ROWCOMPAREEXPR":
            sides = (node["largs"], node["rargs"])
            for own, other in (sides, sides[::-1]):
                at = next((position for position, each in enumerate(own) if each is inner), None)
                if at is not None:
                    operator = scope.catalog.operators.get(node["opnos"][at], "?")
                    return f"{operator} {_columns(other[at], scope)}, by row"
        elif node.kind in ("OPEXPR", "DISTINCTEXPR", "SCALARARRAYOPEXPR"):
            operator = scope.catalog.operators.get(node["opno"], "?")
            if node.kind == "DISTINCTEXPR":
                operator = "IS DISTINCT FROM"
            if node.kind == "SCALARARRAYOPEXPR":
                operator += " ANY" if node["useOr"] else " ALL"
            others = _columns([each for each in node.list("args") if each is not inner], scope)
            if others:
                return f"{operator} {others}"
            if node.kind == "SCALARARRAYOPEXPR" and node.list("args")[1] is inner:
                return "tells which constants are meant"
        elif node.kind == "FUNCEXPR":
            function = scope.catalog.functions.get(node["funcid"])
            others = _columns(node["args"], scope)
            if function is not None and (others or function.is_set or function.schema != "pg_catalog"):
                name = function.name if function.schema == "pg_catalog" else function.qualified
                return f"{name}({others}, …)" if others else f"{name}(…)"
        elif node.kind == "NULLTEST":
            return "IS NULL"
    return ""


def _written(path: Path, scope: QueryScope) -> str:
    """Name the column whose value is made from the parameter at the end of `path`; '' if there is none.

    It is a column of the table that the query writes to. In an outermost query that writes to no table it is a result column.
    """
    entry = next((each for each in path if each.kind == "TARGETENTRY"), None)
    relation = scope.relation(scope.target) if scope.target else None
    if entry is None or entry["resjunk"]:
        return ""
    if relation is None:
        return f"part of the column {entry['resname']}" if scope.parent is None else ""
    is_new = any(each is entry for each in scope.node.list("targetList"))
    return f"goes into {relation.name}.{relation.column_name(entry['resno'])}" if is_new else ""


def _columns(value: object, scope: QueryScope) -> str:
    """The names of the columns that occur in an expression or a list of expressions, separated by commas."""
    names = []
    for node in within(value):
        if node.kind == "VAR":
            owner = scope.up(node["varlevelsup"])
            relation = owner.relation(node["varno"]) if node["varattno"] > 0 else None
            known = relation is not None and node["varattno"] in relation.columns
            names.append(
                f"{relation.name}.{relation.column_name(node['varattno'])}"
                if known and relation is not None
                else owner.column(node["varno"], node["varattno"])
            )
    return ", ".join(dict.fromkeys(names))
