"""Cursors. A cursor stores the position up to which one consumer (changes/consumers.py) has read the log of one tenant."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from service.statements.repository import Repository, query
from service.statements.rows import Row

NO_EPOCH = 0
"""The epoch in a new cursor. Epochs of databases begin with 1, so this value says that the consumer has no position yet."""


class WaitingTenant(Row):
    """A tenant in which a consumer is behind: its cursor is missing, below the tenant's last commit, or of another epoch."""

    tenant: UUID


class ConsumerLag(Row):
    """How far a consumer is behind, over all tenants in which it has a cursor.

    `tenants` is the number of tenants in which the consumer is behind. `failing` is the number of tenants in which its last
    call has failed. `cut_off` is the number of tenants in which it was so far behind that it now waits for a reset. `oldest`
    is the time of the oldest commit that it has not handled (if the log does not have this commit, the time at which the
    cursor last moved), and `behind` is the time since then. Both are None if the consumer is not behind.
    """

    consumer: str
    tenants: int
    failing: int
    cut_off: int
    oldest: datetime | None
    behind: timedelta | None


class Cursor(Row):
    """The position that a consumer has reached in the tenant's log, and how often it has failed since it reached the position.

    `cut_off_at` is the time at which the consumer was cut off because it was too far behind; None if it was not cut off, or
    has handled the reset since.
    """

    epoch: int
    number: int
    failures: int
    cut_off_at: datetime | None


class Cursors(Repository, aggregate="cursors"):
    """The cursors of consumers in the tenant's log. `waiting`, `lag` and `forget` are about all tenants."""

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
