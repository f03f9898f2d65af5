"""Who calls the statements, and with which requests that may happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.checks import catalogue
from service.checks.catalogue import Entry
from service.checks.review import reaching
from service.checks.review.facts import CalledBy


def callers(entries: Sequence[Entry], routes: Mapping[str, str]) -> dict[str, tuple[CalledBy, ...]]:
    """By label, the places that call a statement; `routes` maps `service.api.campaigns.page` to `GET /v1/campaigns`."""
    source = reaching.source()
    serving: dict[str, list[str]] = {}
    for handler, route in routes.items():
        for function in source.reached(handler):
            serving.setdefault(function, []).append(route)
    places: dict[str, dict[tuple[str, int], None]] = {entry.label: {} for entry in entries}
    for entry in entries:
        for each in catalogue.callers(entry):
            places[entry.label][f"{each.module}.{each.function}", each.line] = None
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
