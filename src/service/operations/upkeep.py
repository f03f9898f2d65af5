"""Upkeep: a background task of each process. It records when sessions and API keys were last used, and runs the purge.

A request does not itself record in the database that its session or API key was used. It only notes this in memory; the task
writes the notes later, in one transaction for each tenant. Once an hour, the task of one process runs the purge (purging.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from time import monotonic
from typing import Self
from uuid import UUID

import structlog

from service.accounts.tokens import Kind
from service.database.database import Database
from service.engine import EngineWork
from service.errors import ServiceError
from service.operations.purging import is_due, purge_all
from service.tenancy.identity import TenantId

_SEEN_EVERY = 60.0
"""How many seconds pass at least between two updates of the time at which a session or API key was last used (last_seen_at,
last_used_at). The interval is shorter if the idle time of sessions is only a few minutes.
"""
_FLUSH_EVERY = 5.0
_LOOK_EVERY = 300.0
"""Seconds between two checks whether the hourly purge (purging.py) is due."""
_BATCH = 1000

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.upkeep")


class Upkeep:
    """The background task, and the uses of sessions and API keys that it has to write.

    Open it with `async with Upkeep.open(database, idle)`.
    """

    def __init__(self, database: Database, idle: float) -> None:
        """`idle` is the number of seconds after which a session expires if it is not used."""
        self._database = database
        self._idle = timedelta(seconds=idle)
        self.seen_every = timedelta(seconds=min(_SEEN_EVERY, idle / 4))
        """A use of a session or API key is recorded only if the time of the last use in the database is older than this."""
        self._seen: dict[TenantId, dict[Kind, set[UUID]]] = {}
        self._expired: set[TenantId] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, database: Database, idle: float) -> AsyncIterator[Self]:
        """Start the task. After the block, the task is stopped, and the uses noted so far are written."""
        upkeep = cls(database, idle)
        task = asyncio.create_task(upkeep._go_on(), name="upkeep")
        try:
            yield upkeep
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await upkeep.flush()

    def seen(self, tenant: TenantId, kind: Kind, id: UUID) -> None:
        """Note that a session or API key has just been used. The task writes the note to the database later."""
        self._seen.setdefault(tenant, {}).setdefault(kind, set()).add(id)

    def expired(self, tenant: TenantId) -> None:
        """Note that a session or API key of this tenant has expired. The task then marks the tenant's expired sessions."""
        self._expired.add(tenant)

    async def flush(self) -> None:
        """Write the uses noted so far, and mark the expired sessions of the tenants noted by `expired`."""
        expired, self._expired = self._expired, set()
        for tenant in expired:
            await self._quietly(tenant, lambda work: work.sessions.expire(_BATCH, idle=self._idle))
        seen, self._seen = self._seen, {}
        for tenant, kinds in seen.items():

            async def touch(work: EngineWork, kinds: dict[Kind, set[UUID]] = kinds) -> None:
                if sessions := kinds.get("session"):
                    await work.sessions.touch(sorted(sessions))
                if keys := kinds.get("key"):
                    await work.api_keys.touch(sorted(keys))

            await self._quietly(tenant, touch)

    async def _go_on(self) -> None:
        looked = -_LOOK_EVERY
        while True:
            await asyncio.sleep(min(_FLUSH_EVERY, self.seen_every.total_seconds() / 2))
            await self.flush()
            if monotonic() - looked >= _LOOK_EVERY:
                looked = monotonic()
                await self._tolerant(self._purge())

    async def _purge(self) -> None:
        if await is_due(self._database):
            purged = await purge_all(self._database, self._idle)
            log.info("purged", rows=purged.rows, failures=purged.failures)

    async def _quietly(self, tenant: TenantId, operation: Callable[[EngineWork], Awaitable[object]]) -> None:
        await self._tolerant(EngineWork.run(self._database, operation, tenant))

    @staticmethod
    async def _tolerant(work: Awaitable[object]) -> None:
        """Await `work`. If this raises an error, log the error instead of raising it."""
        try:
            await work
        except ServiceError as error:
            log.info("upkeep_failed", reason=error.code)
        except Exception:
            # Go on, because nothing restarts this task. Without it, sessions would expire as idle although they are used.
            log.exception("upkeep_failed")
