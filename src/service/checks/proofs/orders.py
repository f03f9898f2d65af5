"""Whether the order of a query is total: no two of its rows are equal in it, so that a LIMIT takes the same rows each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.checks.proofs.cardinality import Proof, order_of_parts, pins_of, unlimited
from service.checks.proofs.expressions import is_volatile, place_of, told_by
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Command, Node, Source, same


def total_order(scope: QueryScope) -> Proof:
    """Whether ORDER BY is total: no two rows are equal in all of its keys, so that LIMIT selects the same rows each time."""
    node = scope.node
    if (one := unlimited(scope)).holds:
        return one
    expressions = [scope.expression(each)[1].node for each in scope.read if scope.source(each) is Source.CTE]
    conditions = [*scope.always, *(each for join in scope.joins for each in join.on), node["havingQual"]]
    if is_volatile([*sorted_by(scope), *conditions, *expressions, *(scope.entry(each) for each in scope.read)], scope):
        return Proof(False, "the order depends on a volatile function")
    if not scope.outputs and scope.command is Command.SELECT:
        return Proof(True, "the query has no columns, so only the number of its rows matters")
    if not node.list("sortClause"):
        return Proof(False, "there is no ORDER BY")
    keys = list(sorted_by(scope))
    names = ", ".join(sort_key_name(each, scope) for each in keys)
    if node["hasTargetSRFs"] or node.list("groupingSets"):
        return Proof(False, f"rows may be repeated within {names}")
    # DISTINCT ON keeps the first of several rows, so ORDER BY also has to determine which row is the first.
    # If the result has only the DISTINCT ON columns, it does not matter which row is kept.
    kept = {each["tleSortGroupRef"] for each in node.list("distinctClause")}
    is_distinct = kept and (not node["hasDistinctOn"] or kept >= {each["ressortgroupref"] for each in scope.outputs})
    if node["setOperations"] is not None or node.list("groupClause") or is_distinct:
        return _order_of_shown(scope, names)
    pins = pins_of(scope, told_by(keys))
    if not pins.loose:
        return Proof(True, f"{names}: {'; '.join(dict.fromkeys(pins.reasons.values()))}")
    loose = ", ".join(scope.alias(number) for number in sorted(pins.loose))
    return Proof(False, f"rows of {loose} may be equal in {names}")


def _order_of_shown(scope: QueryScope, names: str) -> Proof:
    """Whether ORDER BY is total for groups, or for the rows of UNION or DISTINCT.

    Two groups differ in at least one expression of GROUP BY, two rows of UNION or DISTINCT in at least one column. So the order
    is total if all of these expressions or columns are keys of ORDER BY.
    """
    node = scope.node
    sort = {each["tleSortGroupRef"] for each in node.list("sortClause")}
    if node["setOperations"] is not None and node["setOperations"]["all"]:
        return _order_of_all(scope, names)
    if node.list("groupClause") and not node.list("distinctClause") and node["setOperations"] is None:
        return _order_of_groups(scope, names)
    clause = node.list("distinctClause") or node.list("groupClause")
    needed = {each["tleSortGroupRef"] for each in clause} or {each["ressortgroupref"] for each in scope.outputs}
    if needed <= sort:
        return Proof(True, f"{names}: no two rows have the same")
    return Proof(False, f"rows may be equal in {names}")


def _order_of_groups(scope: QueryScope, names: str) -> Proof:
    """The order of groups: total if the keys of ORDER BY fix everything that they are grouped by."""
    keys = [scope.ungrouped(each) for each in sorted_by(scope)]
    pins = pins_of(scope, told_by(keys))
    for each in scope.grouping:
        if not (pins.is_fixed(each) or any(same(each, key) for key in keys)):
            return Proof(False, f"groups may be equal in {names}")
    return Proof(True, f"{names}: no two groups have the same")


def _order_of_all(scope: QueryScope, names: str) -> Proof:
    """The order of a UNION ALL: total if it is in each part, and a constant in it tells the parts apart."""
    references = {each["tleSortGroupRef"] for each in scope.node.list("sortClause")}
    positions = [n for n, each in enumerate(scope.outputs) if each["ressortgroupref"] in references]
    return order_of_parts(scope, positions, names)


def sorted_by(scope: QueryScope) -> Iterator[Node]:
    """The expressions of ORDER BY, the most significant first."""
    yield from clause_keys(scope.node.list("targetList"), scope.node.list("sortClause"))


def clause_keys(entries: Sequence[Node], clauses: Sequence[Node]) -> list[Node]:
    """The expressions that clauses such as those of ORDER BY or PARTITION BY refer to, among the target entries `entries`."""
    by_reference = {each["ressortgroupref"]: each["expr"] for each in entries}
    return [by_reference[each["tleSortGroupRef"]] for each in clauses]


def sort_key_name(expression: Node, scope: QueryScope) -> str:
    """A sort key in words: `alias.column`, or `an expression`."""
    place = place_of(expression)
    return scope.column(*place) if place else "an expression"
