"""Finds out from a query's conditions which variables can't be null, and which outer joins act like inner joins.

A variable is a column of a table, subquery or function in the query's range table.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from service.checks.proofs.joins import NO_ENTRY, Joined
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Join, Node, Source, arguments, walk

_IS_NOT_NULL = 1
_IS_TRUE, _IS_FALSE = 0, 2

Variable = tuple[int, int]
"""A variable of a query, as two numbers: that of an entry in the query's range table, and that of a column of this entry."""


class Facts:
    """What follows from a query's conditions: which variables can't be null (`present`), and which outer joins may add nulls."""

    def __init__(self, scope: QueryScope) -> None:
        self._scope = scope
        self.present: set[Variable] = set()
        self.expressions: list[Node] = []
        """Expressions that are null in no row, because conditions reject the rows in which they are."""
        self._strict: set[int] = set()
        self._kept: dict[int, Joined] = {}
        """The outer joins that may add nulls. The keys are the numbers of the joins' own entries in the range table."""
        for join in scope.joins:
            if join.nullable and join.entry != NO_ENTRY:
                self._kept[join.entry] = join
        self._learn(scope.always)
        self._settle()

    def _learn(self, conditions: Iterable[Node]) -> None:
        for each in conditions:
            found = rejected(each, self._scope)
            self.present |= found
            self._strict |= {number for number, _ in found}
            self.expressions += _required(each, self._scope)

    def _settle(self) -> None:
        """Treat a left or right join as an inner join if a condition rejects the rows that the join fills with nulls.

        The join's own condition then holds for all rows. So it may show that more variables can't be null, and then that more
        joins act like inner joins.
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
        """What may make a variable (a VAR node) null, in words: an outer join or grouping sets; '' if neither may."""
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
        """The outer joins that may fill the columns of the entry with this number with nulls."""
        return [join for join in self._kept.values() if number in join.nullable]

    def _is_join(self, number: int) -> bool:
        return self._scope.source(number) is Source.JOIN


def _required(condition: Node, scope: QueryScope) -> list[Node]:
    """The expressions that can't be null where a condition is true: those tested, and the arguments of strict operators."""
    if condition.kind == "NULLTEST" and condition["nulltesttype"] == _IS_NOT_NULL and not condition["argisrow"]:
        return _strict_parts(condition["arg"], scope)
    return _strict_parts(condition, scope) if condition.kind == "OPEXPR" else []


def _strict_parts(expression: Node, scope: QueryScope) -> list[Node]:
    """An expression and the arguments that it is null without, if the same expression has the same value elsewhere."""
    functions = [
        scope.catalog.functions.get(each["opfuncid"] or each["funcid"])
        for each in walk(expression) if each["opfuncid"] or each["funcid"]
    ]  # fmt: skip
    if any(each is None or each.is_volatile for each in functions) or any(
        each.kind == "SUBLINK" for each in walk(expression)
    ):
        return []
    found = [expression]
    if expression.kind in ("OPEXPR", "FUNCEXPR") and functions and functions[0] is not None and functions[0].is_strict:
        found += [part for each in arguments(expression) for part in _strict_parts(each, scope)]
    return found


def rejected(condition: Node, scope: QueryScope) -> set[Variable]:
    """The variables that can't be null in a row for which `condition` is true, because with null it would not be true."""
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
        # `x = ANY (array)` is true only if x equals an element, so x is not null. strict_in() leaves this kind of
        # expression out, because for an empty array the result is false, and not null, even if x is null.
        function = scope.catalog.functions.get(condition["opfuncid"])
        is_strict = condition["useOr"] and function is not None and function.is_strict
        return strict_in(arguments(condition)[0], scope) if is_strict else set()
    return strict_in(condition, scope)


def strict_in(expression: Any, scope: QueryScope) -> set[Variable]:
    """The variables that make an expression null: if any one of them is null, the whole expression is null."""
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
