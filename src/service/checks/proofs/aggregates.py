"""Whether aggregates and window functions can return NULL: it depends on whether there is a row, and a value in it."""

from __future__ import annotations

from service.checks.proofs import functions
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Node
from service.checks.proofs.verdicts import Judge, Verdict

_STARTS = 0x20 | 0x200 | 0x800
_ENDS = 0x100 | 0x400 | 0x4000
_EXCLUDES = 0x8000 | 0x10000 | 0x20000
"""`FRAMEOPTION_…`: a frame that starts before or at its row, and ends at or after it; and what EXCLUDE takes from it."""
_NEIGHBOURS, _WITH_DEFAULT = frozenset({"lag", "lead"}), 3
_EDGES = frozenset({"first_value", "last_value"})


def aggregate(judge: Judge, node: Node, inner: QueryScope) -> Verdict:
    """The verdict on an aggregate of a query, or of a query around it."""
    scope = inner.up(node["agglevelsup"] or 0)
    name = functions.system_name(node["aggfnoid"], scope.catalog) or "?"
    if name == "count":
        return Verdict(False, "count() is a number")
    is_grouped = bool(scope.node.list("groupClause")) and not scope.node.list("groupingSets")
    if not is_grouped:
        return Verdict(True, f"{name}() of no rows is null")
    if node["aggfilter"] is not None:
        return Verdict(True, f"{name}() FILTER may leave no row")
    if name in functions.COLLECTING:
        return Verdict(False, f"{name}() of a group, which has a row")
    if name in functions.KEEPING:
        values = (each["expr"] for each in node.list("args")[:1])
        return judge.any_of(values, inner, f"{name}() of values that are never null")
    if name in functions.ORDERED:
        given = [*(each["expr"] for each in node.list("args")), *node.list("aggdirectargs")]
        return judge.any_of(given, inner, f"{name}() of values that are never null")
    return Verdict(True, f"{name}() may answer null")


def window(judge: Judge, node: Node, scope: QueryScope) -> Verdict:
    """The verdict on a window function; most return NULL for a frame without rows."""
    name = functions.system_name(node["winfnoid"], scope.catalog) or "?"
    if name in functions.RANKS:
        return Verdict(False, f"{name}() is a number")
    if name == "ntile" or (name in _NEIGHBOURS and len(node.list("args")) == _WITH_DEFAULT):
        return judge.any_of(node.list("args"), scope, f"{name}() of values that are never null")
    clause = next(each for each in scope.node.list("windowClause") if each["winref"] == node["winref"])
    options = clause["frameOptions"]
    has_own_row = options & _STARTS and options & _ENDS and not options & _EXCLUDES
    if not has_own_row or node["aggfilter"] is not None:
        return Verdict(True, f"{name}() over an empty frame is null")
    if name in functions.COLLECTING:
        return Verdict(False, f"{name}() over a frame that has its own row")
    if name in functions.KEEPING | _EDGES:
        return judge.any_of(
            node.list("args")[:1], scope, f"{name}() over a frame that has its own row, which has a value"
        )
    return Verdict(True, f"{name}() may answer null")
