"""The log: the committed changes of every tenant. A transaction's changes form one commit, which has a number."""

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
"""The largest number of changes on a page, approximately: a commit is added if the commits before it have fewer changes."""

Operation = Literal["insert", "update", "delete"]


class StreamPlace(Row):
    """The part of a tenant's log that is available: the commits with numbers above `floor`, up to and including `head`.

    The commits up to `floor` were pruned. `shared_number` counts the changes of shared data (rows that all tenants read).
    """

    epoch: int
    shared_number: int
    head: int
    floor: int

    def loss_after(self, since: Position) -> str | None:
        """Returns why the commits after the position `since` are not available, or None if they are available.

        The result is "epoch" if the position is of another epoch or beyond the head, and "pruned" if some of these commits
        were pruned.
        """
        if since.epoch != self.epoch or since.number > self.head:
            return "epoch"
        return "pruned" if since.number < self.floor else None


class PolledPlace(Row):
    """A row of the result of `Log.poll`: the head and the floor of one tenant, with the meaning that they have in StreamPlace.

    If none of the given tenants exists, the result is one row in which `tenant`, `head` and `floor` are None.
    """

    tenant: UUID | None
    head: int | None
    floor: int | None
    epoch: int
    shared_number: int


class LoggedCommit(Row):
    """A commit with its changes. Each change is `[table, operation, row_id, columns]`; only an update has `columns`.

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
    """Some commits with consecutive numbers. `more` says whether the log may contain further commits after the last of them."""

    commits: list[LoggedCommit]
    more: bool


class Log(Repository, aggregate="log", noun="tenant"):
    """The tenant's commits and their changes. `poll` reads only the heads and floors, of several tenants at once."""

    @query
    async def head(self) -> int: ...

    @query
    async def poll(self, tenants: list[UUID]) -> list[PolledPlace]: ...

    @query
    async def place(self) -> StreamPlace: ...

    @query
    async def commits_since(self, after: int, *, most: int, budget: int, limit: int) -> list[LoggedCommit]: ...

    async def read_on(self, after: int, *, most: int, limit: int) -> Page:
        """Read a page of at most `limit` commits: those after the number `after`, each with at most `most` of its changes.

        To limit the memory that the page needs, it gets no further commit once it has _BUDGET changes.
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
