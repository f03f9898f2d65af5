"""Background work of a process: it records when sessions and API keys were used, and runs the purge.

Requests do not wait for it, and do not write their use themselves: uses are collected and written together, in one transaction
per tenant. The purge runs once an hour, on one of all instances (purging.py).
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
"""Seconds: the precision of last_seen_at. A session that is used is written at most once in this time."""
_FLUSH_EVERY = 5.0
_LOOK_EVERY = 300.0
"""Seconds between two checks whether a purge is due. Instances check at different times."""
_BATCH = 1000

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.upkeep")


class Upkeep:
    """Open it with `async with Upkeep.open(database, idle)`. It runs a task, and at the end writes the uses still in memory."""

    def __init__(self, database: Database, idle: float) -> None:
        """A session ends after `idle` seconds without use."""
        self._database = database
        self._idle = timedelta(seconds=idle)
        self.seen_every = timedelta(seconds=min(_SEEN_EVERY, idle / 4))
        """A use is recorded only if the last recorded use is older than this."""
        self._seen: dict[TenantId, dict[Kind, set[UUID]]] = {}
        self._expired: set[TenantId] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, database: Database, idle: float) -> AsyncIterator[Self]:
        """Start the task; end it with the block."""
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
        """Note that a session or key has just been used."""
        self._seen.setdefault(tenant, {}).setdefault(kind, set()).add(id)

    def expired(self, tenant: TenantId) -> None:
        """Note that a session of the tenant has just been found expired."""
        self._expired.add(tenant)

    async def flush(self) -> None:
        """Write the collected uses, and end the sessions that have expired."""
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
        """Do work that nothing else depends on. A failure is logged, and the task goes on."""
        try:
            await work
        except ServiceError as error:
            log.info("upkeep_failed", reason=error.code)
        except Exception:
            # The task has to go on: without it, sessions would end after the idle time although they are used.
            log.exception("upkeep_failed")
