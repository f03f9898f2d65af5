"""Finds which functions call each statement, and which requests may run these functions."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping, Sequence

from service.checks.entries import Entry
from service.checks.review import reaching
from service.checks.review.facts import CalledBy


def callers(entries: Sequence[Entry], routes: Mapping[str, str]) -> dict[str, tuple[CalledBy, ...]]:
    """For each statement's label (`campaigns.page`), the functions that call this statement.

    `routes` maps the full name of a handler (`service.api.campaigns.page`) to the request that it serves (`GET /v1/campaigns`).
    Three forms of call are found: `work.campaigns.page(…)`; `self.page(…)` in the statement's own repository; and a call that
    passes the repository to a function, such as `create_profile(work.brands, …)`, if this function calls the statement.
    """
    source = reaching.source()
    serving: dict[str, list[str]] = {}
    for handler, route in routes.items():
        for function in source.reached(handler):
            serving.setdefault(function, []).append(route)
    places: dict[str, dict[tuple[str, int], None]] = {}
    for entry in entries:
        holders = (entry.attached, f"{entry.repository.__module__}.{entry.repository.__name__}")
        places[entry.label] = dict.fromkeys(
            place for holder in holders for place in _named().get((holder, entry.statement.name), ())
        )
    names: dict[str, set[str]] = {}
    for entry in entries:
        names.setdefault(entry.attached, set()).add(entry.statement.name)
    labels = {(entry.attached, entry.statement.name): entry.label for entry in entries}
    for repository, statement, function, line in source.handed(names):
        places[labels[repository, statement]][function, line] = None
    return {
        label: tuple(
            CalledBy(f"{function}:{line}", tuple(dict.fromkeys(serving.get(function, ())))) for function, line in found
        )
        for label, found in places.items()
    }


@functools.cache
def _named() -> Mapping[tuple[str, str], list[tuple[str, int]]]:
    """Maps (holder, name) to all places, as (function, line), where the source of the service contains `….holder.name`.

    For `self.name`, the holder in the key is the full name of the class that contains the function.
    """
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for function, (node, _, owner) in reaching.source().functions.items():
        for holder, name, line in _attributes(node):
            found.setdefault((owner if holder == "self" else holder, name), []).append((function, line))
    return found


def _attributes(function: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Yields (holder, name, line) for each expression `….holder.name` in a function, whether or not the expression is called."""
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute):
            holder = node.value
            if isinstance(holder, ast.Attribute):
                yield holder.attr, node.attr, node.lineno
            elif isinstance(holder, ast.Name):
                yield holder.id, node.attr, node.lineno
