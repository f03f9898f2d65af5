"""Whether the service can do its work."""

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
"""Seconds: a check that takes longer is given up, or called slow."""
_PATIENCE_WITH_CATALOG = 10.0
"""Seconds: the guard looks at every table of every tenant's own schema."""
_REST = 20
"""The result of a slow look at the catalog is used for this many times as long as the look took."""
_READY_FOR = 1.0
"""Seconds for which readiness is not asked for again: probes of several balancers are one question."""
_OLDEST = 1_000_000_000
"""An age of the oldest unfrozen transaction id: at about twice this age the database refuses writes."""
_LATE_PURGE = timedelta(hours=26)
"""It is hourly; a day without one is no accident."""
_LONGEST = timedelta(hours=1)
_MOST_SKEW = 5.0
"""Seconds between two clocks. With more, one of them is wrong, and times in the log and in rows can't be compared."""
_MOST_BEHIND = 10.0
"""Seconds; a replica that is further behind is reported as not ok."""

Check = Callable[[], Awaitable[dict[str, Any]]]


class DatabaseHealth:
    """What is asked of a database, by whoever is connected to it as the serving role."""

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
        """Every check by name: whether it is `ok`, and what it found.

        They run together, two seconds at most; `isolation` may take ten.
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
            # A session opened in a spell of being read-only stays so; a new one tells how things are now.
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
        """One that is behind keeps its tenant from being served, and nobody else."""
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
        """For how many tenants the last purge has failed, and how long ago it began; None: there was none yet."""
        found = await self._ask(lambda work: work.installation.find())
        since = None if found.since_purged is None else round(found.since_purged.total_seconds())
        is_late = found.since_purged is not None and found.since_purged > _LATE_PURGE
        return {"ok": not found.purge_failures and not is_late, "failures": found.purge_failures, "seconds_ago": since}

    async def _collations(self) -> dict[str, Any]:
        """Collations that sort otherwise than when their indexes were built, as after an upgrade of the system's libraries."""
        drifted = sorted(each.name for each in await self._ask(lambda work: work.server.drifted_collations()))
        return {"ok": not drifted, "drifted": drifted}

    async def _growth(self) -> dict[str, Any]:
        """Bytes, and bytes per hour since this process first asked."""
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
    """What is asked of one process about itself and what it depends on."""

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
        """What keeps this process from serving: `database`, `migrations`, `writes`, `stopping`; asked for once a second."""
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
        """The ids of the keys that this process has, and how many values it has met that none of them opens."""
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
        """Without them the primary answers everything."""
        found = self._replicas.report()
        is_well = all(
            each["state"] in ("up", "behind") and (each["behind_seconds"] or 0) < _MOST_BEHIND for each in found
        )
        return {"ok": is_well, "replicas": found}

    async def _redis(self) -> dict[str, Any]:
        """Without it the service is slower, and not wrong."""
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
        rows = []  # The database is older than the function that tells.
    return sorted(migration_files.known() - {each.id for each in rows})
