"""Finds which functions call each statement, and which requests may run these functions."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping, Sequence

from service.checks.entries import Entry
from service.checks.review import reaching
from service.checks.review.facts import CalledBy


def callers(entries: Sequence[Entry], routes: Mapping[str, str]) -> dict[str, tuple[CalledBy, ...]]:
    """The functions that call each statement, by the statement's label (`campaigns.page`).

    `routes` maps a handler, by its full name such as `service.api.campaigns.page`, to the request that it serves, such as
    `GET /v1/campaigns`. A statement is called as `work.campaigns.page(…)`, or within its repository as `self.page(…)`.
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
    """Functions and lines that contain `….holder.name`, by (holder, name). For `self.name`, holder is the class's full name."""
    found: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for function, (node, _, owner) in reaching.source().functions.items():
        for holder, name, line in _attributes(node):
            found.setdefault((owner if holder == "self" else holder, name), []).append((function, line))
    return found


def _attributes(function: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Holder, name and line of each `….holder.name` in a function, also where it is passed as an argument and not called."""
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute):
            holder = node.value
            if isinstance(holder, ast.Attribute):
                yield holder.attr, node.attr, node.lineno
            elif isinstance(holder, ast.Name):
                yield holder.id, node.attr, node.lineno
