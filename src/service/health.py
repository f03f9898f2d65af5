"""Whether the service can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from service.changes.feed import Feed
from service.database import Database
from service.errors import DatabaseError
from service.tenancy import guard
from service.work import run

_PATIENCE = 2.0


async def is_ready(database: Database) -> bool:
    """Whether the database answers within two seconds."""
    try:
        async with asyncio.timeout(_PATIENCE), database.connection() as connection:
            return await connection.fetchval("SELECT 1", ()) == 1
    except (DatabaseError, TimeoutError):
        return False


async def report(database: Database, feed: Feed, max_age: float) -> Mapping[str, Mapping[str, Any]]:
    """Every check by name: whether it is `ok`, and what it found. They run together, two seconds at most.

    A consumer of changes may be behind for `max_age` seconds.
    """

    async def changes(_: Database) -> dict[str, Any]:
        return feed.report()

    async def consumers(database: Database) -> dict[str, Any]:
        return await _consumers(database, max_age)

    checks: Mapping[str, Callable[[Database], Awaitable[dict[str, Any]]]] = {
        "database": _latency,
        "isolation": _isolation,
        "pool": _pool,
        "changes": changes,
        "consumers": consumers,
    }
    found = await asyncio.gather(*(_checked(check, database) for check in checks.values()))
    return dict(zip(checks, found, strict=True))


async def _checked(check: Callable[[Database], Awaitable[dict[str, Any]]], database: Database) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_PATIENCE):
            return {"ok": True, **await check(database)}
    except TimeoutError:
        return {"ok": False, "error": "timeout"}
    except DatabaseError as error:
        return {"ok": False, "error": error.code}


async def _latency(database: Database) -> dict[str, Any]:
    started = perf_counter()
    async with database.connection() as connection:
        version = await connection.fetchval("SHOW server_version", ())
    return {"milliseconds": round((perf_counter() - started) * 1000, 1), "server": version}


async def _isolation(database: Database) -> dict[str, Any]:
    async with database.connection() as connection:
        findings = await guard.inspect(connection)
    return {"ok": not findings, "findings": [str(finding) for finding in findings]}


async def _pool(database: Database) -> dict[str, Any]:
    size, idle = database.pool.get_size(), database.pool.get_idle_size()
    return {"size": size, "idle": idle, "maximum": database.limits.maximum}


async def _consumers(database: Database, max_age: float) -> dict[str, Any]:
    """How far behind they are. One that was cut off, or is behind for too long though nobody runs it, is not well."""
    now = datetime.now(UTC)
    behind = {
        lag.consumer: {
            "tenants": lag.tenants,
            "failing": lag.failing,
            "cut_off": lag.cut_off,
            "seconds": 0.0 if lag.oldest is None else round((now - lag.oldest).total_seconds(), 1),
        }
        for lag in await run(database, lambda work: work.cursors.lag(), None, read_only=True, attempts=1)
    }
    return {"ok": all(not each["cut_off"] and each["seconds"] <= max_age for each in behind.values()), "behind": behind}
