"""Outcomes: rows after an attempt to change them, for which a version was expected."""

from __future__ import annotations

from typing import Protocol, TypeVar

from service.errors import NotFound, StaleVersion


class Outcome(Protocol):
    """A row after an attempt to change it; not `applied` when its version was not the expected one."""

    @property
    def applied(self) -> bool: ...


A = TypeVar("A", bound=Outcome)


def changed_row(outcome: A | None) -> A:
    """The changed row. Raises NotFound when there was none, StaleVersion when it was not the expected one."""
    if outcome is None:
        raise NotFound
    if not outcome.applied:
        raise StaleVersion
    return outcome


def check_removed(applied: bool | None) -> None:
    """Return if the row was removed. Raises NotFound or StaleVersion, as `changed_row` does."""
    if applied is None:
        raise NotFound
    if not applied:
        raise StaleVersion
