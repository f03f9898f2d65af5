"""Cursors: how far each consumer has read each tenant's stream."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from service.statements.repository import Repository, query
from service.statements.rows import Row

NO_EPOCH = 0
"""The epoch of a cursor that was just created."""


class WaitingTenant(Row):
    """A tenant with commits that a consumer has not handled yet."""

    tenant: UUID


class ConsumerLag(Row):
    """How far a consumer is behind, over all tenants.

    `tenants`, `failing` and `cut_off` are the numbers of tenants in which it is behind, fails, or was too far behind to go on
    without a reset. `oldest` is the time of the oldest commit that it has not handled, `behind` how long ago that was.
    """

    consumer: str
    tenants: int
    failing: int
    cut_off: int
    oldest: datetime | None
    behind: timedelta | None


class Cursor(Row):
    """The position that a consumer has reached in the tenant's stream, and how often it has failed since then."""

    epoch: int
    number: int
    failures: int
    cut_off_at: datetime | None


class Cursors(Repository, aggregate="cursors"):
    """The positions that consumers have reached in the tenant's stream."""

    @query
    async def waiting(self, consumer: str, limit: int) -> list[WaitingTenant]: ...

    @query
    async def lag(self) -> list[ConsumerLag]: ...

    @query
    async def forget(self, consumer: str) -> int: ...

    @query
    async def open(self, consumer: str) -> int: ...

    @query
    async def take(self, consumer: str) -> Cursor | None: ...

    @query
    async def move(self, consumer: str, *, epoch: int, number: int) -> int: ...

    @query
    async def fail(self, consumer: str, *, pause: timedelta) -> int: ...

    @query
    async def cut_off(self, consumer: str) -> int: ...
