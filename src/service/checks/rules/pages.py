"""Pages: that a page goes on where the last one ended, whatever its parameters are called."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from service.checks import spans
from service.checks.proofs import nullability, presence
from service.checks.proofs.cardinality import pins_of
from service.checks.proofs.comparisons import EQUAL, FLIPPED, Comparison, comparison_of, plain_comparison
from service.checks.proofs.expressions import place_of
from service.checks.proofs.orders import sort_key_name, sorted_by
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Command, Node, conjuncts, same, walk
from service.checks.proving import Proved, Subject

_DESCENDING, _ASCENDING = (1, 2), (5, 4)
"""The B-tree comparisons with the last row of a page that lead to the next page, for descending and for ascending order.

The first of each excludes that row (< or >), the second includes it (<= or >=).
"""
_UNKNOWN = (0, 0)
_CHANGES_ROWS = (
    "setOperations",
    "groupClause",
    "groupingSets",
    "distinctClause",
    "limitCount",
    "limitOffset",
    "hasAggs",
    "hasTargetSRFs",
)


@dataclass(frozen=True)
class _Level:
    """A query that has the rows of a page: the one with the LIMIT, or one inside it from which the sort keys come.

    `keys` are the sort keys as expressions of this query.
    """

    scope: QueryScope
    keys: Sequence[Node]
    directions: Sequence[tuple[int, int]]
    names: dict[int, str]
    after: set[int]

    @functools.cached_property
    def conditions(self) -> Sequence[Node]:
        """The conditions that all rows satisfy: those of WHERE and HAVING."""
        return [*self.scope.always, *conjuncts(self.scope.node["havingQual"])]

    @functools.cached_property
    def bounds(self) -> Sequence[Comparison]:
        """The conditions that compare something with values from outside."""
        found = (comparison_of(each, self.scope, self.names) for each in self.conditions)
        return [
            replace(each, keys=[self.scope.ungrouped(key) for key in each.keys]) for each in found if each is not None
        ]

    @functools.cached_property
    def compared(self) -> Sequence[Comparison]:
        """The comparisons that are taken for the condition of the page, except ends of a range filter."""
        return [each for each in self.bounds if self.is_meant(each) and not self._is_range(each)]

    @property
    def wanted(self) -> str:
        """The order in words."""
        return ", ".join(
            f"{sort_key_name(key, self.scope)}{' DESC' if each is _DESCENDING else ''}"
            for key, each in zip(self.keys, self.directions, strict=True)
        )

    @property
    def inner(self) -> _Level | None:
        """The query in FROM from which all keys come, if it keeps its rows as they are."""
        places = [place_of(each) for each in self.keys]
        numbers = {place[0] if place else 0 for place in places}
        inner = self.scope.source_query(*numbers) if len(numbers) == 1 and 0 not in numbers else None
        if inner is None or inner.command is not Command.SELECT or any(inner.node[each] for each in _CHANGES_ROWS):
            return None
        keys = [inner.outputs[place[1] - 1]["expr"] for place in places if place and 0 < place[1] <= len(inner.outputs)]
        if len(keys) < len(places):
            return None
        return _Level(inner, keys, self.directions, self.names, self.after)

    def is_meant(self, bound: Comparison) -> bool:
        """Whether a comparison is taken for the condition of the page.

        It is if it uses an :after… parameter, compares several keys at once, or excludes the beginning of the order.
        """
        keys, directions = self.keys, self.directions
        if self.after & {*bound.parameter_numbers}:
            return True
        if bound.strategies & {EQUAL} or not bound.strategies or not keys:
            return False
        if bound.is_multi_key:
            return any(same(one, key) for one in bound.keys for key in keys)
        if len(keys) > 1 and same(bound.keys[0], keys[-1]) and bound.strategies <= {*directions[-1]}:
            return True  # The last key alone, which only tells rows apart that are equal in the others.
        return same(bound.keys[0], keys[0]) and bound.strategies <= {*directions[0]}

    @property
    def has_nested(self) -> bool:
        """Whether a key is compared with a value of the last row inside another condition."""
        return any(
            bound.strategies - {EQUAL} and any(same(each, key) for each in bound.keys for key in self.keys)
            for bound in self.nested()
            if self.is_meant(bound)
        )

    def is_whole(self, bound: Comparison) -> bool:
        """Whether a condition compares all keys, in the order of ORDER BY and in its directions."""
        is_strict = all(
            order == {each[0]} for order, each in zip(bound.strategies_by_key, self.directions, strict=False)
        )
        return is_strict and len(bound.keys) == len(self.keys) and all(map(same, bound.keys, self.keys))

    def is_redundant(self, bound: Comparison) -> bool:
        """Whether a bound on the first keys is implied by the comparison of all keys, as created_at <= :after_created_at is."""
        length = len(bound.keys)
        is_wide = all(order == {each[1]} for order, each in zip(bound.strategies_by_key, self.directions, strict=False))
        return (
            is_wide
            and length < len(self.keys)
            and any(
                all(map(same, bound.keys, whole.keys)) and all(map(same, bound.values, whole.values))
                for whole in self.compared
                if self.is_whole(whole)
            )
        )

    def _is_range(self, bound: Comparison) -> bool:
        """Whether a bound that includes its value is one end of a range of the first key, and another bound the other end."""
        is_end = bool(self.directions) and not bound.is_multi_key and bound.strategies == {self.directions[0][1]}
        return (
            is_end
            and not self.after & {*bound.parameter_numbers}
            and any(
                not each.is_multi_key
                and same(each.keys[0], bound.keys[0])
                and each.strategies <= {FLIPPED[strategy] for strategy in self.directions[0]}
                for each in self.bounds
            )
        )

    def nested(self) -> Iterator[Comparison]:
        """The comparisons inside other conditions. One beside an equality on the same key counts in either direction."""
        optional = [each for join in self.scope.joins if join.nullable for each in join.on]
        parts = [[part for part in walk(each) if part is not each] for each in self.conditions]
        # A condition of an outer join leaves no row out.
        for inside in [*parts, *([*walk(each)] for each in optional)]:
            found = [each for part in inside if (each := plain_comparison(part, self.scope, self.names)) is not None]
            equal = [each.keys[0] for each in found if each.strategies == {EQUAL}]
            for each in found:
                is_paired = any(same(each.keys[0], key) for key in equal)
                yield replace(each, is_multi_key=True) if is_paired and each.strategies != {EQUAL} else each


def check(subject: Subject, proved: Proved, scope: QueryScope) -> bool:
    """Check that a page begins after the last row of the page before: its condition compares the keys of ORDER BY, in order.

    Returns whether there is such a condition.
    """
    names = dict(enumerate(subject.entry.statement.variants[proved.key].parameters, 1))
    after = {number for number, name in names.items() if name.startswith("after")}
    order = [
        (scope.ungrouped(key), _direction(scope, clause["sortop"]))
        for key, clause in zip(sorted_by(scope), scope.node.list("sortClause"), strict=True)
    ]
    # A key that a condition fixes orders nothing, unless it is fixed to a value of the last row.
    pins = pins_of(scope, without=next((each for each in scope.always if after & _parameters(each)), None))
    order = [each for each in order if not pins.is_fixed(each[0])] or order
    directions = [direction for _, direction in order]
    level: _Level | None = _Level(scope, [key for key, _ in order], directions, names, after)
    levels = []
    while level is not None:
        levels.append(level)
        level = level.inner
    is_missing = bool(after and directions and scope is proved.scope) and not any(
        each.compared or each.has_nested for each in levels
    )
    if is_missing:
        subject.say(
            "keyset-missing",
            f"there are :after… parameters, and no condition goes on after them in the order {levels[0].wanted}",
            remedy="write (created_at, id) < (:after_created_at, :after_id)",
        )  # fmt: skip
    is_whole = any(each.is_whole(bound) for each in levels for bound in each.compared)
    for each in levels:
        if not (is_whole or is_missing):
            _inside(subject, proved, each)
        for bound in each.compared:
            _compared(subject, proved, each, bound)
    return any(each.compared or each.has_nested for each in levels)


def lost(subject: Subject, proved: Proved) -> None:
    """Report :after… parameters of a statement in which no query with a LIMIT goes on after them."""
    names = subject.entry.statement.variants[proved.key].parameters
    if any(name.startswith("after") for name in names) and not any(
        each.code.startswith("keyset") for each in subject.findings
    ):
        subject.say(
            "keyset-missing", "there are :after… parameters, and no query with a LIMIT goes on after them",
            proved="a condition outside takes rows away that the LIMIT inside has chosen",
            remedy="compare the keys in the query that has the LIMIT",
        )  # fmt: skip


def _inside(subject: Subject, proved: Proved, level: _Level) -> None:
    for bound in level.nested():
        if level.is_meant(bound) and not _is_filter(subject, level, bound):
            subject.say(
                "keyset-differs", "a comparison with the keys of ORDER BY stands inside another condition",
                span=spans.at(subject.entry.statement, proved.key, bound.location), proved=f"the order is {level.wanted}",
                remedy="compare all keys at once where all must hold, in a line with -- when if it is optional; for a filter"
                " write '-- filter: parameter because …'",
            )  # fmt: skip


def _compared(subject: Subject, proved: Proved, level: _Level, bound: Comparison) -> None:
    if level.is_whole(bound):
        _whole(subject, proved, level, bound)
    elif not level.is_redundant(bound) and not _is_filter(subject, level, bound):
        subject.say(
            "keyset-differs", "the condition goes on after other keys than those of ORDER BY",
            span=spans.at(subject.entry.statement, proved.key, bound.location), proved=f"the order is {level.wanted}",
            remedy="compare the same columns in the same order, with < where it descends and > where it ascends; if it is a"
            " filter, write '-- filter: parameter because …'",
        )  # fmt: skip


def _whole(subject: Subject, proved: Proved, level: _Level, bound: Comparison) -> None:
    """The keys are those of the order: none may be NULL, and each is compared with its own value of the last row."""
    scope = level.scope
    place = spans.at(subject.entry.statement, proved.key, bound.location)
    for key in bound.keys:
        if why := _why_null(key, bound, scope, proved.given):
            subject.say(
                "keyset-null", f"{sort_key_name(key, scope)} may be NULL, and such a row can appear only on the first page",
                span=place, proved=why, remedy="order by columns that are NOT NULL, or by coalesce(…) in both places",
            )  # fmt: skip
    columns = [scope.column(*spot).rpartition(".")[2] if (spot := place_of(key)) else "" for key in bound.keys]
    for number, own in zip(bound.parameter_numbers, columns, strict=True):
        name = level.names.get(number or 0, "")
        is_others = any(name.endswith(f"_{other}") for other in columns if other and other != own)
        is_swapped = is_others and not (own and name.endswith(own))
        if number is None or [*bound.parameter_numbers].count(number) > 1 or is_swapped or not bound.is_of_one_type:
            subject.say(
                "keyset-differs", "a key is not compared with its own value of the last row", span=place,
                proved=f"{own or 'an expression'} is compared with {f':{name}' if name else 'what is no parameter'}"
                f"{'' if bound.is_of_one_type else ', a value of another type'}",
                remedy="compare each key with the parameter for its own value: (created_at, id) < (:after_created_at, :after_id)",
            )  # fmt: skip


def _why_null(key: Node, bound: Comparison, scope: QueryScope, given: frozenset[int]) -> str:
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


def _is_filter(subject: Subject, level: _Level, bound: Comparison) -> bool:
    return any(subject.note("filter", level.names.get(number or 0, "")) for number in bound.parameter_numbers)


def _parameters(condition: Node) -> set[int]:
    return {each["paramid"] for each in walk(condition) if each.kind == "PARAM"}


def _direction(scope: QueryScope, operator: int) -> tuple[int, int]:
    strategies = scope.catalog.strategies.get(operator, frozenset())
    return _DESCENDING if 5 in strategies else _ASCENDING if 1 in strategies else _UNKNOWN
