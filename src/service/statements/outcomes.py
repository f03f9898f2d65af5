"""Outcomes: the results of writes that expect a certain version of the row."""

from __future__ import annotations

from typing import Protocol, TypeVar

from service.errors import NotFound, StaleVersion


class Outcome(Protocol):
    """A row after an attempt to change it. `applied` is false if the row did not have the expected version and is unchanged."""

    @property
    def applied(self) -> bool: ...


A = TypeVar("A", bound=Outcome)


def changed_row(outcome: A | None) -> A:
    """The changed row. Raises NotFound if there is no such row, StaleVersion if its version was not the expected one."""
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
