"""Purging: deletes rows whose retention period has ended.

These are ended sessions, expired one-time codes, tickets and stored answers, revoked or expired API keys, old parts of the
audit, and rows that were soft-deleted. The SQL statements define the retention periods, or read them from app.installation.
Only the idle time of sessions is a setting.

One of the instances runs the purge every hour. `quarry purge` may run at the same time, because each transaction tries to lock
its tenant, and does nothing if another process has locked it. A query first finds the tenants that have rows to delete; the
others are skipped. If a statement fails for a tenant, the failure is logged and counted, and the purge goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from service.database.database import Database
from service.engine import EngineWork
from service.errors import Unavailable
from service.metrics import PURGE_FAILURES
from service.repos.tenants import DueTenant
from service.tenancy.identity import TenantId

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.purging")

_EVERY = timedelta(hours=1)
_BATCH = 1000
_TENANTS = 500
_FIRST = UUID(int=0)

Statement = Callable[[EngineWork, timedelta], Awaitable[int]]

_STATEMENTS: Mapping[str, Statement] = {
    "sessions.expire": lambda work, idle: work.sessions.expire(_BATCH, idle=idle),
    "change_tickets.purge": lambda work, _: work.change_tickets.purge(_BATCH),
    "sessions.purge": lambda work, idle: work.sessions.purge(_BATCH, idle=idle),
    "otps.purge": lambda work, _: work.otps.purge(_BATCH),
    "idempotency_keys.purge": lambda work, _: work.idempotency_keys.purge(_BATCH),
    "sign_in_failures.prune": lambda work, _: work.sign_in_failures.prune(_BATCH),
    "api_keys.prune": lambda work, _: work.api_keys.prune(_BATCH),
    "tenants.prune_deleted": lambda work, _: work.tenants.prune_deleted(_BATCH),
    "log.prune": lambda work, _: work.log.prune(_BATCH),
}


@dataclass
class Purged:
    """The result of a purge. `rows` is the number of rows deleted, including sessions that were only marked as expired.

    `failures` is the number of failed statements in the result of `purge`, and in that of `purge_all` the number of tenants
    for which a statement has failed.
    """

    rows: int = 0
    failures: int = 0


async def purge(database: Database, tenant: TenantId, idle: timedelta) -> Purged:
    """Purge one tenant. Each statement runs in transactions of its own, until it finds no more rows.

    A statement is skipped if another process is purging the tenant. Raises Unavailable if the database can't be reached:
    this error is not counted as a failure, because it concerns all tenants.
    """
    purged = Purged()
    for name, statement in _STATEMENTS.items():

        async def forget(work: EngineWork, statement: Statement = statement) -> int:
            return await statement(work, idle) if await work.tenants.lock_purge(tenant) else 0

        try:
            while count := await EngineWork.run(database, forget, tenant):
                purged.rows += count
        except Unavailable:
            raise
        except Exception:
            purged.failures += 1
            log.exception("purge_failed", tenant=str(tenant), statement=name)
    return purged


async def purge_all(
    database: Database, idle: timedelta, told: Callable[[TenantId, Purged], None] | None = None
) -> Purged:
    """Purge all tenants that have rows to delete, and store the number of tenants for which a statement has failed.

    `told` is called with each purged tenant and the result for it. Raises Unavailable if the database can't be reached.
    """
    total, previous = Purged(), _FIRST
    while found := await _next(database, previous, idle):
        for each in found:
            if each.is_due:
                tenant = TenantId(each.tenant)
                purged = await purge(database, tenant, idle)
                total.rows += purged.rows
                if purged.failures:
                    total.failures += 1
                    PURGE_FAILURES.inc()
                if told is not None:
                    told(tenant, purged)
        previous = found[-1].tenant
        if len(found) < _TENANTS:
            break
    await EngineWork.run(database, lambda work: work.tenants.note_purge(total.failures), None)
    return total


async def _next(database: Database, previous: UUID, idle: timedelta) -> list[DueTenant]:
    async def ask(work: EngineWork) -> list[DueTenant]:
        return await work.tenants.to_purge(previous, idle=idle, limit=_TENANTS)

    # A read-only transaction is enough, although the statement binds one tenant after the other: it does so by set_config().
    return await EngineWork.run(database, ask, None, read_only=True)


async def is_due(database: Database) -> bool:
    """Whether this instance has to run the hourly purge now. After a True, all instances get False for an hour."""
    return await EngineWork.run(database, lambda work: work.tenants.claim_purge(_EVERY), None)
