"""What a query writes: for each column that is assigned, whether the value may be NULL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from service.checks.proofs import nullability
from service.checks.proofs.catalog import Catalog, Column, Relation
from service.checks.proofs.origins import number_of
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Command, Node, location, walk
from service.checks.proofs.verdicts import Verdict

_ASSIGNED = re.compile(r"\bNEW\.(\w+)\s*:?=", re.IGNORECASE)
_WHOLE_ROW = re.compile(r"\bNEW\s*:?=|\bINTO\s+(STRICT\s+)?NEW\b|\bjsonb?_populate_record\b", re.IGNORECASE)


@dataclass(frozen=True)
class Write:
    """A value that is assigned to a column: the verdict on it, and where it stands in the text (-1 if nowhere)."""

    relation: Relation
    column: Column
    verdict: Verdict
    location: int


def nulls(scope: QueryScope, given: frozenset[int], full: frozenset[int]) -> Iterator[Write]:
    """The values that may be NULL though their columns are NOT NULL.

    Bare parameters are left to the signature's check, and the column of the tenant to that of isolation.
    """
    for relation, column, expression in assigned(scope):
        if column.is_required and column.number != relation.tenant and number_of(expression) is None:
            verdict = _verdict(expression, scope, given, full)
            if verdict.is_nullable:
                yield Write(relation, column, verdict, location(expression))


def omitted_required_columns(scope: QueryScope) -> Iterator[tuple[Relation, Column]]:
    """The NOT NULL columns without a default that an INSERT omits, or that of a MERGE.

    Those that a BEFORE INSERT trigger may set are left out.
    """
    relation = scope.relation(scope.target) if scope.target else None
    filled = _filled_by_triggers(relation, scope.catalog) if relation is not None else None
    if relation is None or relation.kind == "v" or filled is None:
        return
    inserts = [scope.node] if scope.command is Command.INSERT else []
    if scope.command is Command.MERGE:
        inserts = [each for each in scope.node.list("mergeActionList") if each["commandType"] == Command.INSERT]
    for insert in inserts:
        given = {entry["resno"] for entry in insert.list("targetList")}
        for number, column in relation.columns.items():
            if column.is_required and not column.has_default and number not in given and column.name not in filled:
                yield relation, column


def _filled_by_triggers(relation: Relation, catalog: Catalog) -> set[str] | None:
    """The columns that triggers of a table set, in whichever way; None if a trigger may set any column."""
    found: set[str] = set()
    for each in catalog.implied if relation.has_before_insert_trigger else ():
        if each.function and each.what.startswith("trigger ") and each.what.endswith(f" of {relation.qualified}"):
            routine = catalog.routines.get(each.function)
            if routine is None or routine.language != "plpgsql" or _WHOLE_ROW.search(routine.body):
                return None
            found.update(_ASSIGNED.findall(routine.body))
    return found


def assigned(scope: QueryScope) -> Iterator[tuple[Relation, Column, Node]]:
    """The columns that a query itself assigns, by INSERT, UPDATE or ON CONFLICT DO UPDATE, with their expressions."""
    relation = scope.relation(scope.target) if scope.target else None
    for entry in scope.assignments if relation is not None else ():
        if relation is not None and (column := relation.columns.get(entry["resno"])) is not None:
            yield relation, column, entry["expr"]


def _verdict(expression: Node, scope: QueryScope, given: frozenset[int], full: frozenset[int]) -> Verdict:
    """The verdict on a value, except that a parameter in CASE counts as given where the condition asks another parameter.

    That is how a change says which of its fields are meant: `CASE WHEN 'name' = ANY (:given) THEN :name ELSE name END`.
    """
    if expression.kind != "CASEEXPR":
        return nullability.of_expression(expression, scope, given, full)
    for branch in expression["args"]:
        result = branch["result"]
        is_meant = number_of(result) is not None and bool(_parameters(branch["expr"]) - {number_of(result)})
        if not is_meant and (verdict := _verdict(result, scope, given, full)).is_nullable:
            return verdict
    if expression["defresult"] is None:
        return Verdict(True, "an ELSE that is not there")
    return _verdict(expression["defresult"], scope, given, full)


def _parameters(expression: Node) -> set[int]:
    return {each["paramid"] for each in walk(expression) if each.kind == "PARAM" and each["paramkind"] == 0}
