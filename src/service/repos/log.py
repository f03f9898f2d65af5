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
"""How many changes are read at a time. The last commit read is not cut, so there may be more."""

Operation = Literal["insert", "update", "delete"]


class StreamPlace(Row):
    """Which part of a tenant's stream is available: the commits with numbers above `floor`, up to `head`.

    `shared_number` counts the changes of shared data.
    """

    epoch: int
    shared_number: int
    head: int
    floor: int

    def loss_after(self, since: Position) -> str | None:
        """The reason why the commits after a position are not available (`epoch`, `pruned`), or None."""
        if since.epoch != self.epoch or since.number > self.head:
            return "epoch"
        return "pruned" if since.number < self.floor else None


class PolledPlace(Row):
    """Where the stream of one of the polled tenants begins and ends, as in StreamPlace.

    If none of the polled tenants exists, there is one row in which the first three fields are None.
    """

    tenant: UUID | None
    head: int | None
    floor: int | None
    epoch: int
    shared_number: int


class LoggedCommit(Row):
    """A commit with its changes as `[table, operation, row_id, columns]`.

    `is_whole` is false if it has more changes than these.
    """

    number: int
    at: datetime
    changes: Json[list[tuple[str, Operation, UUID, list[str] | None]]]
    is_whole: bool


class AuditedChange(Row):
    """A change of a row: what was changed, by whom and from where. `columns` is set only for an update."""

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
    """Consecutive commits; `more` says whether there may have been further ones when they were read."""

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
        """The next commits after a number, each with at most `most` of its changes.

        A page has at most `limit` commits, and ends earlier after _BUDGET changes to limit the memory that it takes.
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
