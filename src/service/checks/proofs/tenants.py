"""Which columns of a query equal the bound tenant, by conditions that name :tenant_id, wherever they stand.

A condition counts for the relation that it is about: in WHERE, in the ON of an inner join, in that of an outer join for
its nullable side. It counts inside a subquery or table expression too, if that only hands rows on, and from one round of a
recursion to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from service.checks.proofs.expressions import place_of
from service.checks.proofs.presence import Variable
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Command, Join, Node, Source, arguments

_Outer = frozenset[tuple[int, Variable]]
"""Variables of the enclosing queries that equal the tenant, each with its number of levels up (1: the next one)."""
_Assumed = frozenset[tuple[int, int]]
"""Columns of recursive table expressions that equal it by induction: the identity of the expression's node, and the column."""
_CHANGES_ROWS = (
    "setOperations", "limitCount", "limitOffset", "groupClause", "groupingSets", "hasAggs", "hasWindowFuncs", "distinctClause",
    "havingQual", "hasTargetSRFs", "rowMarks",
)  # fmt: skip
"""What makes a query do something with rows that a condition outside it leaves out."""


class Tenants:
    """The variables of a query, and of the queries inside it, that equal the bound tenant; `number` is that of :tenant_id."""

    def __init__(self, scope: QueryScope, number: int | None) -> None:
        self._number = number
        self._handed: dict[int, frozenset[Variable]] = {}
        """By a query's node: its variables that conditions outside it make equal to the tenant."""
        self.bound = dict(self._each(scope, frozenset()))
        # Each round can only add equalities that the last one has shown.
        while (handed := self._hand_in()) != self._handed:
            self._handed = handed
            self.bound = dict(self._each(scope, frozenset()))

    def is_tenant(self, value: Node, scope: QueryScope) -> bool:
        """Whether an expression of a query is the bound tenant."""
        return self._is(value, scope, set(self.bound.get(scope, ())), frozenset(), frozenset())

    def _each(self, scope: QueryScope, outer: _Outer) -> Iterator[tuple[QueryScope, frozenset[Variable]]]:
        own = frozenset(self._equal(scope, outer, frozenset()))
        yield scope, own
        around = frozenset({(level + 1, place) for level, place in outer} | {(1, place) for place in own})
        for inner in scope.nested:
            yield from self._each(inner, around)

    def _hand_in(self) -> dict[int, frozenset[Variable]]:
        """What the conditions around subqueries and table expressions say of their columns: all references must say it."""
        said: dict[int, list[frozenset[Variable]]] = {}
        for scope, own in self.bound.items():
            for number in scope.read:
                if (inner := scope.source_query(number)) is not None:
                    said.setdefault(id(inner.node), []).append(frozenset(_columns(inner, number, own)))
        return {node: frozenset.intersection(*each) for node, each in said.items()}

    def _equal(self, scope: QueryScope, outer: _Outer, assumed: _Assumed) -> set[Variable]:
        found: set[Variable] = set(self._handed.get(id(scope.node), ()))
        while True:
            before = len(found)
            for condition in scope.always:
                found |= self._equated(condition, scope, found, outer, assumed)
            for join in scope.joins:
                # An outer join's condition limits only the rows of its nullable side, an inner one's those of both.
                sides = {Join.INNER: join.left | join.right, Join.FULL: frozenset[int]()}.get(join.kind, join.nullable)
                for condition in join.on:
                    equated = self._equated(condition, scope, found, outer, assumed)
                    found |= {place for place in equated if place[0] in sides}
            if len(found) == before:
                return found

    def _equated(
        self, condition: Node, scope: QueryScope, known: set[Variable], outer: _Outer, assumed: _Assumed
    ) -> set[Variable]:
        if condition.kind != "OPEXPR" or not scope.catalog.equates(condition["opno"]):
            return set()
        one, other = arguments(condition)
        return {
            place for variable, value in ((one, other), (other, one))
            if (place := place_of(variable)) and self._is(value, scope, known, outer, assumed)
        }  # fmt: skip

    def _is(self, value: Node, scope: QueryScope, known: set[Variable], outer: _Outer, assumed: _Assumed) -> bool:
        if value.kind == "PARAM":
            return bool(value["paramkind"] == 0 and value["paramid"] == self._number)
        if value.kind != "VAR":
            return False
        place = value["varno"], value["varattno"]
        if value["varlevelsup"]:
            return (value["varlevelsup"], place) in outer
        return place in known or self._shows(scope, place, assumed)

    def _shows(self, scope: QueryScope, place: Variable, assumed: _Assumed) -> bool:
        """Whether a column of a subquery or table expression is the bound tenant in each of its rows."""
        number, attribute = place
        source = scope.source(number)
        if source is Source.SUBQUERY:
            return self._returns(scope.subquery(number), attribute, assumed)
        if source is Source.VALUES:
            rows = scope.entry(number).list("values_lists")
            return all(self._is(row[attribute - 1], scope, set(), frozenset(), assumed) for row in rows)
        if source is not Source.CTE:
            return False
        expression, inner = scope.expression(number)
        if (id(expression), attribute) in assumed:
            return True
        return self._returns(inner, attribute, assumed | {(id(expression), attribute)})

    def _returns(self, inner: QueryScope, attribute: int, assumed: _Assumed) -> bool:
        if inner.node["setOperations"] is not None:
            return all(self._returns(leaf, attribute, assumed) for leaf in inner.leaves)
        if not 0 < attribute <= len(inner.outputs):
            return False
        shown = inner.outputs[attribute - 1]["expr"]
        return self._is(shown, inner, self._equal(inner, frozenset(), assumed), frozenset(), assumed)


def _columns(inner: QueryScope, number: int, own: Iterable[Variable]) -> Iterator[Variable]:
    """The variables of a query inside another that the columns which equal the tenant outside are."""
    if inner.command is not Command.SELECT or any(inner.node[each] for each in _CHANGES_ROWS):
        return
    for entry, attribute in own:
        if entry == number and 0 < attribute <= len(inner.outputs):
            place = place_of(inner.outputs[attribute - 1]["expr"])
            if place:
                yield place
