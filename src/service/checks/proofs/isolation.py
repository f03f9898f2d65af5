"""Proves the two locks on every row: each tenant relation in a query has its policy, and the query itself also requires
that its rows belong to the bound tenant.

Source of the policies in the tree: the server's rewriter adds a relation's USING as `securityQuals` of its entry, and its
WITH CHECK as `withCheckOptions` of the query that writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.checks.proofs.callees import callees
from service.checks.proofs.catalog import Function, Relation
from service.checks.proofs.keys import place_of
from service.checks.proofs.presence import Variable
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Command, Join, Node, Source, arguments, conjuncts


@dataclass(frozen=True)
class Locked:
    """One use of a tenant relation in a query. `policy` and `predicate` describe the two locks; '' if a lock is missing."""

    relation: Relation
    alias: str
    location: int
    is_written: bool
    policy: str
    predicate: str
    is_moved: bool = False
    """Whether the statement assigns the tenant column of existing rows: then the predicate doesn't say whose they become."""


def locked(scope: QueryScope, tenant: int | None) -> list[Locked]:
    """Every use of a tenant relation in a query or one inside it; `tenant` is the number of the parameter :tenant_id."""
    return [each for query, bound in _bound(scope, tenant, frozenset()) for each in _of(query, bound, tenant)]


def owned_views(scope: QueryScope) -> list[str]:
    """The views that a query reads with their owners' rights: those without security_invoker, by their names."""
    names, tables = set(), set()
    for query in scope.queries:
        for each in query.permissions:
            relation = scope.catalog.relations.get(each["relid"])
            if relation is not None and each["checkAsUser"]:
                tables.add(f"a view of {relation.qualified}")
        for each in query.entries:
            relation = scope.catalog.relations.get(each["relid"])
            if relation is not None and relation.kind == "v" and not relation.is_invoker:
                names.add(relation.qualified)
    # Before PostgreSQL 16 the tree has the tables that a view reads, but not the name of the view.
    return sorted(names or tables)


def called(scope: QueryScope) -> dict[Function, int]:
    """The service's own functions that a query calls, each with the position of a call in the text.

    The position is -1 if a policy or a default added the call. app.current_tenant() is left out, because policies call it.
    """
    found: dict[Function, int] = {}
    for callee in callees(scope.node, scope.catalog):
        if callee.function.schema != "pg_catalog" and callee.function.oid != scope.catalog.tenant_function:
            found.setdefault(callee.function, callee.location)
    return found


def _bound(
    scope: QueryScope, tenant: int | None, outer: frozenset[tuple[int, Variable]]
) -> Iterator[tuple[QueryScope, frozenset[Variable]]]:
    """Each query, with its variables that equal the bound tenant.

    `outer` are the variables of the enclosing queries that equal it, each with its number of levels up (1: the next one).
    """
    own = frozenset(_equal(scope, tenant, outer))
    yield scope, own
    around = frozenset({(level + 1, place) for level, place in outer} | {(1, place) for place in own})
    for inner in scope.nested:
        yield from _bound(inner, tenant, around)


def _equal(scope: QueryScope, tenant: int | None, outer: frozenset[tuple[int, Variable]]) -> set[Variable]:
    found: set[Variable] = set()
    while True:
        before = len(found)
        for condition in scope.always:
            found |= _equated(condition, scope, tenant, found, outer)
        for join in scope.joins:
            # An outer join's condition limits only the rows of its nullable side.
            if join.kind in (Join.LEFT, Join.RIGHT):
                for condition in join.on:
                    equated = _equated(condition, scope, tenant, found, outer)
                    found |= {place for place in equated if place[0] in join.nullable}
        if len(found) == before:
            return found


def _equated(
    condition: Node, scope: QueryScope, tenant: int | None, known: set[Variable], outer: frozenset[tuple[int, Variable]]
) -> set[Variable]:
    if condition.kind != "OPEXPR" or not scope.catalog.equates(condition["opno"]):
        return set()
    one, other = arguments(condition)
    sides = ((one, other), (other, one))
    return {
        place for variable, value in sides
        if (place := place_of(variable)) and _is_tenant(value, scope, tenant, known, outer)
    }  # fmt: skip


def _is_tenant(
    value: Node, scope: QueryScope, tenant: int | None, known: set[Variable], outer: frozenset[tuple[int, Variable]]
) -> bool:
    """Whether an expression is the bound tenant: its parameter, or a column that equals it."""
    if value.kind == "PARAM":
        return bool(value["paramkind"] == 0 and value["paramid"] == tenant)
    if value.kind != "VAR":
        return False
    place = value["varno"], value["varattno"]
    if value["varlevelsup"]:
        return (value["varlevelsup"], place) in outer
    return place in known or _shows_tenant(scope, place, tenant)


def _shows_tenant(scope: QueryScope, place: Variable, tenant: int | None) -> bool:
    """Whether a column of a subquery or table expression is the bound tenant in each of its rows."""
    number, attribute = place
    source = scope.source(number)
    if source not in (Source.SUBQUERY, Source.CTE):
        return False
    inner = scope.subquery(number) if source is Source.SUBQUERY else scope.expression(number)[1]
    if inner.node["setOperations"] is not None or not 0 < attribute <= len(inner.outputs):
        return False
    shown = inner.outputs[attribute - 1]["expr"]
    return _is_tenant(shown, inner, tenant, _equal(inner, tenant, frozenset()), frozenset())


def _of(scope: QueryScope, bound: frozenset[Variable], tenant: int | None) -> Iterator[Locked]:
    for number in range(1, len(scope.entries) + 1):
        relation = scope.relation(number)
        if relation is None or relation.tenant is None or scope.entry(number)["relkind"] == "v":
            continue
        is_target = number == scope.target
        if number not in scope.read and not is_target:
            continue  # This is `excluded` of ON CONFLICT: the row proposed for insertion.
        is_new = is_target and scope.command is Command.INSERT
        column = f"{scope.alias(number)}.{relation.column_name(relation.tenant)}"
        if is_new:
            policy = _policy(scope.node.list("withCheckOptions"), relation, scope)
            predicate = f"{column} is given :tenant_id" if _inserts_tenant(scope, relation, tenant, bound) else ""
        else:
            policy = _policy(scope.entry(number).list("securityQuals"), relation, scope)
            predicate = f"{column} = :tenant_id" if (number, relation.tenant) in bound else ""
            if is_target and scope.command is Command.UPDATE:
                policy = policy if _policy(scope.node.list("withCheckOptions"), relation, scope) else ""
        is_moved = is_target and _assigns(scope, relation.tenant)
        yield Locked(
            relation, scope.alias(number), _location(scope, number), is_target, policy,
            "" if is_moved else predicate, is_moved,
        )  # fmt: skip


def _policy(conditions: list[Any], relation: Relation, scope: QueryScope) -> str:
    """The policy in words, if the conditions require that a row belongs to the bound tenant; '' if they do not."""
    parts = [each["qual"] if each.kind == "WITHCHECKOPTION" else each for each in conditions]
    for condition in conjuncts(parts):
        if condition.kind != "OPEXPR" or not scope.catalog.equates(condition["opno"]):
            continue
        one, other = arguments(condition)
        for variable, call in ((one, other), (other, one)):
            place = place_of(variable)
            is_call = call.kind == "FUNCEXPR" and call["funcid"] == scope.catalog.tenant_function
            if place and place[1] == relation.tenant and is_call:
                return f"{relation.column_name(relation.tenant)} = app.current_tenant()"
    return ""


def _inserts_tenant(scope: QueryScope, relation: Relation, tenant: int | None, bound: frozenset[Variable]) -> bool:
    for entry in scope.node.list("targetList"):
        if entry["resno"] == relation.tenant and not entry["resjunk"]:
            return _is_tenant(entry["expr"], scope, tenant, set(bound), frozenset())
    return False


def _assigns(scope: QueryScope, column: int) -> bool:
    """Whether a column of an existing row is assigned: by UPDATE, or by ON CONFLICT DO UPDATE."""
    conflict = scope.node["onConflict"]
    given = scope.node.list("targetList") if scope.command is Command.UPDATE else []
    given = given + (conflict.list("onConflictSet") if conflict is not None else [])
    return any(each["resno"] == column and not each["resjunk"] for each in given)


def _location(scope: QueryScope, number: int) -> int:
    """The position of the first variable of an entry in the text; -1 if there is none.

    PostgreSQL does not keep the position of the entry's name.
    """
    places = [
        each["location"] for each in scope.own
        if each.kind == "VAR" and each["varlevelsup"] == 0 and each["varno"] == number and each["location"] >= 0
    ]  # fmt: skip
    return min(places, default=-1)
