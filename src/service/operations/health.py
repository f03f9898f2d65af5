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
"""Seconds: a check is given up after `_PATIENCE`, and reported as slow after `_SLOW`."""
_PATIENCE_WITH_CATALOG = 10.0
"""Seconds for the check `isolation`, which looks at every table, also in the schemas of single tenants."""
_REST = 20
"""The result of a slow check `isolation` is used again for this many times as long as the check took."""
_READY_FOR = 1.0
"""Seconds for which the result of a readiness check is used again, so that the probes of several balancers share one check."""
_OLDEST = 1_000_000_000
"""An age of the oldest unfrozen transaction id: at about twice this age the database refuses writes."""
_LATE_PURGE = timedelta(hours=26)
"""The purge runs every hour. If none has begun for this long, something is wrong."""
_LONGEST = timedelta(hours=1)
_MOST_SKEW = 5.0
"""Seconds between two clocks. With more, one of them is wrong, and times in the log and in rows can't be compared."""
_MOST_BEHIND = 10.0
"""Seconds; a replica that is further behind is reported as not ok."""

Check = Callable[[], Awaitable[dict[str, Any]]]


class DatabaseHealth:
    """The health checks of a database, made as the serving role."""

    def __init__(self, database: Database, max_age: float) -> None:
        """A consumer of changes may be behind for `max_age` seconds."""
        self._database, self._max_age = database, max_age
        self._first_size: tuple[float, int] | None = None
        self._inspected: tuple[float, dict[str, Any]] = (0.0, {})

    def checks(self) -> dict[str, Check]:
        """Every check by name."""
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
        """The results of all checks by name: whether each is `ok`, and its details.

        The checks run concurrently. Each may take two seconds; `isolation` may take ten.
        """
        checks = self.checks()
        patience = {"isolation": _PATIENCE_WITH_CATALOG}
        found = await asyncio.gather(
            *(self._checked(each, patience.get(name, _PATIENCE)) for name, each in checks.items())
        )
        return dict(zip(checks, found, strict=True))

    @staticmethod
    async def _checked(check: Check, patience: float = _PATIENCE) -> dict[str, Any]:
        """The result of a check. One that takes long is `slow`, even if it timed out; one that failed gives the reason."""
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
        """Whether new transactions may write. Maintenance mode does not count: it is deliberate."""
        if not await self._ask(lambda work: work.server.is_writable()):
            # A session that was opened while the server was read-only stays read-only. A new session shows the present state.
            await self._database.pool.renew()
            return {"ok": await self._ask(lambda work: work.server.is_writable())}
        return {"ok": True}

    async def _clock(self) -> dict[str, Any]:
        """How many seconds the database's clock is ahead of this machine's. Everything expires by the database's clock."""
        before = datetime.now(UTC)
        then = await self._ask(lambda work: work.server.now())
        after = datetime.now(UTC)
        ahead = (then - before - (after - before) / 2).total_seconds()
        return {"ok": abs(ahead) < _MOST_SKEW, "seconds_ahead": round(ahead, 1)}

    async def _migrations(self) -> dict[str, Any]:
        pending = await pending_migrations(self._database)
        return {"ok": not pending, "pending": pending}

    async def _own_schemas(self) -> dict[str, Any]:
        """The schemas of single tenants that lack migrations. Only the tenant of such a schema can't be served."""
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
        """For how many tenants the last purge failed, and how many seconds ago it began (None if there was none yet)."""
        found = await self._ask(lambda work: work.installation.find())
        since = None if found.since_purged is None else round(found.since_purged.total_seconds())
        is_late = found.since_purged is not None and found.since_purged > _LATE_PURGE
        return {"ok": not found.purge_failures and not is_late, "failures": found.purge_failures, "seconds_ago": since}

    async def _collations(self) -> dict[str, Any]:
        """Collations whose order may have changed since indexes were built, for example by an upgrade of system libraries."""
        drifted = sorted(each.name for each in await self._ask(lambda work: work.server.drifted_collations()))
        return {"ok": not drifted, "drifted": drifted}

    async def _growth(self) -> dict[str, Any]:
        """The size of the database in bytes, and its growth in bytes per hour since this process first asked."""
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
        """How far behind the consumers are. Not ok if one was cut off or is too far behind, even if no process runs it."""
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
    """The health checks of one process: of its database, keys, pool, change log, replicas and Redis."""

    def __init__(self, database: Database, feed: Feed, replicas: Replicas, cache: Cache, max_age: float) -> None:
        """A consumer of changes may be behind for `max_age` seconds."""
        super().__init__(database, max_age)
        self._feed, self._replicas, self._cache = feed, replicas, cache
        self._undecipherable_before = _undecipherable()
        self._failing: list[str] = []
        self._is_leaving = False
        self._asked_at = -_READY_FOR

    def leave(self) -> None:
        """From now on this process is not ready: it has been told to stop."""
        self._is_leaving = True

    async def failing(self) -> list[str]:
        """The reasons why this process is not ready: `database`, `migrations`, `writes`, `stopping`. Checked once a second."""
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
        """Every check by name."""
        return {
            **super().checks(),
            "keys": self._keys,
            "pool": self._pool,
            "changes": self._changes,
            "replicas": self._replication,
            "redis": self._redis,
        }

    async def _keys(self) -> dict[str, Any]:
        """The ids of this process's keys, and how many sealed values it has read that none of these keys opens."""
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
        """The state of the replicas. Reads that a replica can't serve go to the primary."""
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
    """The migrations that this version needs and the database lacks; a database that has newer ones passes."""
    try:
        rows = await EngineWork.run(
            database, lambda work: work.installation.migrations(), None, read_only=True, attempts=1
        )
    except DatabaseError as error:
        if error.code != "internal":
            raise
        rows = []  # The database is older than the function that returns its migrations.
    return sorted(migration_files.known() - {each.id for each in rows})
