"""Upkeep: a background task of each process. It records when sessions and API keys were last used, and runs the purge.

A request does not write to the database that its session or API key was used. The uses are collected in memory, and the task
writes them, in one transaction per tenant. The purge runs once an hour, in one process of all instances (purging.py).
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
"""Seconds between two writes of a session's last_seen_at, and so its precision; likewise for an API key's last_used_at."""
_FLUSH_EVERY = 5.0
_LOOK_EVERY = 300.0
"""Seconds between two checks whether the hourly purge is due."""
_BATCH = 1000

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.upkeep")


class Upkeep:
    """The background task. Open it with `async with Upkeep.open(database, idle)`; the collected uses are written at the end."""

    def __init__(self, database: Database, idle: float) -> None:
        """`idle` is the time in seconds after which an unused session expires."""
        self._database = database
        self._idle = timedelta(seconds=idle)
        self.seen_every = timedelta(seconds=min(_SEEN_EVERY, idle / 4))
        """A use of a session or API key is recorded only if its last recorded use is longer ago than this."""
        self._seen: dict[TenantId, dict[Kind, set[UUID]]] = {}
        self._expired: set[TenantId] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, database: Database, idle: float) -> AsyncIterator[Self]:
        """Start the task. After the block, it is stopped and the collected uses are written."""
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
        """Note that a session or API key has just been used. The task writes this later."""
        self._seen.setdefault(tenant, {}).setdefault(kind, set()).add(id)

    def expired(self, tenant: TenantId) -> None:
        """Note that a session of the tenant was found to have expired. The task then marks the tenant's expired sessions."""
        self._expired.add(tenant)

    async def flush(self) -> None:
        """Write the collected uses, and mark the sessions that have expired."""
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
        """Await `work`. If it fails, log the error instead of raising it."""
        try:
            await work
        except ServiceError as error:
            log.info("upkeep_failed", reason=error.code)
        except Exception:
            # The task must not end: without it, uses would not be recorded, and sessions in use would expire as idle.
            log.exception("upkeep_failed")
