"""Rules that decide from the kind and the parts of an expression whether it can be null."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Node

_EXTERNAL = 0
"""PARAM_EXTERN of PostgreSQL's enum `ParamKind`: a parameter of the statement, such as `$1`."""
_LAST_CERTAIN_VALUE = 13
"""The number of CURRENT_CATALOG in PostgreSQL's enum `SQLValueFunctionOp`. Only CURRENT_SCHEMA, the next in it, may be null."""
_JSONB = 3802
_JSON_MADE = frozenset({1, 2})
"""`JsonConstructorType`: JSON_OBJECT and JSON_ARRAY of values."""


@dataclass(frozen=True)
class Verdict:
    """Whether a value can be NULL, and why."""

    is_nullable: bool
    why: str


class Judge(Protocol):
    """The object from which a rule gets the verdicts on the parts of an expression.

    `given` has the numbers of the parameters that are never null.
    """

    given: frozenset[int]

    def of(self, expression: Node | None, scope: QueryScope) -> Verdict:
        """The verdict on an expression of the query `scope`. None stands for an unknown expression or a CASE without ELSE."""

    def any_of(self, expressions: Iterable[Node | None], scope: QueryScope, why: str) -> Verdict:
        """The verdict on an expression that is null only if at least one of `expressions` is null.

        If none of them can be null, `why` is the reason in the verdict.
        """

    def all_of(self, expressions: Iterable[Node], scope: QueryScope, why: str) -> Verdict:
        """The verdict on an expression that is null only if all of `expressions` are null.

        If one of them can't be null, the reason in the verdict is `why`, followed by the reason for this one.
        """


_Rule = Callable[[Judge, Node, QueryScope], Verdict]


def _never(why: str) -> _Rule:
    return lambda _, __, ___: Verdict(False, why)


def _always(why: str) -> _Rule:
    return lambda _, __, ___: Verdict(True, why)


def _argument(judge: Judge, node: Node, scope: QueryScope) -> Verdict:
    return judge.of(node["arg"], scope)


def _constant(_: Judge, node: Node, __: QueryScope) -> Verdict:
    return Verdict(True, "NULL is written there") if node["constisnull"] else Verdict(False, "a constant")


def _parameter(judge: Judge, node: Node, _: QueryScope) -> Verdict:
    if node["paramkind"] == _EXTERNAL and node["paramid"] in judge.given:
        return Verdict(False, "a parameter that is always given")
    return Verdict(True, "a parameter that may be None")


def _case(judge: Judge, node: Node, scope: QueryScope) -> Verdict:
    results = [*(each["result"] for each in node.list("args")), node["defresult"]]
    return judge.any_of(results, scope, "no branch of CASE is null")


def _value(_: Judge, node: Node, __: QueryScope) -> Verdict:
    is_certain = node["op"] <= _LAST_CERTAIN_VALUE
    return Verdict(not is_certain, "a value of the session" if is_certain else "CURRENT_SCHEMA may be null")


def _part(judge: Judge, node: Node, scope: QueryScope) -> Verdict:
    """The verdict on an element, or on what has got one assigned: of NULL, jsonb makes an object."""
    if node["refassgnexpr"] is None:
        return Verdict(True, "an element may not be there")
    if node["refcontainertype"] == _JSONB:
        return Verdict(False, "what an element is assigned to is there afterwards")
    return judge.of(node["refexpr"], scope)


def _json(_: Judge, node: Node, __: QueryScope) -> Verdict:
    is_made = node["type"] in _JSON_MADE
    return Verdict(not is_made, "an object or an array is made" if is_made else "a function of JSON may answer null")


RULES: Mapping[str, _Rule] = {
    "CONST": _constant,
    "PARAM": _parameter,
    "DISTINCTEXPR": _never("IS DISTINCT FROM is true or false"),
    "NULLIFEXPR": _always("NULLIF makes nulls"),
    "BOOLEXPR": lambda judge, node, scope: judge.any_of(
        node["args"], scope, "a condition on values that are never null"
    ),
    "RELABELTYPE": _argument,
    "COERCEVIAIO": _argument,
    "ARRAYCOERCEEXPR": _argument,
    "COLLATEEXPR": _argument,
    "COERCETODOMAIN": _argument,
    "NAMEDARGEXPR": _argument,
    "CONVERTROWTYPEEXPR": _argument,
    "COALESCEEXPR": lambda judge, node, scope: judge.all_of(node["args"], scope, "COALESCE ends in a value"),
    "MINMAXEXPR": lambda judge, node, scope: judge.all_of(node["args"], scope, "GREATEST or LEAST has a value"),
    "CASEEXPR": _case,
    "CASETESTEXPR": _always("the value that CASE compares"),
    "NULLTEST": _never("IS NULL is true or false"),
    "BOOLEANTEST": _never("IS TRUE is true or false"),
    "ARRAYEXPR": _never("an array is written there"),
    "ROWEXPR": _never("a row is written there"),
    "ROWCOMPAREEXPR": _always("a comparison of rows may be unknown"),
    "GROUPINGFUNC": _never("GROUPING is a number"),
    "SQLVALUEFUNCTION": _value,
    "SUBSCRIPTINGREF": _part,
    "FIELDSELECT": _always("a field may be null"),
    "RETURNINGEXPR": _always("there may be no row before or after the change"),
    "MERGESUPPORTFUNC": _never("a MERGE says what it did"),
    "NEXTVALUEEXPR": _never("an identity column gets a number"),
    "JSONCONSTRUCTOREXPR": _json,
    "JSONVALUEEXPR": lambda judge, node, scope: judge.of(node["raw_expr"], scope),
    "JSONEXPR": _always("a path may find nothing"),
    "JSONISPREDICATE": lambda judge, node, scope: judge.of(node["expr"], scope),
}
"""Maps a kind of node to its rule. nullability.py adds rules for variables, calls, aggregates and sub-selects, because these need
the query around the node or the catalog."""
