"""What an expression tells: the column that it is, and whether it is the same each time that it is evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from service.checks.proofs.catalog import Function
from service.checks.proofs.presence import Variable
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Node, walk

_VARCHAR, _TEXT = 1043, 25
EXACT = frozenset({16, 17, 20, 21, 23, 25, 26, 1043, 1082, 1083, 1114, 1184, 2950})
"""Oids of types whose equal values are always identical. numeric is not among them: a function can tell 1.0 from 1.00, which are
equal."""
COLLATIONS = frozenset({0, 100, 950, 951})
"""Oids of the collations default, C and POSIX, under which equal texts are identical. 0 stands for a type without a collation."""
_INTEGERS = frozenset({20, 21, 23})
_TEXTS = frozenset({25, 1043})
_SPELLED_APART = frozenset({20, 21, 23, 26, 2950})
"""Oids of types (integers, oid, uuid) of which no two values are the same text."""


def place_of(expression: Node) -> Variable | None:
    """The variable, if an expression is nothing but a variable of the query that contains it; otherwise None.

    A cast from varchar to text around the variable is ignored.
    """
    if (
        expression.kind == "RELABELTYPE"
        and expression["resulttype"] == _TEXT
        and expression["arg"]["vartype"] == _VARCHAR
    ):
        expression = expression["arg"]
    # `OLD.column` and `NEW.column` in RETURNING do not count: the keys of the new rows do not identify an old row.
    if expression.kind == "VAR" and expression["varlevelsup"] == 0 and not expression["varreturningtype"]:
        return expression["varno"], expression["varattno"]
    return None


def told_by(expressions: Iterable[Node]) -> list[Variable]:
    """The variables that expressions tell: where the values of the expressions are equal, so are those of the variables."""
    return [place for each in expressions if (place := place_of(_uncast(each)))]


def _uncast(expression: Node) -> Node:
    """What an expression casts to text, if the text tells its value; otherwise the expression."""
    while expression.kind == "RELABELTYPE" and expression["resulttype"] in _TEXTS:
        expression = expression["arg"]
    if (
        expression.kind == "COERCEVIAIO"
        and expression["resulttype"] in _TEXTS
        and expression["resultcollid"] in COLLATIONS
    ):
        inner: Node = expression["arg"]
        return inner if inner["vartype"] in _SPELLED_APART else expression
    return expression


def is_repeatable(expression: Any, scope: QueryScope) -> bool:
    """Whether an expression always has the same value for the same values of its variables.

    This is so if no function in the expression is volatile, returns a set, or is missing in the catalog.
    """
    return not any(
        function is None or function.is_volatile or function.is_set for function in _called(expression, scope)
    )


def is_volatile(expression: Any, scope: QueryScope) -> bool:
    """Whether a part of a query calls a volatile or unknown function, and so may have another result at each evaluation."""
    return any(function is None or function.is_volatile for function in _called(expression, scope))


def _called(expression: Any, scope: QueryScope) -> Iterator[Function | None]:
    for each in walk(expression):
        if each["funcid"] or each["opfuncid"]:
            yield scope.catalog.functions.get(each["funcid"] or each["opfuncid"])


def integer(expression: Node) -> int | None:
    """The value of a constant of an integer type; None for any other expression."""
    if expression.kind != "CONST" or expression["constisnull"] or expression["consttype"] not in _INTEGERS:
        return None
    value = expression["constvalue"][-1]
    return int.from_bytes(value, "little", signed=True) if isinstance(value, bytes) else None
