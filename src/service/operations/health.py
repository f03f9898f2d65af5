"""Health checks: find out whether this process and its database can do their work."""

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
"""A check that takes more than `_PATIENCE` seconds is cancelled and fails. With more than `_SLOW` seconds it is called slow."""
_PATIENCE_WITH_CATALOG = 10.0
"""Seconds that the check `isolation` may take. It needs more, because it looks at every table, also in tenants' own schemas."""
_REST = 20
"""If the check `isolation` was slow and took t seconds, its result is returned, without a new check, for `_REST` * t seconds."""
_READY_FOR = 1.0
"""Seconds for which the result of a readiness check stays in use, so that several load balancers do not cause several checks."""
_OLDEST = 1_000_000_000
"""The check `transactions` fails if the oldest unfrozen transaction id has this age. At about twice it, writes are refused."""
_LATE_PURGE = timedelta(hours=26)
"""The check `purge` fails if the last hourly purge began longer ago than this."""
_LONGEST = timedelta(hours=1)
_MOST_SKEW = 5.0
"""The check `clock` fails if the clocks of the database and of this machine differ by this many seconds or more."""
_MOST_BEHIND = 10.0
"""The check `replicas` fails if a replica is behind the primary by this many seconds or more."""

Check = Callable[[], Awaitable[dict[str, Any]]]


class DatabaseHealth:
    """The health checks that concern the database. They run as the serving role."""

    def __init__(self, database: Database, max_age: float) -> None:
        """`max_age`: the check `consumers` fails if the oldest commit that a consumer has not handled is older (in seconds)."""
        self._database, self._max_age = database, max_age
        self._first_size: tuple[float, int] | None = None
        self._inspected: tuple[float, dict[str, Any]] = (0.0, {})

    def checks(self) -> dict[str, Check]:
        """A dictionary with the name of each check, and the function that runs it."""
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
        """The result of every check, by the check's name. A result has `ok` (whether the check passed) and details.

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
        """Run a check, and return its result. If it took long or timed out, the result has `slow`; if it timed out or the
        database raised an error, the result has `error`.
        """
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
        """Whether new transactions can write. Maintenance mode does not count, because there writes are refused on purpose."""
        if not await self._ask(lambda work: work.server.is_writable()):
            # This may be an old session: one that began while the server was read-only stays so. Check again in a new session.
            await self._database.pool.renew()
            return {"ok": await self._ask(lambda work: work.server.is_writable())}
        return {"ok": True}

    async def _clock(self) -> dict[str, Any]:
        """By how many seconds the database's clock, which decides what has expired, is ahead of this machine's clock."""
        before = datetime.now(UTC)
        then = await self._ask(lambda work: work.server.now())
        after = datetime.now(UTC)
        ahead = (then - before - (after - before) / 2).total_seconds()
        return {"ok": abs(ahead) < _MOST_SKEW, "seconds_ahead": round(ahead, 1)}

    async def _migrations(self) -> dict[str, Any]:
        pending = await pending_migrations(self._database)
        return {"ok": not pending, "pending": pending}

    async def _own_schemas(self) -> dict[str, Any]:
        """The tenants' own schemas that lack migrations: in `pending`, the missing migrations by the name of the schema.

        Requests of the tenant of such a schema may fail; other tenants are not affected.
        """
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
        """The number of tenants for which the last purge failed, and the seconds since an hourly purge last began, if any did."""
        found = await self._ask(lambda work: work.installation.find())
        since = None if found.since_purged is None else round(found.since_purged.total_seconds())
        is_late = found.since_purged is not None and found.since_purged > _LATE_PURGE
        return {"ok": not found.purge_failures and not is_late, "failures": found.purge_failures, "seconds_ago": since}

    async def _collations(self) -> dict[str, Any]:
        """The names of collations whose version has changed since indexes were built, for example by an upgrade of libc or ICU.

        The sort order may have changed with the version, and such indexes may then give wrong results.
        """
        drifted = sorted(each.name for each in await self._ask(lambda work: work.server.drifted_collations()))
        return {"ok": not drifted, "drifted": drifted}

    async def _growth(self) -> dict[str, Any]:
        """The size of the database in bytes, and by how many bytes an hour it has grown since this check first ran."""
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
        """How far each consumer is behind. The check fails if a consumer is too far behind, or cut off and not reset yet.

        This includes consumers that no longer run, until `quarry changes forget` removes them.
        """
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
    """All health checks: those of the database, and those of this process's keys, pool, change feed, replicas and Redis."""

    def __init__(self, database: Database, feed: Feed, replicas: Replicas, cache: Cache, max_age: float) -> None:
        """`max_age`: the check `consumers` fails if the oldest commit that a consumer has not handled is older (in seconds)."""
        super().__init__(database, max_age)
        self._feed, self._replicas, self._cache = feed, replicas, cache
        self._undecipherable_before = _undecipherable()
        self._failing: list[str] = []
        self._is_leaving = False
        self._asked_at = -_READY_FOR

    def leave(self) -> None:
        """Make `failing` report from now on that this process is stopping, so that load balancers send it no more requests."""
        self._is_leaving = True

    async def failing(self) -> list[str]:
        """Why this process is not ready: some of `database`, `migrations`, `writes` and `stopping`; empty if it is ready.

        The database is checked at most once a second.
        """
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
        """A dictionary with the name of each check, and the function that runs it."""
        return {
            **super().checks(),
            "keys": self._keys,
            "pool": self._pool,
            "changes": self._changes,
            "replicas": self._replication,
            "redis": self._redis,
        }

    async def _keys(self) -> dict[str, Any]:
        """The ids of the keys of personal data, and the number of values that this process could not decrypt.

        The check fails if there are such values. `seals` is the key that encrypts new values, `opens` are all keys.
        """
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
            "idle": pool.idle,
            "maximum": pool.limits.maximum,
            "has_pooler": pool.info.has_pooler,
        }

    async def _changes(self) -> dict[str, Any]:
        return self._feed.report()

    async def _replication(self) -> dict[str, Any]:
        """The state of each replica. If this check fails, reads still succeed, because the primary serves them."""
        found = self._replicas.report()
        is_well = all(
            each["state"] in ("up", "behind") and (each["behind_seconds"] or 0) < _MOST_BEHIND for each in found
        )
        return {"ok": is_well, "replicas": found}

    async def _redis(self) -> dict[str, Any]:
        """Whether Redis is up. If it is down, the service is slower, but its results are still correct."""
        is_up = await self._cache.is_redis_up()
        return {"ok": is_up is not False, "state": {None: "not used", True: "up", False: "down"}[is_up]}


def _undecipherable() -> int:
    return round(REGISTRY.get_sample_value("quarry_undecipherable_total") or 0)


async def pending_migrations(database: Database) -> list[str]:
    """The ids of the migrations that this version of the service needs and the database lacks.

    Further migrations in the database, which a newer version has applied, do not matter.
    """
    try:
        rows = await EngineWork.run(
            database, lambda work: work.installation.migrations(), None, read_only=True, attempts=1
        )
    except DatabaseError as error:
        if error.code != "internal":
            raise
        rows = []  # The function applied_migrations() does not exist, because the migration that creates it is not applied.
    return sorted(migration_files.known() - {each.id for each in rows})
