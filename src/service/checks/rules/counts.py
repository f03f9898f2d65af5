"""Compares what is proved with what the header declares, for row counts, order, tenants and functions."""

from __future__ import annotations

from service.checks import spans
from service.checks.proofs import isolation
from service.checks.proofs.cardinality import sort_key_name, sorted_by
from service.checks.proofs.isolation import Locked
from service.checks.proofs.keys import place_of
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Command, Node, arguments, location
from service.checks.proving import Proved, Subject

_DESCENDING, _ASCENDING = (1, 2), (5, 4)
"""The B-tree comparisons with the last row of a page that lead to the next page, for descending and for ascending order.

The first of each excludes that row (< or >), the second includes it (<= or >=).
"""


def check(subject: Subject) -> None:
    """Check every variant by all rules of this module."""
    for proved in subject.proved.values():
        _row_count(subject, proved)
        _order(subject, proved)
        _locks(subject, proved)


def check_notes(subject: Subject) -> None:
    """Report exceptions in the header that no check needed. Call this after all other checks of the statement."""
    for note in subject.unneeded() if subject.proved else ():
        about = f"{note.key}: {note.subject}" if note.subject else note.key
        subject.say(
            "note-unneeded", f"'-- {about}' is an exception that nothing needs",
            span=spans.of_line(subject.entry.statement, note.line), remedy="take it away",
        )  # fmt: skip


def _row_count(subject: Subject, proved: Proved) -> None:
    kind = subject.entry.statement.kind
    if kind in ("one", "maybe", "value") and not proved.one.holds and not subject.note("one"):
        subject.say(
            "several-rows", f"a :{kind} answers one row at most, and this may answer several", proved=proved.one.why,
            remedy="compare all columns of a unique index, add LIMIT 1 with a total order, or write '-- one: why there is one'",
        )  # fmt: skip
    is_bounded = proved.one.holds or proved.scope.node["limitCount"] is not None
    if kind == "many" and not is_bounded and not subject.note("unbounded"):
        subject.say(
            "unbounded", "a :many without LIMIT answers as many rows as there are", proved=proved.one.why,
            remedy="add LIMIT :limit, or write '-- unbounded: what bounds it'",
        )  # fmt: skip


def _order(subject: Subject, proved: Proved) -> None:
    statement = subject.entry.statement
    for scope, proof in proved.orders:
        span = spans.at(statement, proved.key, location(scope.node["limitCount"]))
        if not proof.holds and not subject.note("unordered"):
            subject.say(
                "order-not-total", "LIMIT takes some of the rows, and which ones is left open", span=span, proved=proof.why,
                remedy="end ORDER BY with a unique key such as id, or write '-- unordered: why any will do'",
            )  # fmt: skip
        _keyset(subject, proved, scope)
    for scope in proved.scope.queries:
        if (given := scope.node["limitOffset"]) is not None:
            subject.say(
                "offset", "OFFSET reads all that it leaves out", span=spans.at(statement, proved.key, location(given)),
                remedy="go on after the last row: (created_at, id) < (…)",
            )  # fmt: skip


def _keyset(subject: Subject, proved: Proved, scope: QueryScope) -> None:
    """Check that a page begins after the last one: the condition compares the keys of ORDER BY, in its order and direction."""
    names = subject.entry.statement.variants[proved.key].parameters
    after = {number for number, name in enumerate(names, 1) if name.startswith("after")}
    keys = list(sorted_by(scope))
    directions = [_direction(scope, clause["sortop"]) for clause in scope.node.list("sortClause")]
    wanted = ", ".join(
        f"{sort_key_name(key, scope)}{' DESC' if each is _DESCENDING else ''}"
        for key, each in zip(keys, directions, strict=True)
    )
    compared = [each for each in (_bounds(node, after, scope) for node in scope.always) if each is not None]
    if after and keys and not compared and scope is proved.scope:
        subject.say(
            "keyset-missing", f"there are :after… parameters, and no condition goes on after them in the order {wanted}",
            remedy="write (created_at, id) < (:after_created_at, :after_id)",
        )  # fmt: skip
    for places, strategies, place in compared:
        is_strict = all(strategies == {each[0]} for each in directions)
        is_whole = is_strict and places == [place_of(key) for key in keys]
        # A bound on the first keys, in addition to the comparison of all keys, narrows the scan and excludes no further row.
        is_narrower = (
            len(places) < len(keys)
            and places == [place_of(key) for key in keys[: len(places)]]
            and (any(len(other) == len(keys) for other, _, _ in compared) and strategies <= {*directions[0]})
        )
        if not is_whole and not is_narrower:
            subject.say(
                "keyset-differs", "the condition goes on after other keys than those of ORDER BY",
                span=spans.at(subject.entry.statement, proved.key, place), proved=f"the order is {wanted}",
                remedy="compare the same columns in the same order, with < where it descends and > where it ascends",
            )  # fmt: skip


def _direction(scope: QueryScope, operator: int) -> tuple[int, int]:
    return _DESCENDING if 5 in scope.catalog.strategies.get(operator, ()) else _ASCENDING


def _bounds(node: Node, after: set[int], scope: QueryScope) -> tuple[list[object], set[int], int] | None:
    """The columns that a condition compares with :after… parameters, the B-tree comparisons, and the position in the text.

    None if the condition compares nothing with such a parameter.
    """
    if node.kind == "ROWCOMPAREEXPR":
        left, right, operators = node["largs"], node["rargs"], node["opnos"]
    elif node.kind == "OPEXPR" and len(node.list("args")) == 2:
        (left_one, right_one), operators = arguments(node), [node["opno"]]
        left, right = [left_one], [right_one]
    else:
        return None
    if not any(each.kind == "PARAM" and each["paramid"] in after for each in right):
        return None
    strategies = {each for operator in operators for each in scope.catalog.strategies.get(operator, ())}
    return [place_of(each) for each in left], strategies, location(left)


def _locks(subject: Subject, proved: Proved) -> None:
    statement = subject.entry.statement
    for each in proved.locks:
        if statement.scope == "platform":
            continue  # The policies allow a platform statement to see all tenants, and its scope declares that.
        name = (
            f"{each.relation.qualified} AS {each.alias}"
            if each.alias != each.relation.name
            else each.relation.qualified
        )
        span = spans.at(statement, proved.key, each.location)
        if span == spans.whole(statement):
            span = spans.of_word(statement, each.relation.name)
        if not each.policy:
            subject.say(
                "policy-missing", f"{name} is {'written' if each.is_written else 'read'} without its policy", span=span,
                proved=_policies(each), remedy="add the policy tenant_id = app.current_tenant(), enabled and forced",
            )  # fmt: skip
        if statement.scope == "shared":
            subject.say(
                "tenant-in-shared", f"{name} belongs to tenants, and the statement to none", span=span,
                remedy="let it name :tenant_id, without '-- scope: shared'",
            )  # fmt: skip
        elif each.is_moved:
            subject.say(
                "tenant-assigned", f"it assigns the tenant of {name}", span=spans.of_word(statement, "SET"),
                proved="a row keeps the tenant that it was inserted with",
                remedy=f"take {each.relation.column_name(each.relation.tenant or 0)} from what it sets",
            )  # fmt: skip
        elif not each.predicate and not subject.note("unnamed", each.relation.name):
            verb = "inserts" if each.is_written and proved.scope.command is Command.INSERT else "uses"
            subject.say(
                "tenant-not-named", f"it {verb} {name} and does not name its tenant", span=span,
                proved=f"row-level security is the only lock: {each.policy or 'and it is missing too'}",
                remedy=f"add {each.alias}.{each.relation.column_name(each.relation.tenant or 0)} = :tenant_id"
                " where all must hold",
            )  # fmt: skip
    for name in sorted({name for query in proved.run for name in isolation.owned_views(query)}):
        subject.say(
            "view-with-owners-rights", f"{name} is read with the rights of its owner",
            span=spans.of_word(statement, name.partition(".")[2]),
            proved="the policies of the one who asks are not applied inside it",
            remedy="ALTER VIEW … SET (security_invoker = true)",
        )  # fmt: skip


def _policies(lock: Locked) -> str:
    relation = lock.relation
    if not relation.is_secured:
        return f"{relation.qualified} has no row-level security"
    found = [f"{name}: {using}" for name, (using, _) in relation.policies.items()]
    return "; ".join(found) or f"{relation.qualified} has no policy"
