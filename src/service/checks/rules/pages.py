"""Orders and pages: that LIMIT takes the same rows each time, and that a page goes on where the last one ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from service.checks import spans
from service.checks.proofs import limits, nullability, presence
from service.checks.proofs.keys import place_of
from service.checks.proofs.orders import sort_key_name, sorted_by
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Node, arguments, conjuncts, location, same, walk
from service.checks.proving import Proved, Subject
from service.statements.statement import TENANT_PARAMETER

_DESCENDING, _ASCENDING = (1, 2), (5, 4)
"""The B-tree comparisons with the last row of a page that lead to the next page, for descending and for ascending order.

The first of each excludes that row (< or >), the second includes it (<= or >=).
"""
_EQUAL = 3
_FLIPPED = {1: 5, 2: 4, 3: 3, 4: 2, 5: 1}
_UNORDERED = "end ORDER BY with a unique key such as id, or write '-- unordered: why any will do'"


@dataclass(frozen=True)
class _Bound:
    """A condition that compares expressions of a query (`keys`) with `values` from outside it, by B-tree comparisons.

    `strategies` are the comparisons of all keys, `orders` those of each key.
    """

    keys: Sequence[Node]
    values: Sequence[Node]
    strategies: frozenset[int]
    is_row: bool
    location: int
    node: Node
    orders: Sequence[frozenset[int]]


def check(subject: Subject) -> None:
    """Check the orders of every variant."""
    for proved in subject.proved.values():
        for scope, proof in proved.orders:
            if not proof.holds and not subject.note("unordered"):
                what = "LIMIT" if scope.node["limitCount"] is not None else "DISTINCT ON"
                subject.say(
                    "order-not-total", f"{what} takes some of the rows, and which ones is left open",
                    span=spans.at(subject.entry.statement, proved.key, location(scope.node["limitCount"])), proved=proof.why,
                    remedy=_UNORDERED,
                )  # fmt: skip
            if scope.node["limitCount"] is not None:
                _keyset(subject, proved, scope)
        for scope in proved.scope.queries:
            _choices(subject, proved, scope)


def _choices(subject: Subject, proved: Proved, scope: QueryScope) -> None:
    if (given := scope.node["limitOffset"]) is not None:
        subject.say(
            "offset", "OFFSET reads all that it leaves out", span=spans.at(subject.entry.statement, proved.key, location(given)),
            remedy="go on after the last row: (created_at, id) < (…)",
        )  # fmt: skip
    for node, proof in limits.chosen_rows(scope):
        if not proof.holds and not subject.note("unordered"):
            subject.say(
                "order-not-total", "one of several rows is taken, and which one is left open",
                span=spans.at(subject.entry.statement, proved.key, location(node)), proved=proof.why, remedy=_UNORDERED,
            )  # fmt: skip


def _keyset(subject: Subject, proved: Proved, scope: QueryScope) -> None:
    """Check that a page begins after the last one: the condition compares the keys of ORDER BY, in its order and direction."""
    statement = subject.entry.statement
    names = dict(enumerate(statement.variants[proved.key].parameters, 1))
    after = {number for number, name in names.items() if name.startswith("after")}
    keys = list(sorted_by(scope))
    directions = [_direction(scope, clause["sortop"]) for clause in scope.node.list("sortClause")]
    wanted = ", ".join(
        f"{sort_key_name(key, scope)}{' DESC' if each is _DESCENDING else ''}"
        for key, each in zip(keys, directions, strict=True)
    )
    found = (_bound(node, scope, names) or _spelled_out(node, scope, names) for node in scope.always)
    bounds = [each for each in found if each is not None]
    compared = [
        each
        for each in bounds
        if _is_meant(each, keys, directions, after) and not _is_range(each, bounds, directions, after)
    ]
    is_missing = bool(after and keys and not compared and scope is proved.scope)
    if is_missing:
        subject.say(
            "keyset-missing", f"there are :after… parameters, and no condition goes on after them in the order {wanted}",
            remedy="write (created_at, id) < (:after_created_at, :after_id)",
        )  # fmt: skip
    is_whole = any(_is_whole(each, keys, directions) for each in compared)
    for condition in scope.always if not (is_whole or is_missing) else ():
        for nested in _nested(condition, scope, names):
            if _is_meant(nested, keys, directions, after) and not _is_filter(subject, nested, names):
                subject.say(
                    "keyset-differs", "a comparison with the keys of ORDER BY stands inside another condition",
                    span=spans.at(statement, proved.key, nested.location), proved=f"the order is {wanted}",
                    remedy="compare all keys at once where all must hold, in a line with -- when if it is optional; for a filter"
                    " write '-- filter: parameter because …'",
                )  # fmt: skip
    for each in compared:
        place = spans.at(statement, proved.key, each.location)
        if _is_whole(each, keys, directions):
            _whole(subject, proved, scope, each, names)
        elif not _is_narrower(each, keys, directions, compared) and not _is_filter(subject, each, names):
            subject.say(
                "keyset-differs", "the condition goes on after other keys than those of ORDER BY", span=place,
                proved=f"the order is {wanted}",
                remedy="compare the same columns in the same order, with < where it descends and > where it ascends; if it is a"
                " filter, write '-- filter: parameter because …'",
            )  # fmt: skip


def _whole(subject: Subject, proved: Proved, scope: QueryScope, bound: _Bound, names: dict[int, str]) -> None:
    """The keys are those of the order: none may be NULL, and each is compared with its own value of the last row."""
    place = spans.at(subject.entry.statement, proved.key, bound.location)
    for key in bound.keys:
        if why := _why_null(key, bound, scope, proved.given):
            subject.say(
                "keyset-null", f"{sort_key_name(key, scope)} may be NULL, and a row without it is on no page but the first",
                span=place, proved=why, remedy="order by columns that are NOT NULL, or by coalesce(…) in both places",
            )  # fmt: skip
    numbers = [_parameter(each) for each in bound.values]
    columns = [scope.column(*spot).rpartition(".")[2] if (spot := place_of(key)) else "" for key in bound.keys]
    for number, own in zip(numbers, columns, strict=True):
        name = names.get(number or 0, "")
        is_others = any(name.endswith(f"_{other}") for other in columns if other and other != own)
        is_swapped = is_others and not (own and name.endswith(own))
        if number is None or numbers.count(number) > 1 or is_swapped:
            subject.say(
                "keyset-differs", "a key is compared with a value that is not its own of the last row", span=place,
                proved=f"{own or 'an expression'} is compared with {f':{name}' if name else 'what is no parameter'}",
                remedy="compare each key with the parameter for its own value: (created_at, id) < (:after_created_at, :after_id)",
            )  # fmt: skip


def _why_null(key: Node, bound: _Bound, scope: QueryScope, given: frozenset[int]) -> str:
    """Why a key may be NULL in a row that the condition of the page itself leaves out; '' if it can't be."""
    verdict = nullability.of_expression(key, scope, given)
    if verdict.is_nullable:
        return verdict.why
    others = [each for each in scope.always if each is not bound.node]
    rejected = set().union(*(presence.rejected(each, scope) for each in others))
    for number, attribute in presence.strict_in(key, scope) - rejected:
        relation = scope.relation(number)
        is_filled = any(number in join.nullable for join in scope.joins)
        is_required = relation is not None and attribute in relation.columns and relation.columns[attribute].is_required
        if relation is not None and (is_filled or not is_required):
            return f"only the comparison itself leaves out rows in which {scope.column(number, attribute)} is NULL"
    return ""


def _nested(condition: Node, scope: QueryScope, names: dict[int, str]) -> Iterator[_Bound]:
    """The comparisons inside a condition. Beside an equality with the same key they count whichever way they go."""
    found = [
        each for part in walk(condition) if part is not condition and (each := _bound(part, scope, names)) is not None
    ]
    equal = [each.keys[0] for each in found if each.strategies == {_EQUAL}]
    for each in found:
        is_paired = any(same(each.keys[0], key) for key in equal)
        yield replace(each, is_row=True) if is_paired and each.strategies != {_EQUAL} else each


def _is_meant(bound: _Bound, keys: Sequence[Node], directions: Sequence[tuple[int, int]], after: set[int]) -> bool:
    """Whether a condition is meant as that of a page: it speaks of :after…, compares rows, or cuts off the order's beginning."""
    if after & {_parameter(each) for each in bound.values}:
        return True
    if bound.strategies & {_EQUAL} or not bound.strategies or not keys:
        return False
    if bound.is_row:
        return any(same(one, key) for one in bound.keys for key in keys)
    if len(keys) > 1 and same(bound.keys[0], keys[-1]) and bound.strategies <= {*directions[-1]}:
        return True  # The last key alone, which only tells rows apart that are equal in the others.
    return same(bound.keys[0], keys[0]) and bound.strategies <= {*directions[0]}


def _is_whole(bound: _Bound, keys: Sequence[Node], directions: Sequence[tuple[int, int]]) -> bool:
    is_strict = all(order == {each[0]} for order, each in zip(bound.orders, directions, strict=False))
    return is_strict and len(bound.keys) == len(keys) and all(map(same, bound.keys, keys))


def _is_narrower(
    bound: _Bound, keys: Sequence[Node], directions: Sequence[tuple[int, int]], compared: Sequence[_Bound]
) -> bool:
    """Whether a bound on the first keys stands beside the comparison of all keys: then it excludes no further row."""
    return (
        len(bound.keys) < len(keys)
        and all(map(same, bound.keys, keys))
        and any(_is_whole(each, keys, directions) for each in compared)
        and bound.strategies <= {*directions[0]}
    )


def _is_range(bound: _Bound, bounds: Sequence[_Bound], directions: Sequence[tuple[int, int]], after: set[int]) -> bool:
    """Whether a bound that includes its value is one end of a range of the first key, of which another bound is the other end."""
    is_end = bool(directions) and not bound.is_row and bound.strategies == {directions[0][1]}
    is_end = is_end and not after & set(map(_parameter, bound.values))
    return is_end and any(
        not each.is_row
        and same(each.keys[0], bound.keys[0])
        and each.strategies <= {_FLIPPED[strategy] for strategy in directions[0]}
        for each in bounds
    )


def _is_filter(subject: Subject, bound: _Bound, names: dict[int, str]) -> bool:
    return any(subject.note("filter", names.get(_parameter(each) or 0, "")) for each in bound.values)


def _direction(scope: QueryScope, operator: int) -> tuple[int, int]:
    return _DESCENDING if 5 in scope.catalog.strategies.get(operator, ()) else _ASCENDING


def _bound(node: Node, scope: QueryScope, names: dict[int, str]) -> _Bound | None:
    """A condition that compares expressions of a query with parameters, whichever side they are on; else None."""
    if node.kind == "ROWCOMPAREEXPR":
        left, right, operators = node["largs"], node["rargs"], node["opnos"]
    elif node.kind == "OPEXPR" and len(node.list("args")) == 2:
        (left_one, right_one), operators = arguments(node), [node["opno"]]
        left, right = [left_one], [right_one]
    else:
        return None
    strategies = frozenset(each for operator in operators for each in scope.catalog.strategies.get(operator, ()))
    if _is_outside(left, names) and not _is_outside(right, names):
        left, right, strategies = right, left, frozenset(_FLIPPED[each] for each in strategies)
    if not _is_outside(right, names) or _is_outside(left, names):
        return None
    is_row = node.kind == "ROWCOMPAREEXPR"
    return _Bound(left, right, strategies, is_row, location(left), node, [strategies] * len(left))


def _spelled_out(node: Node, scope: QueryScope, names: dict[int, str]) -> _Bound | None:
    """The comparison `a < x OR (a = x AND b < y)`, which may go another way with each key; None if a condition is none."""
    parts = node.list("args") if node.kind == "BOOLEXPR" and node["boolop"] == "or" else ()
    for whole in parts if len(parts) == 2 else ():
        first = _bound(next(each for each in parts if each is not whole), scope, names)
        inside = conjuncts(whole)
        for each in inside if first and not first.is_row and len(inside) == 2 else ():
            equal, rest = _bound(each, scope, names), next(other for other in inside if other is not each)
            last = _bound(rest, scope, names) or _spelled_out(rest, scope, names)
            is_equal = equal and equal.strategies == {_EQUAL} and first and same(equal.keys[0], first.keys[0])
            if first and equal and last and is_equal and same(equal.values[0], first.values[0]):
                return _Bound(
                    [*first.keys, *last.keys], [*first.values, *last.values], first.strategies | last.strategies, True,
                    first.location, node, [*first.orders, *last.orders],
                )  # fmt: skip
    return None


def _is_outside(values: Sequence[Node], names: dict[int, str]) -> bool:
    """Whether values come from the caller: parameters of the statement, the tenant's aside, are among them."""
    found = {each["paramid"] for each in walk(list(values)) if each.kind == "PARAM" and each["paramkind"] == 0}
    return any(names.get(number) != TENANT_PARAMETER for number in found)


def _parameter(expression: Node) -> int | None:
    """The number of the parameter that an expression is, cast or not."""
    while expression.kind in ("RELABELTYPE", "COERCEVIAIO") or (
        expression.kind == "FUNCEXPR" and expression["funcformat"] and len(expression.list("args")) == 1
    ):
        expression = expression["arg"] or expression["args"][0]
    return expression["paramid"] if expression.kind == "PARAM" and expression["paramkind"] == 0 else None
