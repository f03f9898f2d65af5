"""Conditions that compare expressions of a query with values from its caller, as the condition of a page does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.checks.proofs import origins
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Node, arguments, conjuncts, location, same, walk
from service.statements.statement import TENANT_PARAMETER

EQUAL = 3
"""The B-tree comparison =."""
FLIPPED = {1: 5, 2: 4, 3: 3, 4: 2, 5: 1}
"""Maps each B-tree comparison to the one with its sides exchanged."""


@dataclass(frozen=True)
class Comparison:
    """A condition that compares expressions of a query (`keys`) with `values` from outside it, by B-tree comparisons.

    `strategies` has the B-tree comparisons of all keys together, `strategies_by_key` those of each key. `is_multi_key` says
    whether several keys are compared at once: as rows, or spelled out with OR.
    """

    keys: Sequence[Node]
    values: Sequence[Node]
    strategies: frozenset[int]
    is_multi_key: bool
    location: int
    node: Node
    strategies_by_key: Sequence[frozenset[int]]

    @property
    def parameter_numbers(self) -> Sequence[int | None]:
        """The numbers of the parameters that the values are; None for a value that is something else."""
        return [origins.number_of(origins.uncast(each)) for each in self.values]


def comparison_of(node: Node, scope: QueryScope, names: dict[int, str]) -> Comparison | None:
    """What a condition compares, spelled out with OR or not; None if it compares no expression with a value from outside."""
    return plain_comparison(node, scope, names) or _spelled_out(node, scope, names)


def plain_comparison(node: Node, scope: QueryScope, names: dict[int, str]) -> Comparison | None:
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
        left, right, strategies = right, left, frozenset(FLIPPED[each] for each in strategies)
    if not _is_outside(right, names) or _is_outside(left, names):
        return None
    is_multi_key = node.kind == "ROWCOMPAREEXPR"
    return Comparison(left, right, strategies, is_multi_key, location(left), node, [strategies] * len(left))


def _spelled_out(node: Node, scope: QueryScope, names: dict[int, str]) -> Comparison | None:
    """The comparison `a < x OR (a = x AND b < y)`, in which each key may have its own direction; None for any other condition."""
    parts = node.list("args") if node.kind == "BOOLEXPR" and node["boolop"] == "or" else ()
    for whole in parts if len(parts) == 2 else ():
        first = plain_comparison(next(each for each in parts if each is not whole), scope, names)
        inside = conjuncts(whole)
        for each in inside if first and not first.is_multi_key and len(inside) == 2 else ():
            equal, rest = plain_comparison(each, scope, names), next(other for other in inside if other is not each)
            last = comparison_of(rest, scope, names)
            is_equal = equal and equal.strategies == {EQUAL} and first and same(equal.keys[0], first.keys[0])
            if first and equal and last and is_equal and same(equal.values[0], first.values[0]):
                return Comparison(
                    [*first.keys, *last.keys], [*first.values, *last.values], first.strategies | last.strategies, True,
                    first.location, node, [*first.strategies_by_key, *last.strategies_by_key],
                )  # fmt: skip
    return None


def _is_outside(values: Sequence[Node], names: dict[int, str]) -> bool:
    """Whether values come from the caller: parameters of the statement, the tenant's aside, are among them."""
    found = {each["paramid"] for each in walk(list(values)) if each.kind == "PARAM" and each["paramkind"] == 0}
    return any(names.get(number) != TENANT_PARAMETER for number in found)
