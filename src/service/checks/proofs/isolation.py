"""Proves the two locks on every row: each tenant relation in a query has its policy, and the query itself also requires
that its rows belong to the bound tenant.

Source of the policies in the tree: the server's rewriter adds a relation's USING as `securityQuals` of its entry, and its
WITH CHECK as `withCheckOptions` of the query that writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.checks.proofs.catalog import Function, Relation
from service.checks.proofs.expressions import place_of
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tenants import Tenants
from service.checks.proofs.tree import Command, Node, arguments, conjuncts


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
    tenants = Tenants(scope, tenant)
    return [each for query in tenants.bound for each in _of(query, tenants)]


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
    for callee in scope.callees:
        if callee.function.is_ours and callee.function.oid != scope.catalog.tenant_function:
            found.setdefault(callee.function, callee.location)
    return found


def _of(scope: QueryScope, tenants: Tenants) -> Iterator[Locked]:
    for number in range(1, len(scope.entries) + 1):
        relation = scope.relation(number)
        if relation is None or relation.tenant is None or scope.entry(number)["relkind"] == "v":
            continue
        is_target = number == scope.target
        if number not in scope.read and not is_target:
            continue  # This is `excluded` of ON CONFLICT: the row proposed for insertion.
        column = f"{scope.alias(number)}.{relation.column_name(relation.tenant)}"
        predicate = f"{column} = :tenant_id" if (number, relation.tenant) in tenants.bound[scope] else ""
        policy = _policy(scope.entry(number).list("securityQuals"), relation, scope)
        if is_target and scope.command is not Command.DELETE:
            policy = policy if _is_checked(scope, relation) else ""
        if is_target and scope.command in (Command.INSERT, Command.MERGE):
            news = [each for each in _new_rows(scope) if not _inserts_tenant(each, scope, relation, tenants)]
            predicate = "" if news else predicate
        if is_target and scope.command is Command.INSERT:
            checks = _policy(scope.node.list("withCheckOptions"), relation, scope)
            policy = checks if _is_checked(scope, relation) else ""
            predicate = "" if news else f"{column} is given :tenant_id"
        is_moved = is_target and _assigns(scope, relation.tenant)
        yield Locked(
            relation, scope.alias(number), _location(scope, number), is_target, policy,
            "" if is_moved else predicate, is_moved,
        )  # fmt: skip


def _is_checked(scope: QueryScope, relation: Relation) -> bool:
    """Whether each kind of check that the server makes of written rows has the policy, and none is missing."""
    kinds: dict[int, list[Node]] = {}
    for each in scope.node.list("withCheckOptions"):
        kinds.setdefault(each["kind"], []).append(each)
    commands = {scope.command}
    if scope.command is Command.MERGE:
        commands = {each["commandType"] for each in scope.node.list("mergeActionList")}
    needed = {kind for command, kind in _CHECKS.items() if command in commands}
    return needed <= set(kinds) and all(_policy(each, relation, scope) for each in kinds.values())


_CHECKS = {Command.INSERT: 1, Command.UPDATE: 2}
"""`WCOKind` of the checks of new rows: `WCO_RLS_INSERT_CHECK` and `WCO_RLS_UPDATE_CHECK`."""


def _new_rows(scope: QueryScope) -> list[list[Node]]:
    """The target lists by which a query inserts rows."""
    if scope.command is Command.INSERT:
        return [scope.node.list("targetList")]
    actions = scope.node.list("mergeActionList")
    return [each.list("targetList") for each in actions if each["commandType"] == Command.INSERT]


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


def _inserts_tenant(entries: list[Node], scope: QueryScope, relation: Relation, tenants: Tenants) -> bool:
    return any(
        each["resno"] == relation.tenant and not each["resjunk"] and tenants.is_tenant(each["expr"], scope)
        for each in entries
    )


def _assigns(scope: QueryScope, column: int) -> bool:
    """Whether a column of an existing row is assigned: by UPDATE, ON CONFLICT DO UPDATE or a MERGE."""
    new = [entry for each in _new_rows(scope) for entry in each] if scope.command is not Command.UPDATE else []
    return any(each["resno"] == column for each in scope.assignments if not any(each is other for other in new))


def _location(scope: QueryScope, number: int) -> int:
    """The position of the first variable of an entry in the text; -1 if there is none.

    PostgreSQL does not keep the position of the entry's name.
    """
    places = [
        each["location"] for each in scope.own
        if each.kind == "VAR" and each["varlevelsup"] == 0 and each["varno"] == number and each["location"] >= 0
    ]  # fmt: skip
    return min(places, default=-1)
