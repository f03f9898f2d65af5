"""Whether an array that a statement makes may hold NULLs. Of arrays that are stored nothing is known, and nothing said."""

from __future__ import annotations

from collections.abc import Iterable

from service.checks.proofs import nullability, presence
from service.checks.proofs.expressions import place_of
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Link, Node, Source, arguments
from service.checks.proofs.verdicts import Verdict

_JOINING = {("pg_catalog", name) for name in ("array_append", "array_prepend", "array_cat")}
_FILLING = frozenset({"array_fill", "array_replace"})
_KEEPING = frozenset({"trim_array", "array_shuffle", "array_sample", "array_reverse", "array_sort"})
"""Functions that return elements of their first argument."""


def elements(expression: Node | None, scope: QueryScope, given: frozenset[int] = frozenset()) -> Verdict | None:
    """The verdict on the elements of an array; None where the statement does not make it."""
    if expression is None:
        return None
    kind = expression.kind
    if kind in ("RELABELTYPE", "ARRAYCOERCEEXPR"):
        return elements(expression["arg"], scope, given)
    if kind == "ARRAYEXPR":
        return _any(
            (nullability.of_expression(each, scope, given) for each in expression.list("elements")),
            "no element is null",
        )
    if kind in ("AGGREF", "WINDOWFUNC"):
        return _collected(expression, scope, given)
    if kind == "SUBLINK" and expression["subLinkType"] == Link.ARRAY:
        return nullability.prove(scope.inner(expression["subselect"]), given)[0]
    if kind == "SUBLINK" and expression["subLinkType"] == Link.SCALAR:
        inner = scope.inner(expression["subselect"])
        return elements(inner.outputs[0]["expr"], inner, given) if inner.node["setOperations"] is None else None
    if kind in ("FUNCEXPR", "OPEXPR"):
        return _joined(expression, scope, given)
    if kind == "SUBSCRIPTINGREF" and expression["refassgnexpr"] is None and expression.list("reflowerindexpr"):
        return elements(expression["refexpr"], scope, given)
    if kind == "NULLIFEXPR":
        return elements(expression["args"][0], scope, given)
    if kind in ("MINMAXEXPR", "COALESCEEXPR"):
        return _any((elements(each, scope, given) for each in expression["args"]), "no element of either array is null")
    if kind == "CASEEXPR":
        results = [*(each["result"] for each in expression["args"]), expression["defresult"]]
        return _any((elements(each, scope, given) for each in results), "no element in any branch is null")
    return _shown(expression, scope, given)


def _joined(call: Node, scope: QueryScope, given: frozenset[int]) -> Verdict | None:
    """The verdict on an array that is put together of others, and of elements."""
    function = scope.catalog.functions.get(call["opfuncid"] or call["funcid"])
    if function is None or function.schema != "pg_catalog":
        return None
    if function.name in _FILLING:
        return Verdict(True, f"{function.name}() may put a null there")
    if function.name in _KEEPING:
        return elements(arguments(call)[0], scope, given)
    if (function.schema, function.name) not in _JOINING:
        return None
    one, other = arguments(call)
    array, element = {"array_append": (one, other), "array_prepend": (other, one)}.get(function.name, (one, None))
    parts = [elements(array, scope, given), *([] if element is not None else [elements(other, scope, given)])]
    if element is not None:
        parts.append(nullability.of_expression(element, scope, given))
    return _any(parts, "no element of the parts is null")


def _any(verdicts: Iterable[Verdict | None], why: str) -> Verdict | None:
    known = [each for each in verdicts if each is not None]
    return next((each for each in known if each.is_nullable), Verdict(False, why)) if known else None


def _collected(node: Node, scope: QueryScope, given: frozenset[int]) -> Verdict | None:
    function = scope.catalog.functions.get(node["aggfnoid"] or node["winfnoid"])
    if function is None or function.schema != "pg_catalog" or not node.list("args"):
        return None
    first = node.list("args")[0]
    value = first["expr"] if first.kind == "TARGETENTRY" else first
    if function.name in ("min", "max", "any_value", "first_value", "last_value", "nth_value", "lag", "lead"):
        return elements(value, scope, given)
    if function.name != "array_agg":
        return None
    if node["aggfilter"] is not None and place_of(value) in presence.rejected(node["aggfilter"], scope):
        return Verdict(False, "FILTER leaves out the nulls")
    return nullability.of_expression(value, scope, given)


def _shown(expression: Node, scope: QueryScope, given: frozenset[int]) -> Verdict | None:
    """The verdict on a column of a subquery or of a table expression."""
    place = place_of(expression)
    if place is None:
        return None
    if scope.source(place[0]) is Source.GROUP:
        return elements(scope.ungrouped(expression), scope, given)
    inner = scope.source_query(place[0])
    if inner is None or inner.node["setOperations"] is not None or not 0 < place[1] <= len(inner.outputs):
        return None
    return elements(inner.outputs[place[1] - 1]["expr"], inner, given)
