"""What each function of pg_catalog does, by a list that has been read: sql/checks/system_functions.txt."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from service import files
from service.checks.proofs.catalog import Function

ALLOWED = frozenset({"values", "fresh", "transaction", "catalog"})
"""Kinds that any statement may call."""
TELLING = frozenset({"sessions", "statistics", "sizes"})
"""Kinds whose results tell of all tenants together."""
KINDS: Mapping[str, str] = {
    "settings": "sets what later statements rest on",
    "runs-text": "runs a query that no check sees",
    "files": "reaches files of the server",
    "large-objects": "reaches objects that no policy protects",
    "sequences": "draws a number from a sequence that all tenants share",
    "locks": "holds a lock that tenants share",
    "notifications": "sends a message past the change log",
    "signals": "disturbs other sessions",
    "waits": "holds a connection while it waits",
    "administration": "operates the server",
    "sessions": "tells of other sessions and transactions",
    "statistics": "tells of all tenants together",
    "sizes": "tells of all tenants together",
}
"""The other kinds, and what their functions do."""


def kind(function: Function) -> str | None:
    """The kind of a function of pg_catalog; None if it is in no list."""
    known = _kinds()
    signature = f"{function.name}({','.join(_type(each) for each in function.arguments.split(', '))})"
    found = known.get(signature) or known.get(function.name)
    return "values" if found is None and _is_internal(function) else found


def does(function: Function) -> str:
    """What a function does that is of no allowed kind, as the end of a sentence about it."""
    found = kind(function)
    return KINDS[found] if found else "is not in sql/checks/system_functions.txt"


def _type(argument: str) -> str:
    """The type of an argument, without its mode and name."""
    return argument.rpartition(" ")[2]


def _is_internal(function: Function) -> bool:
    """Whether SQL can't call it: it takes or returns what only the server has."""
    return "internal" in function.arguments or function.returns in _INTERNAL or function.returns.endswith("_handler")


_INTERNAL = frozenset({"internal", "trigger", "event_trigger"})


@functools.cache
def _kinds() -> Mapping[str, str]:
    found, current = {}, ""
    for line in files.sql("checks", "system_functions.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line:
            continue
        if not line.startswith(" "):
            current, _, line = line.partition(": ")  # noqa: PLW2901  the rest of the line is read like the next
        found.update(dict.fromkeys(line.split(), current))
    return found
