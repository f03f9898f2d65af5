"""Health checks: whether the service can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic, perf_counter
from typing import Any, TypeVar

from prometheus_client import REGISTRY

from service.cache.cache import Cache
from service.changes.feed import Feed
from service.database.database import Database
from service.engine import EngineWork
from service.errors import DatabaseError
from service.replicas import Replicas
from service.schema import migration_files
from service.tenancy import guard

T = TypeVar("T")

_PATIENCE, _SLOW = 2.0, 0.5
"""In seconds: a check that takes longer than `_PATIENCE` is cancelled; one that takes longer than `_SLOW` is reported as slow."""
_PATIENCE_WITH_CATALOG = 10.0
"""Seconds that the check `isolation` may take. It looks at every table, also in tenants' own schemas."""
_REST = 20
"""If the check `isolation` took t seconds and was slow, its result is used again for `_REST` * t seconds."""
_READY_FOR = 1.0
"""Seconds for which the result of a readiness check is used again, so that several load balancers share one check."""
_OLDEST = 1_000_000_000
"""The largest acceptable age of the oldest unfrozen transaction id. At about twice this age, PostgreSQL refuses writes."""
_LATE_PURGE = timedelta(hours=26)
"""The check `purge` fails if the last purge began longer ago than this, because the purge should run every hour."""
_LONGEST = timedelta(hours=1)
_MOST_SKEW = 5.0
"""Seconds by which the clocks of the database and of this machine may differ. With more, one of the clocks is wrong."""
_MOST_BEHIND = 10.0
"""Seconds by which a replica may be behind. If it is further behind, the check `replicas` fails."""

Check = Callable[[], Awaitable[dict[str, Any]]]


class DatabaseHealth:
    """The health checks of a database. They run as the serving role."""

    def __init__(self, database: Database, max_age: float) -> None:
        """The check `consumers` fails if a consumer is behind for more than `max_age` seconds."""
        self._database, self._max_age = database, max_age
        self._first_size: tuple[float, int] | None = None
        self._inspected: tuple[float, dict[str, Any]] = (0.0, {})

    def checks(self) -> dict[str, Check]:
        """The functions that run the checks, by the checks' names."""
        return {
            "database": self._latency,
            "migrations": self._migrations,
            "own_schemas": self._own_schemas,
            "isolation": self._isolation,
            "writes": self._writes,
            "clock": self._clock,
            "purge": self._purge,
            "collations": self._collations,
            "growth": self._growth,
            "transactions": self._transactions,
            "consumers": self._consumers,
        }

    async def report(self) -> dict[str, dict[str, Any]]:
        """The results of all checks, by the checks' names: whether each is `ok`, and its details.

        The checks run concurrently. Each may take two seconds, except for `isolation`, which may take ten.
        """
        checks = self.checks()
        patience = {"isolation": _PATIENCE_WITH_CATALOG}
        found = await asyncio.gather(
            *(self._checked(each, patience.get(name, _PATIENCE)) for name, each in checks.items())
        )
        return dict(zip(checks, found, strict=True))

    @staticmethod
    async def _checked(check: Check, patience: float = _PATIENCE) -> dict[str, Any]:
        """The result of a check. It has `slow` if the check took long or timed out, and `error` if the check failed."""
        started = perf_counter()
        try:
            async with asyncio.timeout(patience):
                found = {"ok": True, **await check()}
        except TimeoutError:
            return {"ok": False, "error": "timeout", "slow": True}
        except DatabaseError as error:
            return {"ok": False, "error": error.code, "reason": error.message}
        return {**found, "slow": True} if perf_counter() - started > _SLOW else found

    async def _latency(self) -> dict[str, Any]:
        started = perf_counter()
        async with self._database.connection() as connection:
            version = await connection.fetchval("SHOW server_version", ())
        return {"milliseconds": round((perf_counter() - started) * 1000, 1), "server": version}

    async def _writes(self) -> dict[str, Any]:
        """Whether new transactions can write. The check passes in maintenance mode too, because that is deliberate."""
        if not await self._ask(lambda work: work.server.is_writable()):
            # A session that was opened while the server was read-only stays read-only. Check again in a new session.
            await self._database.pool.renew()
            return {"ok": await self._ask(lambda work: work.server.is_writable())}
        return {"ok": True}

    async def _clock(self) -> dict[str, Any]:
        """How many seconds the database's clock is ahead of this machine's. The database's clock decides what has expired."""
        before = datetime.now(UTC)
        then = await self._ask(lambda work: work.server.now())
        after = datetime.now(UTC)
        ahead = (then - before - (after - before) / 2).total_seconds()
        return {"ok": abs(ahead) < _MOST_SKEW, "seconds_ahead": round(ahead, 1)}

    async def _migrations(self) -> dict[str, Any]:
        pending = await pending_migrations(self._database)
        return {"ok": not pending, "pending": pending}

    async def _own_schemas(self) -> dict[str, Any]:
        """The tenants' own schemas that lack migrations. The tenant of such a schema can't be served; all others can."""
        applied: dict[str, set[str]] = {}
        for each in await self._ask(lambda work: work.installation.own_migrations()):
            applied.setdefault(each.schema_name, set()).add(each.id)
        behind = {name: sorted(pending) for name, ids in applied.items() if (pending := migration_files.known() - ids)}
        return {"ok": not behind, "schemas": len(applied), "pending": behind}

    async def _isolation(self) -> dict[str, Any]:
        until, found = self._inspected
        if monotonic() < until:
            return found
        began = monotonic()
        async with self._database.connection() as connection:
            findings = await guard.inspect(connection)
        found = {"ok": not findings, "findings": [str(finding) for finding in findings]}
        if (took := monotonic() - began) > _SLOW:
            self._inspected = (monotonic() + _REST * took, found)
        return found

    async def _purge(self) -> dict[str, Any]:
        """The number of tenants for which the last purge failed, and the seconds since it began (None if no purge ran yet)."""
        found = await self._ask(lambda work: work.installation.find())
        since = None if found.since_purged is None else round(found.since_purged.total_seconds())
        is_late = found.since_purged is not None and found.since_purged > _LATE_PURGE
        return {"ok": not found.purge_failures and not is_late, "failures": found.purge_failures, "seconds_ago": since}

    async def _collations(self) -> dict[str, Any]:
        """Collations whose sort order may have changed since indexes were built, for example after an upgrade of libc or ICU."""
        drifted = sorted(each.name for each in await self._ask(lambda work: work.server.drifted_collations()))
        return {"ok": not drifted, "drifted": drifted}

    async def _growth(self) -> dict[str, Any]:
        """The size of the database in bytes, and its growth in bytes per hour since this check first ran in this process."""
        now, size = monotonic(), await self._ask(lambda work: work.server.size())
        since, before = self._first_size or (now, size)
        self._first_size = (since, before)
        hours = (now - since) / 3600
        return {"bytes": size, "bytes_per_hour": round((size - before) / hours) if hours > 0 else 0}

    async def _transactions(self) -> dict[str, Any]:
        found = await self._ask(lambda work: work.server.transactions())
        longest = found.longest or timedelta()
        return {
            "ok": found.age < _OLDEST and longest < _LONGEST,
            "age": found.age,
            "longest_seconds": round(longest.total_seconds(), 1),
        }

    async def _consumers(self) -> dict[str, Any]:
        """How far consumers are behind. Fails if a consumer is too far behind or was cut off, even one that no longer runs."""
        behind = {
            lag.consumer: {
                "tenants": lag.tenants,
                "failing": lag.failing,
                "cut_off": lag.cut_off,
                "seconds": 0.0 if lag.behind is None else round(lag.behind.total_seconds(), 1),
            }
            for lag in await self._ask(lambda work: work.cursors.lag())
        }
        is_well = all(not each["cut_off"] and each["seconds"] <= self._max_age for each in behind.values())
        return {"ok": is_well, "behind": behind}

    async def _ask(self, operation: Callable[[EngineWork], Awaitable[T]]) -> T:
        return await EngineWork.run(self._database, operation, None, read_only=True, attempts=1)


class Health(DatabaseHealth):
    """All health checks of this process: those of the database, and those of its keys, pool, feed, replicas and Redis."""

    def __init__(self, database: Database, feed: Feed, replicas: Replicas, cache: Cache, max_age: float) -> None:
        """The check `consumers` fails if a consumer is behind for more than `max_age` seconds."""
        super().__init__(database, max_age)
        self._feed, self._replicas, self._cache = feed, replicas, cache
        self._undecipherable_before = _undecipherable()
        self._failing: list[str] = []
        self._is_leaving = False
        self._asked_at = -_READY_FOR

    def leave(self) -> None:
        """Report this process as not ready from now on, because it is about to stop."""
        self._is_leaving = True

    async def failing(self) -> list[str]:
        """Why this process is not ready (`database`, `migrations`, `writes`, `stopping`). Checked at most once a second."""
        if self._is_leaving:
            return ["stopping"]
        if monotonic() - self._asked_at >= _READY_FOR:
            self._asked_at = monotonic()
            found = await self._checked(self._migrations)
            if "pending" not in found:
                self._failing = ["database"]
            else:
                writes = await self._checked(self._writes)
                self._failing = [name for name, each in (("migrations", found), ("writes", writes)) if not each["ok"]]
        return self._failing

    def checks(self) -> dict[str, Check]:
        """The functions that run the checks, by the checks' names."""
        return {
            **super().checks(),
            "keys": self._keys,
            "pool": self._pool,
            "changes": self._changes,
            "replicas": self._replication,
            "redis": self._redis,
        }

    async def _keys(self) -> dict[str, Any]:
        """The ids of this process's keys of personal data, and the number of values that it could not decrypt with them."""
        keyring = self._database.keyring
        if keyring is None:
            return {}
        met = _undecipherable() - self._undecipherable_before
        return {"ok": not met, "seals": keyring.current, "opens": sorted(keyring.keys), "undecipherable": met,
                "accepts_earlier_forms": keyring.accepts_earlier_forms}  # fmt: skip

    async def _pool(self) -> dict[str, Any]:
        pool = self._database.pool
        return {
            "size": pool.raw.get_size(),
            "idle": pool.raw.get_idle_size(),
            "maximum": pool.limits.maximum,
            "has_pooler": pool.info.has_pooler,
        }

    async def _changes(self) -> dict[str, Any]:
        return self._feed.report()

    async def _replication(self) -> dict[str, Any]:
        """The state of the replicas. If a replica can't serve a read, the primary does."""
        found = self._replicas.report()
        is_well = all(
            each["state"] in ("up", "behind") and (each["behind_seconds"] or 0) < _MOST_BEHIND for each in found
        )
        return {"ok": is_well, "replicas": found}

    async def _redis(self) -> dict[str, Any]:
        """Whether Redis is up. Without Redis the service is slower, but its results are still correct."""
        is_up = await self._cache.is_redis_up()
        return {"ok": is_up is not False, "state": {None: "not used", True: "up", False: "down"}[is_up]}


def _undecipherable() -> int:
    return round(REGISTRY.get_sample_value("quarry_undecipherable_total") or 0)


async def pending_migrations(database: Database) -> list[str]:
    """The migrations that this version of the service needs and the database lacks. Newer migrations do not matter."""
    try:
        rows = await EngineWork.run(
            database, lambda work: work.installation.migrations(), None, read_only=True, attempts=1
        )
    except DatabaseError as error:
        if error.code != "internal":
            raise
        rows = []  # The function applied_migrations() does not exist, so the database is older than it.
    return sorted(migration_files.known() - {each.id for each in rows})
