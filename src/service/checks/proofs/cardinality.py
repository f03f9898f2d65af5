"""Proves whether a query returns at most one row, and whether its ORDER BY gives its rows the same order each time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from service.checks.proofs.expressions import COLLATIONS, EXACT, integer, told_by
from service.checks.proofs.keys import Pins
from service.checks.proofs.presence import Variable
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Command, Node, Source, is_exists

_UNION, _INTERSECT = 1, 2
_WITH_TIES = 1
_NEVER_MATERIALIZED = 2


@dataclass(frozen=True)
class Proof:
    """Whether a query has a certain property, such as at most one row, and why or why not."""

    holds: bool
    why: str


def at_most_one(scope: QueryScope) -> Proof:
    """Whether a query returns at most one row."""
    if limit(scope) in (0, 1):
        return Proof(True, "LIMIT 1")
    return unlimited(scope)


def unlimited(scope: QueryScope) -> Proof:
    """Whether a query answers one row at most, without counting its LIMIT."""
    node = scope.node
    if node["setOperations"] is not None:
        return _combined(scope)
    if node["hasTargetSRFs"]:
        return Proof(False, "a function in its columns answers several rows")
    if scope.is_one_group:
        return Proof(True, "an aggregate over everything is one row")
    pins = pins_of(scope)
    if node.list("groupingSets"):
        return Proof(False, "grouping sets answer several rows")
    if node.list("groupClause") and all(pins.is_fixed(each) for each in scope.grouping):
        return Proof(True, "one group: what it groups by is fixed")
    if scope.command is Command.INSERT and not scope.read:
        return Proof(True, "one row of VALUES is inserted")
    return _whole(pins)


def pins_of(scope: QueryScope, start: Iterable[Variable] = (), *, without: Node | None = None) -> Pins:
    """The variables that the conditions of a query fix, given that the variables `start` are fixed.

    The condition `without`, if given, is ignored.
    """
    return Pins(scope, _for_columns, start, without)


def _whole(pins: Pins) -> Proof:
    if pins.loose:
        names = ", ".join(pins.scope.alias(number) for number in sorted(pins.loose))
        return Proof(False, f"no unique key fixes one row of {names}")
    return Proof(True, "; ".join(dict.fromkeys(pins.reasons.values())) or "it reads no table")


def _combined(scope: QueryScope) -> Proof:
    """Whether a set operation returns at most one row.

    A UNION does if each of its two queries returns at most one row, and they never both return one. An INTERSECT does if one
    of its queries does, an EXCEPT if its first query does.
    """
    operation = scope.node["setOperations"]
    sides = [operation["larg"], operation["rarg"]]
    if any(side.kind != "RANGETBLREF" for side in sides):
        return Proof(False, "a set operation of more than two queries")
    left, right = (scope.subquery(side["rtindex"]) for side in sides)
    proofs = at_most_one(left), at_most_one(right)
    if operation["op"] != _UNION:
        needed = proofs if operation["op"] == _INTERSECT else proofs[:1]
        return next((each for each in needed if each.holds), Proof(False, proofs[0].why))
    for proof in proofs:
        if not proof.holds:
            return proof
    for one, other, proof in ((left, right, proofs[1]), (right, left, proofs[0])):
        if name := _excludes(one, other):
            return Proof(True, f"one side reads {name}, the other is there only when {name} is empty; {proof.why}")
    return Proof(False, "both sides of the UNION may answer a row")


def _excludes(one: QueryScope, other: QueryScope) -> str:
    """The name of a common table expression that proves that two queries never both return rows; '' if there is none.

    The proof is that `one` returns rows only if this table expression has rows, and `other` only if it is empty.
    """
    if any(each.is_one_group or each.node.list("groupingSets") for each in (one, other)):
        return ""  # Such a query returns a row even if it reads no row.
    empty = {id(expression) for condition in other.always if (expression := _emptied(condition, other)) is not None}
    for number in one.read:
        is_needed = one.source(number) is Source.CTE and not any(number in join.nullable for join in one.joins)
        if is_needed and id(one.expression(number)[0]) in empty:
            return one.alias(number)
    return ""


def _emptied(condition: Node, scope: QueryScope) -> Node | None:
    """If a condition is `NOT EXISTS (SELECT FROM x)` for a common table expression x: the node of x, which has to be empty.

    None if the condition has another form.
    """
    if condition.kind != "BOOLEXPR" or condition["boolop"] != "not" or not is_exists(condition["args"][0]):
        return None
    asked = scope.inner(condition["args"][0]["subselect"])
    parts = (
        "limitCount", "limitOffset", "hasAggs", "havingQual", "setOperations", "groupingSets", "groupClause", "hasTargetSRFs",
    )  # fmt: skip
    if asked.always or any(asked.node[each] for each in parts) or len(asked.read) != 1:
        return None
    (number,) = asked.read
    if asked.source(number) is not Source.CTE:
        return None
    expression, _ = asked.expression(number)
    return None if expression["ctematerialized"] == _NEVER_MATERIALIZED else expression


def _for_columns(scope: QueryScope, columns: frozenset[int]) -> str:
    """Why no two rows of a query have the same values in certain result columns; '' if two rows may have the same.

    `columns` are the numbers of result columns, from 1.
    """
    for proof in (at_most_one(scope), _determined(scope, columns)):
        if proof.holds:
            return proof.why
    return ""


def _determined(scope: QueryScope, columns: frozenset[int]) -> Proof:
    node, outputs = scope.node, scope.outputs
    if node["setOperations"] is not None and node["setOperations"]["all"]:
        return order_of_parts(
            scope, [number - 1 for number in sorted(columns) if 0 < number <= len(outputs)], "its columns"
        )
    if node["setOperations"] is not None or node["hasTargetSRFs"] or node.list("groupingSets"):
        return Proof(False, "rows may be repeated")
    shown = [outputs[number - 1] for number in columns if 0 < number <= len(outputs)]
    if node.list("groupClause"):
        wanted = {each["tleSortGroupRef"] for each in node.list("groupClause")}
        is_told = wanted <= {each["ressortgroupref"] for each in shown}
        return Proof(is_told, "what it groups by is fixed" if is_told else "several groups have the same values")
    places = told_by(each["expr"] for each in shown)
    if scope.command in (Command.INSERT, Command.UPDATE):
        return _written(scope, {attribute for number, attribute in places if number == scope.target})
    return _whole(pins_of(scope, places))


def _written(scope: QueryScope, columns: set[int]) -> Proof:
    """Whether `columns` include all columns of a unique key, so that no two rows returned by INSERT or UPDATE are equal in them.

    This holds because RETURNING returns the values that are stored in the end, also if triggers have set them.
    """
    relation = scope.relation(scope.target) if scope.target else None
    for index in relation.indexes if relation is not None else ():
        is_required = relation is not None and all(relation.columns[each].is_required for each in index.columns if each)
        if index.is_unique and index.predicate is None and is_required and set(index.columns) <= columns:
            return Proof(True, f"{index.name.rpartition('.')[2]} tells the written rows apart")
    return Proof(False, "no key tells the written rows apart")


def order_of_parts(scope: QueryScope, positions: list[int], names: str) -> Proof:
    """Whether no two rows of a UNION ALL are equal in the columns at some positions."""
    parts = list(_parts(scope.node["setOperations"], scope))
    if not all(parts):
        return Proof(False, "UNION ALL may repeat rows")
    shown = [[part.outputs[n]["expr"] for n in positions] for part in parts if part is not None]
    for part, expressions in zip(parts, shown, strict=True):
        if part is None or not _is_ordered(part, expressions):
            return Proof(False, f"rows of one part of the UNION ALL may be equal in {names}")
    for one, other in itertools.combinations(shown, 2):
        if not any(_differ(*pair) for pair in zip(one, other, strict=True)):
            return Proof(False, f"rows of two parts of the UNION ALL may be equal in {names}")
    return Proof(True, f"{names}: total in each part of the UNION ALL, and a constant tells the parts apart")


def _is_ordered(part: QueryScope, expressions: list[Node]) -> bool:
    node = part.node
    if node["hasTargetSRFs"] or node.list("groupClause") or node.list("groupingSets") or node.list("distinctClause"):
        return False
    return not pins_of(part, told_by(expressions)).loose


def _parts(part: Node, scope: QueryScope) -> Iterator[QueryScope | None]:
    """The queries that a UNION ALL puts together; None for one that is another set operation."""
    if part.kind == "RANGETBLREF":
        inner = scope.subquery(part["rtindex"])
        yield None if inner.node["setOperations"] is not None else inner
    elif part["op"] == _UNION and part["all"]:
        yield from _parts(part["larg"], scope)
        yield from _parts(part["rarg"], scope)
    else:
        yield None


def _differ(one: Node, other: Node) -> bool:
    """Whether two expressions are constants, and not the same."""
    while one.kind == "RELABELTYPE":
        one = one["arg"]
    while other.kind == "RELABELTYPE":
        other = other["arg"]
    is_constant = all(each.kind == "CONST" and not each["constisnull"] for each in (one, other))
    is_exact = one["consttype"] in EXACT and one["constcollid"] in COLLATIONS
    return bool(
        is_constant and is_exact and one["consttype"] == other["consttype"] and one["constvalue"] != other["constvalue"]
    )


def limit(scope: QueryScope) -> int | None:
    """The number of rows in a query's LIMIT; None if the query has no LIMIT, or one that is not constant or has WITH TIES."""
    given = scope.node["limitCount"]
    if given is not None and given.kind == "FUNCEXPR":
        function = scope.catalog.functions.get(given["funcid"])
        is_cast = function is not None and (function.schema, function.name) == ("pg_catalog", "int8")
        given = given["args"][0] if is_cast else None
    return None if given is None or scope.node["limitOption"] == _WITH_TIES else integer(given)


def has_a_row(scope: QueryScope) -> bool:
    """Whether a query returns a row whatever data there is.

    That is so if it aggregates all rows into one, reads no table and has no condition, or inserts one row that no trigger can
    skip.
    """
    node = scope.node
    if scope.command is Command.INSERT:
        relation = scope.relation(scope.target) if scope.target else None
        is_plain = relation is not None and relation.kind in ("r", "p") and not relation.has_before_insert_trigger
        return is_plain and not scope.read and node["onConflict"] is None
    is_whole = not any(
        node[each] for each in ("havingQual", "limitCount", "limitOffset", "setOperations", "hasTargetSRFs")
    )
    reads_nothing = not scope.read - {each for each in scope.read if scope.source(each) is Source.RESULT}
    is_bare = scope.command is Command.SELECT and reads_nothing and not scope.always and not node.list("groupClause")
    return is_whole and (scope.is_one_group or (is_bare and not node.list("groupingSets")))
