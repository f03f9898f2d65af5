"""The events of a change stream. This module decides which parts of a commit the API shows, and in which form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from service.positions import Position
from service.repos.log import LoggedCommit, Operation
from service.tables import ADMITTING, SHOWN

MOST_CHANGES = 10_000
"""How many changes of one commit are read for the API. If the commit has more, only the first ones are shown."""

_UNSHOWN = ("_hash", "_index")
"""Columns whose names end with one of these suffixes are not shown, because the API has no fields for them."""


class Change(BaseModel):
    """A changed row. For an update, `columns` has the names of the changed columns that the API has fields for; it may be empty.

    For an insert or a delete, `columns` is null.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    op: Operation
    id: UUID
    columns: list[str] | None


class Event(BaseModel):
    """A committed transaction. `id` is its position in the tenant's log."""

    model_config = ConfigDict(frozen=True)

    id: str
    at: datetime
    changes: list[Change]


class CutEvent(Event):
    """A transaction with so many changes that `changes` has only the first of them; the client has to read the data again."""

    truncated: Literal[True] = True


@dataclass(frozen=True, slots=True)
class Frame:
    """A commit as it is sent to subscribers: `data` has the bytes of a server-sent event.

    `admitting` has the ids of the sessions, users, API keys and tenants that the commit changed. If a subscriber's right to
    read depends on one of these rows, the right is checked again.
    """

    number: int
    data: bytes
    admitting: frozenset[UUID]


def event(epoch: int, commit: LoggedCommit) -> Event:
    """The commit in the form in which the API shows it."""
    kind = Event if commit.is_whole else CutEvent
    return kind(
        id=str(Position(epoch, commit.number)),
        at=commit.at,
        changes=[
            Change(table=table, op=operation, id=row, columns=_shown(columns))
            for table, operation, row, columns in commit.changes
            if table in SHOWN
        ],
    )


def _shown(columns: list[str] | None) -> list[str] | None:
    return columns if columns is None else [each for each in columns if not each.endswith(_UNSHOWN)]


def frame(epoch: int, commit: LoggedCommit) -> Frame:
    """The commit as a frame, that is, as the server-sent event that subscribers get."""
    shown = event(epoch, commit)
    admitting = frozenset(row for table, _, row, _ in commit.changes if table in ADMITTING)
    return Frame(commit.number, sse("commit", shown, id=shown.id), admitting)


def sse(name: str, data: object, *, id: str | None = None) -> bytes:
    """The bytes of a server-sent event, as the WHATWG HTML standard defines it; `data` becomes one line of JSON."""
    place = b"" if id is None else f"id: {id}\n".encode()
    return place + f"event: {name}\ndata: ".encode() + to_json(data) + b"\n\n"


def touched(commit: LoggedCommit) -> Iterable[tuple[str, UUID]]:
    """The table and the id of every row that the commit changed."""
    return ((table, row) for table, _, row, _ in commit.changes)
