"""Cursors: the position up to which each consumer (changes/consumers.py) has read each tenant's log."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from service.statements.repository import Repository, query
from service.statements.rows import Row

NO_EPOCH = 0
"""The epoch of a new cursor. No database has this epoch, so the consumer can't continue from it."""


class WaitingTenant(Row):
    """A tenant with commits that a consumer has not handled yet."""

    tenant: UUID


class ConsumerLag(Row):
    """How far a consumer is behind, over all tenants.

    `tenants` is the number of tenants in which the consumer is behind. `failing` is the number of tenants in which it has failed
    since it last handled commits. `cut_off` is the number of tenants in which it was so far behind that it has to handle a
    reset. `oldest` is the time of the oldest commit that it has not handled, and `behind` is the time since then.
    """

    consumer: str
    tenants: int
    failing: int
    cut_off: int
    oldest: datetime | None
    behind: timedelta | None


class Cursor(Row):
    """The position that a consumer has reached in the tenant's log, and how often the consumer has failed there.

    `cut_off_at` is set if the consumer was too far behind and has not handled its reset yet.
    """

    epoch: int
    number: int
    failures: int
    cut_off_at: datetime | None


class Cursors(Repository, aggregate="cursors"):
    """The positions that consumers have reached in the tenant's log."""

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
