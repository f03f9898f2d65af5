"""The log: every committed change of every tenant. The changes of one transaction have the same number."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, NamedTuple
from uuid import UUID

from pydantic import Json

from service.positions import Position
from service.statements.repository import Repository, query
from service.statements.rows import Row

_BUDGET = 20_000
"""About how many changes are read at a time: after this many, no further commit is added. The last commit can exceed it."""

Operation = Literal["insert", "update", "delete"]


class StreamPlace(Row):
    """The part of a tenant's log that is available: the commits with numbers above `floor`, up to and including `head`.

    Older commits were pruned. `shared_number` counts the changes of shared data.
    """

    epoch: int
    shared_number: int
    head: int
    floor: int

    def loss_after(self, since: Position) -> str | None:
        """Why the commits after the position `since` are not available; None if they are.

        `epoch`: the position is of another epoch, or beyond the head. `pruned`: some of these commits were pruned.
        """
        if since.epoch != self.epoch or since.number > self.head:
            return "epoch"
        return "pruned" if since.number < self.floor else None


class PolledPlace(Row):
    """The head and the floor of one of the polled tenants, as in StreamPlace.

    If none of the polled tenants exists, the result is one row whose `tenant`, `head` and `floor` are None.
    """

    tenant: UUID | None
    head: int | None
    floor: int | None
    epoch: int
    shared_number: int


class LoggedCommit(Row):
    """A commit with its changes, each as `[table, operation, row_id, columns]`.

    `is_whole` is false if the commit has more changes than `changes` contains.
    """

    number: int
    at: datetime
    changes: Json[list[tuple[str, Operation, UUID, list[str] | None]]]
    is_whole: bool


class AuditedChange(Row):
    """A change of one row, for the audit: what was changed, when, by whom and from where. Only an update has `columns`."""

    number: int
    ordinal: int
    at: datetime
    actor_id: UUID | None
    session_id: UUID | None
    ip: IPv4Address | IPv6Address | None
    request_id: str | None
    table_name: str
    operation: Operation
    row_id: UUID
    columns: list[str] | None


class Page(NamedTuple):
    """Consecutive commits. `more` says whether further commits may follow the last one of `commits`."""

    commits: list[LoggedCommit]
    more: bool


class Log(Repository, aggregate="log", noun="tenant"):
    """The tenant's commits and their changes."""

    @query
    async def head(self) -> int: ...

    @query
    async def poll(self, tenants: list[UUID]) -> list[PolledPlace]: ...

    @query
    async def place(self) -> StreamPlace: ...

    @query
    async def commits_since(self, after: int, *, most: int, budget: int, limit: int) -> list[LoggedCommit]: ...

    async def read_on(self, after: int, *, most: int, limit: int) -> Page:
        """The commits after the number `after`, in order, each with at most `most` of its changes.

        A page has at most `limit` commits. To limit its memory, it ends earlier once it has _BUDGET changes.
        """
        commits = await self.commits_since(after, most=most, budget=_BUDGET, limit=limit)
        counted = sum(len(commit.changes) + (not commit.is_whole) for commit in commits)
        return Page(commits, len(commits) == limit or counted >= _BUDGET)

    @query
    async def audit(
        self,
        *,
        actor_id: UUID | None = None,
        table_name: str | None = None,
        row_id: UUID | None = None,
        request_id: str | None = None,
        after_number: int | None = None,
        after_ordinal: int | None = None,
        limit: int = 50,
    ) -> list[AuditedChange]: ...

    @query
    async def prune(self, limit: int) -> int: ...
