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
_RESULTS = (
    *("vartype", "paramtype", "consttype", "funcresulttype"),
    *("opresulttype", "aggtype", "resulttype", "coalescetype"),
)
"""The fields of nodes that have the type of an expression."""
_TYPES = {1043: 25, 1042: 25, 21: 20, 23: 20}
"""Types that compare as others do: text for varchar, bigint for the smaller integers."""
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
    def is_of_one_type(self) -> bool:
        """Whether each key is compared with a value of its own type, which no cast has made of another."""
        return all(
            len({_TYPES.get(kind, kind) for kind in map(_type, (key, value, origins.uncast(value))) if kind}) == 1
            for key, value in zip(self.keys, self.values, strict=True)
        )

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
    """The comparison `a < x OR (a = x AND b < y)`, in which each key may have its own direction; None for any other condition.

    Further keys may be nested, or written in a row: `OR (a = x AND b = y AND c < z)`.
    """
    if node.kind != "BOOLEXPR" or node["boolop"] != "or":
        return None
    found: list[Comparison] = []
    for part in sorted((conjuncts(each) for each in node["args"]), key=len):
        both = [each for each in (comparison_of(one, scope, names) for one in part) if each is not None]
        equal = [each for each in both if each.strategies == {EQUAL}]
        others = [each for each in both if each.strategies != {EQUAL}]
        if len(both) != len(part) or len(others) != 1:
            return None
        last = others[0]
        # Each part fixes the keys of the parts before it, and compares the next one.
        is_next = len(equal) == len(found) and all(
            same(one.keys[0], known.keys[0]) and same(one.values[0], known.values[0])
            for one, known in zip(equal, found, strict=True)
        )
        if not is_next or (found and found[-1].is_multi_key) or EQUAL in last.strategies:
            return None
        found.append(last)
    return Comparison(
        [key for each in found for key in each.keys], [value for each in found for value in each.values],
        frozenset().union(*(each.strategies for each in found)), True, found[0].location, node,
        [strategies for each in found for strategies in each.strategies_by_key],
    )  # fmt: skip


def _is_outside(values: Sequence[Node], names: dict[int, str]) -> bool:
    """Whether values come from the caller: parameters of the statement, the tenant's aside, are among them."""
    found = {each["paramid"] for each in walk(list(values)) if each.kind == "PARAM" and each["paramkind"] == 0}
    return any(names.get(number) != TENANT_PARAMETER for number in found)


def _type(expression: Node) -> int:
    """The OID of an expression's type; 0 where it is not known."""
    return next((each for name in _RESULTS if (each := expression[name])), 0)
