"""Finds what a query's conditions say about nulls: which variables can't be null, which outer joins are in effect inner joins."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from service.checks.proofs.scopes import Joined, QueryScope
from service.checks.proofs.tree import Join, Node, Source, arguments

_IS_NOT_NULL = 1
_IS_TRUE, _IS_FALSE = 0, 2

Variable = tuple[int, int]
"""A variable of a query: the number of its entry in the range table, and the number of its column in this entry."""


class Facts:
    """The conclusions from a query's conditions: which variables can't be null (`present`), which outer joins may add nulls."""

    def __init__(self, scope: QueryScope) -> None:
        self._scope = scope
        self.present: set[Variable] = set()
        self._strict: set[int] = set()
        self._kept: dict[int, Joined] = {}
        """The outer joins that may fill a side with nulls, by the number of the join's entry in the range table."""
        for join in scope.joins:
            if join.nullable:
                self._kept[join.entry] = join
        self._learn(scope.always)
        self._settle()

    def _learn(self, conditions: Iterable[Node]) -> None:
        for each in conditions:
            found = rejected(each, self._scope)
            self.present |= found
            self._strict |= {number for number, _ in found}

    def _settle(self) -> None:
        """Treat an outer join as an inner join if a condition rejects the rows that the join fills with nulls.

        The join's own condition then holds for all rows, and so tells more about nulls.
        """
        while dead := next(
            (
                join for join in self._kept.values()
                if join.kind is not Join.FULL and join.nullable & self._strict
            ),
            None,
        ):  # fmt: skip
            del self._kept[dead.entry]
            self._learn(dead.on)

    def filled_by(self, node: Node) -> str:
        """The outer join or grouping sets that may make a variable null, in words; '' if there are none."""
        marks = node["varnullingrels"]
        if marks is not None:
            fillers = [each for each in marks if each in self._kept or not self._is_join(each)]
        else:
            fillers = [entry for entry, join in self._kept.items() if node["varno"] in join.nullable]
        if not fillers:
            return ""
        first = fillers[0]
        if first not in self._kept:
            return "grouping sets leave it out of some groups"
        kind = self._kept[first].kind.name.lower()
        return f"{kind} join {self._scope.alias(node['varno'])} fills it with null where no row matches"

    def fillers(self, number: int) -> list[Joined]:
        """The outer joins that may fill the columns of an entry with nulls."""
        return [join for join in self._kept.values() if number in join.nullable]

    def _is_join(self, number: int) -> bool:
        return self._scope.source(number) is Source.JOIN


def rejected(condition: Node, scope: QueryScope) -> set[Variable]:
    """The variables of a query that can't be null in a row for which a condition is true."""
    kind = condition.kind
    if kind == "BOOLEXPR":
        parts = [rejected(each, scope) for each in condition["args"]]
        if condition["boolop"] == "and":
            return set().union(*parts)
        if condition["boolop"] == "or":
            return functools.reduce(set.intersection, parts)
        return strict_in(condition["args"][0], scope)
    if kind == "NULLTEST":
        is_test = condition["nulltesttype"] == _IS_NOT_NULL and not condition["argisrow"]
        return strict_in(condition["arg"], scope) if is_test else set()
    if kind == "BOOLEANTEST":
        is_test = condition["booltesttype"] in (_IS_TRUE, _IS_FALSE)
        return strict_in(condition["arg"], scope) if is_test else set()
    if kind == "SCALARARRAYOPEXPR":
        # `x = ANY (array)` is true only if x equals an element, so x is not null. strict_in() leaves this case out: for an
        # empty array the expression is false, and not null, even if x is null.
        function = scope.catalog.functions.get(condition["opfuncid"])
        is_strict = condition["useOr"] and function is not None and function.is_strict
        return strict_in(arguments(condition)[0], scope) if is_strict else set()
    return strict_in(condition, scope)


def strict_in(expression: Any, scope: QueryScope) -> set[Variable]:
    """Variables in an expression with this property: if one of them is null, the whole expression is null."""
    kind = expression.kind
    if kind == "VAR":
        return {(expression["varno"], expression["varattno"])} if expression["varlevelsup"] == 0 else set()
    if kind in ("OPEXPR", "FUNCEXPR"):
        function = scope.catalog.functions.get(expression["opfuncid"] or expression["funcid"])
        if function is None or not function.is_strict:
            return set()
        return set().union(*(strict_in(each, scope) for each in arguments(expression)))
    if kind in ("RELABELTYPE", "COERCEVIAIO", "ARRAYCOERCEEXPR", "COLLATEEXPR"):
        return strict_in(expression["arg"], scope)
    return set()
