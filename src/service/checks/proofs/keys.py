"""Finds which columns the conditions of a query fix to one value, and of which tables it therefore uses at most one row.

An entry is a table, subquery or function in the query's range table, a variable is a column of an entry. A variable is pinned if
a condition says that it equals a parameter, a constant or another fixed expression. An entry for a table is single (has at most
one row) if the columns of one of the table's unique indexes are pinned.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from service.checks.proofs.catalog import Index, Relation
from service.checks.proofs.expressions import COLLATIONS, EXACT, is_repeatable, is_volatile, place_of
from service.checks.proofs.presence import Facts, Variable
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Command, Join, Node, Source, arguments, conjuncts, references, same, walk

Inner = Callable[[QueryScope, frozenset[int]], str]
"""The type of a function that says why no two rows of a query have the same values in certain result columns.

The arguments are the query and the numbers of these columns. The result is '' if two rows may have the same values.
"""


class Pins:
    """The variables that conditions fix in one query (`pinned`), and its entries with at most one row (`single`).

    If an entry is single, each row of the result contains the same row of this entry, or nulls where an outer join found no
    row. `reasons` maps the number of a single entry to the reason, in words. `start` are variables that are assumed to be fixed,
    too. Unlike a pinned variable, which equals a value, a variable in `start` may be null.
    """

    def __init__(
        self, scope: QueryScope, inner: Inner, start: Iterable[Variable] = (), without: Node | None = None
    ) -> None:
        self.scope = scope
        self.pinned: set[Variable] = set()
        self.single: set[int] = set()
        self.reasons: dict[int, str] = {}
        self._fixed: list[tuple[int, Node]] = []
        """Expressions over one entry that conditions fix, with the number of the entry."""
        self._start = set(start)
        self._inner = inner
        self._facts = Facts(scope)
        self._without = without
        self._quals = [each for each in scope.always if each is not without]
        for number in scope.read:
            for each in scope.entry(number).list("securityQuals"):
                self._quals += conjuncts(each)
        while self._pin() or self._single_out():
            pass

    @property
    def loose(self) -> set[int]:
        """The numbers of the entries because of which the result may have several rows: those that are not single.

        For UPDATE and DELETE only the target counts: a row is updated or deleted once, even if it is joined with several rows.
        With a full join all entries count, whether or not they are single.
        """
        if self.scope.command in (Command.UPDATE, Command.DELETE) and self.scope.target is not None:
            return {self.scope.target} - self.single
        if any(join.kind is Join.FULL for join in self.scope.joins):
            return set(self.scope.read)  # A full join whose condition is false gives two rows, one for each side.
        return {each for each in self.scope.read if self.scope.source(each) is not Source.GROUP} - self.single

    def is_fixed(self, expression: Node) -> bool:
        """Whether an expression has the same value in all rows of the result.

        This is so if each variable in the expression is identical in all rows. If the expression is nothing but a variable, it
        is enough that the values of the variable are equal (1.0 and 1.00 are equal but not identical).
        """
        is_alone = place_of(expression) is not None
        return is_repeatable(expression, self.scope) and all(
            self._has(each, equal=is_alone) for each in references(expression)
        )

    def _has(self, variable: Node, *, equal: bool = False) -> bool:
        """Whether a variable has identical values in all rows of the result; with `equal`, whether its values are equal there."""
        number, attribute = variable["varno"], variable["varattno"]
        if self.scope.source(number) is Source.GROUP:
            return self.is_fixed(self.scope.ungrouped(variable))
        if self._is_settled(number):
            return True
        if not equal and (variable["vartype"] not in EXACT or variable["varcollid"] not in COLLATIONS):
            return False
        place = number, attribute
        # Where an outer join fills the variable with null, the condition that pins it does not hold. So it is fixed only if it
        # can't be null, or if no outer join may fill it.
        is_there = place in self._facts.present or not self._facts.fillers(number)
        return place in self._start or (place in self.pinned and is_there)

    def _is_settled(self, number: int) -> bool:
        """Whether an entry's columns are the same in all rows of the result.

        The entry must be single; and either all rows of the result contain the entry's one row, or all contain nulls instead.
        """
        joins = self.scope.joins
        fillers = self._facts.fillers(number)
        if number not in self.single or (fillers and any(join.kind is Join.FULL for join in joins)):
            return False
        beside = {each for join in fillers for each in join.left | join.right if each in self.scope.read}
        is_steady = not fillers or not any(is_volatile(join.on, self.scope) for join in joins)
        # A subquery or function in FROM may be evaluated again for every row of another entry, so it must not be volatile.
        parts = [self.scope.entry(each)[part] for each in {number, *beside} for part in _SOURCES]
        return beside <= self.single and is_steady and not is_volatile(parts, self.scope)

    def _pin(self) -> bool:
        before, self._fixed = len(self.pinned), []
        for condition in self._quals:
            self._equate(condition, None)
        for join in self.scope.joins:
            # In rows whose nullable side is not filled with nulls, the join's condition holds. So it can pin variables of this
            # side.
            if join.kind in (Join.LEFT, Join.RIGHT):
                for condition in join.on:
                    if condition is not self._without:
                        self._equate(condition, join.nullable)
        return len(self.pinned) > before

    def _equate(self, condition: Node, only: frozenset[int] | None) -> None:
        if condition.kind != "OPEXPR" or not self.scope.catalog.equates(condition["opno"]):
            return
        function = self.scope.catalog.functions.get(condition["opfuncid"])
        if function is None or not function.is_immutable:
            return  # Example: timestamp = timestamptz. When summer time begins, two different timestamps equal one timestamptz.
        one, other = arguments(condition)
        for variable, value in ((one, other), (other, one)):
            place = place_of(variable)
            if (
                place
                and (only is None or place[0] in only)
                and _same_collation(condition, variable)
                and self.is_fixed(value)
            ):
                self.pinned.add(place)
            entries = {each["varno"] for each in references(variable)}
            is_own = not place and len(entries) == 1 and (only is None or entries <= only)
            if is_own and condition["inputcollid"] in COLLATIONS and self.is_fixed(value):
                self._fixed.append((*entries, variable))

    def _single_out(self) -> bool:
        before = len(self.single)
        for number in self._missing - self.single:
            self.single.add(number)
            self.reasons[number] = f"no row of {self.scope.alias(number)} is met"
        for number in self.scope.read - self.single:
            if all(self._has(each) for each in self._needed(number)) and (reason := self._key(number)):
                self.single.add(number)
                self.reasons[number] = reason
        return len(self.single) > before

    @functools.cached_property
    def _missing(self) -> frozenset[int]:
        """The entries that are nulls in every row: outer joins fill them, and a condition wants a NOT NULL column to be NULL."""
        found: frozenset[int] = frozenset()
        for condition in self.scope.always:
            place = (
                place_of(condition["arg"]) if condition.kind == "NULLTEST" and condition["nulltesttype"] == 0 else None
            )
            relation = self.scope.relation(place[0]) if place else None
            if place and relation and place[1] in relation.columns and relation.columns[place[1]].is_required:
                # Of the joins around it, the innermost is sure to have found no row.
                around = (join.nullable for join in self.scope.joins if place[0] in join.nullable)
                found |= next((each & self.scope.read for each in around), frozenset())
        return found

    def _needed(self, number: int) -> list[Node]:
        """The variables of this query that occur inside a subquery, function or VALUES in its FROM. Only LATERAL allows them."""
        entry = self.scope.entry(number)
        return [each for part in _SOURCES for each in references(entry[part])]

    def _key(self, number: int) -> str:
        """The reason, in words, why an entry has at most one row; '' if it may have several rows."""
        scope, source, name = self.scope, self.scope.source(number), self.scope.alias(number)
        if source is Source.RELATION:
            relation = scope.relation(number)
            for index in relation.indexes if relation is not None else ():
                if relation is not None and self._covers(relation, index, number):
                    names = ", ".join(relation.column_name(each) for each in index.columns)
                    return f"{index.name.rpartition('.')[2]} allows one row of {name} for its {names}"
            return ""
        columns = frozenset(attribute for entry, attribute in self.pinned | self._start if entry == number)
        if source in (Source.SUBQUERY, Source.CTE):
            inner = scope.source_query(number)
            why = "" if inner is None or scope.is_recursive(number) else self._inner(inner, columns)
            return why and f"{name} is one row ({why})"
        if source is Source.VALUES:
            rows = scope.entry(number).list("values_lists")
            if any(_are_distinct([row[column - 1] for row in rows]) for column in columns):
                return f"no two rows of {name} have the same"
            return f"{name} is one row of VALUES" if len(rows) == 1 else ""
        if source is Source.FUNCTION:
            called = [
                scope.catalog.functions.get(each["funcexpr"]["funcid"])
                for each in scope.entry(number).list("functions")
            ]
            is_one = all(function is not None and not function.is_set for function in called)
            return f"{name} is a function that answers one row" if is_one else ""
        return f"{name} is one row" if source is Source.RESULT else ""

    def _covers(self, relation: Relation, index: Index, number: int) -> bool:
        """Whether an index proves that an entry has at most one row.

        It does if it is unique, and conditions fix each of its columns and expressions, or a CHECK allows only one value.

        Columns that may be null prove nothing, because a unique index allows several rows with nulls. A partial index counts
        only if the query's conditions imply the condition of the index.
        """
        if not index.is_unique or not implies(self._quals, index.predicate, number):
            return False
        expressions = iter(index.expressions or ())
        for column in index.columns:
            if column == 0:
                key = next(expressions)
                if not any(each == number and same(fixed, key, anywhere=True) for each, fixed in self._fixed):
                    return False
                continue
            if (number, column) in self.pinned:
                continue
            if relation.columns[column].is_constant and relation.columns[column].is_required:
                continue
            is_there = relation.columns[column].is_required or (number, column) in self._facts.present
            if (number, column) not in self._start or not is_there:
                return False
        return True


def _are_distinct(values: list[Node]) -> bool:
    """Whether values are constants of one type of which no two are equal; a cast that changes only their type is ignored."""
    while all(each.kind == "RELABELTYPE" for each in values):
        values = [each["arg"] for each in values]
    known = {
        (each["consttype"], str(each["constvalue"]))
        for each in values
        if each.kind == "CONST" and not each["constisnull"]
    }
    is_exact = all(each["consttype"] in EXACT and each["constcollid"] in COLLATIONS for each in values)
    return is_exact and len(known) == len(values) and len({type_ for type_, _ in known}) == 1


_SOURCES = ("subquery", "functions", "values_lists")
"""The fields of an entry's node that may contain expressions: its subquery, its function calls, its rows of VALUES."""


def _same_collation(condition: Node, variable: Node) -> bool:
    """Whether a condition compares a variable under the variable's own collation. Only then can it pin the variable.

    Under another collation, two texts may be equal that are different keys in the column's unique index.
    """
    collation = variable["varcollid"] if variable.kind == "VAR" else variable["arg"]["varcollid"]
    return bool(condition["inputcollid"] == collation or not collation)


def implies(quals: list[Node], predicate: Any, relation: int) -> bool:
    """Whether conditions imply the predicate of a partial index.

    `relation` is the number of the index's table in the range table; only conditions on this table alone count.
    """
    own = [each for each in quals if _varnos(each) == {relation}]
    return all(any(same(qual, part, anywhere=True) for qual in own) for part in conjuncts(predicate))


def _varnos(expression: Node) -> set[int]:
    return {node["varno"] for node in walk(expression) if node.kind == "VAR" and node["varlevelsup"] == 0}
