"""Interprets the results of statements that change or delete a row only if it has an expected version."""

from __future__ import annotations

from typing import Protocol, TypeVar

from service.errors import NotFound, StaleVersion


class Outcome(Protocol):
    """A row after an attempt to change it. `applied` is false if nothing was changed, because the row had another version."""

    @property
    def applied(self) -> bool: ...


A = TypeVar("A", bound=Outcome)


def changed_row(outcome: A | None) -> A:
    """Return `outcome` if it is a changed row. Raises NotFound if it is None (there is no such row), StaleVersion if the row's
    version was not the expected one.
    """
    if outcome is None:
        raise NotFound
    if not outcome.applied:
        raise StaleVersion
    return outcome


def check_removed(applied: bool | None) -> None:
    """Return if the row was deleted (`applied` is true). Raises StaleVersion if it had another version than the expected one
    (false), NotFound if there is no such row (None).
    """
    if applied is None:
        raise NotFound
    if not applied:
        raise StaleVersion
