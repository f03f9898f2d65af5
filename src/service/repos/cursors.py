"""Cursors: how far each consumer has read each tenant's stream."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from service.statements.repository import Repository, query
from service.statements.rows import Row

NO_EPOCH = 0
"""Of a place that is just opened."""


class WaitingTenant(Row):
    """A tenant whose stream has something for a consumer."""

    tenant: UUID


class ConsumerLag(Row):
    """Over all tenants: in how many a consumer is behind, fails, was cut off; `oldest` is what it has not
    handled, `behind` how long ago that was.
    """

    consumer: str
    tenants: int
    failing: int
    cut_off: int
    oldest: datetime | None
    behind: timedelta | None


class Cursor(Row):
    """A consumer's place in the tenant's stream."""

    epoch: int
    number: int
    failures: int
    cut_off_at: datetime | None


class Cursors(Repository, aggregate="cursors"):
    """The consumers' places in the tenant's stream."""

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
