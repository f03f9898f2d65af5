"""The events of a change stream: which parts of a commit it shows, and in which form."""

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
"""The largest number of changes that are shown of one commit. Of a larger commit only the first ones are shown."""

_UNSHOWN = ("_hash", "_index")
"""The suffixes of columns that the API has no fields for."""


class Change(BaseModel):
    """A changed row. Only an update has `columns`: the changed columns that the API has fields for.

    They may be an empty list.
    """

    model_config = ConfigDict(frozen=True)

    table: str
    op: Operation
    id: UUID
    columns: list[str] | None


class Event(BaseModel):
    """A committed transaction; `id` is its position in the tenant's stream."""

    model_config = ConfigDict(frozen=True)

    id: str
    at: datetime
    changes: list[Change]


class CutEvent(Event):
    """A transaction that changed more rows than `changes` lists. The client has to read the tables again."""

    truncated: Literal[True] = True


@dataclass(frozen=True, slots=True)
class Frame:
    """A commit as it is sent to subscribers.

    `admitting` are the ids of the changed sessions, users, API keys and tenants: they decide who may continue to read.
    """

    number: int
    data: bytes
    admitting: frozenset[UUID]


def event(epoch: int, commit: LoggedCommit) -> Event:
    """The commit as the API shows it."""
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
    """The commit as a server-sent event."""
    shown = event(epoch, commit)
    admitting = frozenset(row for table, _, row, _ in commit.changes if table in ADMITTING)
    return Frame(commit.number, sse("commit", shown, id=shown.id), admitting)


def sse(name: str, data: object, *, id: str | None = None) -> bytes:
    """The bytes of a server-sent event, as the WHATWG HTML standard defines it; `data` becomes one line of JSON."""
    place = b"" if id is None else f"id: {id}\n".encode()
    return place + f"event: {name}\ndata: ".encode() + to_json(data) + b"\n\n"


def touched(commit: LoggedCommit) -> Iterable[tuple[str, UUID]]:
    """The tables and rows that the commit touched."""
    return ((table, row) for table, _, row, _ in commit.changes)
