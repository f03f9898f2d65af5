"""What has ended long enough ago is forgotten: sessions, codes, tickets, answers to repeat, the audit, deleted rows.

Safe on every instance: a tenant's purge is locked for each of its transactions, and of all instances one goes through the
tenants at a time. How long things are kept, the database itself knows (its functions' retention rules); the idle time of
sessions alone is a setting.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from service.database import Database
from service.repos.tenants import TenantRef
from service.tenancy.identity import TenantId
from service.work import Work, run

_EVERY = timedelta(hours=1)
_BATCH = 1000
_TENANTS = 500
_FIRST = UUID(int=0)


async def purge(database: Database, tenant: TenantId, idle: timedelta) -> int:
    """Forget what has ended in one tenant, some of it per transaction; answers how many rows. Nothing while another is at it."""

    async def forget(work: Work) -> int:
        if not await work.tenants.lock_purge(tenant):
            return 0
        return sum(
            [
                await work.sessions.expire(_BATCH, idle=idle),
                await work.change_tickets.purge(_BATCH),
                await work.sessions.purge(_BATCH, idle=idle),
                await work.otps.purge(_BATCH),
                await work.idempotency_keys.purge(_BATCH),
                await work.sign_in_failures.prune(_BATCH),
                await work.tenants.prune_deleted(_BATCH),
                await work.log.prune(_BATCH),
            ]
        )

    total = 0
    while count := await run(database, forget, tenant):
        total += count
    return total


async def purge_all(database: Database, idle: timedelta, told: Callable[[TenantId, int], None] | None = None) -> int:
    """Forget what has ended in all tenants, one after the other; answers how many rows. `told` hears of each tenant."""
    total, previous = 0, _FIRST
    while True:
        found = await _after(database, previous)
        for each in found:
            tenant = TenantId(each.tenant)
            rows = await purge(database, tenant, idle)
            if told is not None:
                told(tenant, rows)
            total += rows
        if len(found) < _TENANTS:
            return total
        previous = found[-1].tenant


async def _after(database: Database, previous: UUID) -> list[TenantRef]:
    async def ask(work: Work) -> list[TenantRef]:
        return await work.tenants.after(previous, limit=_TENANTS)

    return await run(database, ask, None, read_only=True)


async def is_due(database: Database) -> bool:
    """Whether the hourly purge is to begin, here and by this instance: who is told so has taken it."""
    return await run(database, lambda work: work.tenants.claim_purge(_EVERY), None)
