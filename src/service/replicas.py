"""Read-only transactions on replicas: servers that have the same data as the primary, after a short delay.

The message that begins a transaction on a replica also checks that the replica has all commits of the tenant that this process
knows (cache/watermarks.py). So the data that it shows are at most one second old, as with the cache, and include all commits of
this process and the commit that the client names in the header `Consistency`. If the check fails, the primary is used instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from time import monotonic
from typing import Any, Literal, Self
from urllib.parse import urlsplit
from uuid import UUID

import structlog

from service.addresses import Address, PoolLimits
from service.cache.watermarks import LEASE, Watermarks
from service.database.connection import Connection
from service.database.database import Database, ReplicaTransaction
from service.database.pool import Pool
from service.engine import EngineWork
from service.errors import Behind, Contention, OperatorError, PoolExhausted, ServiceError
from service.metrics import REPLICA_BEHIND, REPLICA_READS, REPLICA_UP
from service.repos.server import Standing
from service.settings.database import DatabaseSettings
from service.tenancy import guard

_WAIT = "50ms"
"""How long a transaction waits for a replica that lacks known commits, before the primary is used. Usually it waits less."""
_PATIENCE = 1.0
_REST = 1.0
"""How many seconds this process does not use a replica after the replica lacked a commit that the process knows."""
_LOOK_EVERY = 1.0
_TRY_AGAIN_AFTER = 5.0

State = Literal["starting", "up", "behind", "lost", "not a replica", "refused"]

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.replicas")


class Replica:
    """One replica: whether it can be read from, and how far it is behind."""

    def __init__(self, primary: Database, address: Address, limits: PoolLimits, schema: str) -> None:
        self._primary, self._address, self._schema = primary, address, schema
        # The service works without this replica, so no idle connections are kept, and an attempt to use the replica ends soon.
        self._limits = replace(limits, minimum=0, connect_attempts=1, acquire_timeout=_PATIENCE / 2)
        parts = urlsplit(address.url)
        self.name = f"{parts.hostname or 'localhost'}:{parts.port or 5432}"
        self.state: State = "starting"
        self.behind_bytes: int | None = None
        self.behind_seconds: float | None = None
        self.rests_until = 0.0
        self._database: Database | None = None

    def report(self) -> dict[str, Any]:
        """The replica's state, for the health report. `behind_bytes` and `behind_seconds` are None if the lag is unknown."""
        return {
            "server": self.name, "state": self.state,
            "behind_bytes": self.behind_bytes, "behind_seconds": self.behind_seconds,
        }  # fmt: skip

    async def begin(self, text: str) -> tuple[Pool, Connection] | None:
        """Begin a transaction on the replica, by sending the message `text`. Returns None if the replica can't be used now.

        Raises Behind if the check in `text` shows that the replica lacks commits.
        """
        if self._database is None:
            return None
        pool = self._database.pool
        try:
            async with asyncio.timeout(_PATIENCE):
                connection = await pool.acquire()
                try:
                    await connection.begin(text, is_numbered=False)
                except BaseException as error:
                    try:
                        if isinstance(error, Behind):
                            await connection.rollback()
                        else:
                            connection.abandon()
                    finally:
                        await pool.release(connection)
                    raise
        except Behind:
            raise
        except (PoolExhausted, Contention):
            # All connections are busy, or the replica cancelled the statement. The next attempt may succeed: `state` stays `up`.
            return None
        except (ServiceError, TimeoutError) as error:
            self._turn("lost", str(error) or "no answer in time")
            return None
        return pool, connection

    async def follow(self) -> None:
        """Keep a pool of connections to the replica, and check the replica's state once a second, until the task is cancelled."""
        while True:
            try:
                async with Database.open(
                    self._address, self._limits, schema=self._schema, name="quarry replica",
                    observe=self._primary.pool.observe,
                ) as database:  # fmt: skip
                    async with database.connection() as connection:
                        await guard.require(connection)
                    try:
                        self._database = database
                        while True:
                            await self._look(database)
                            await asyncio.sleep(_LOOK_EVERY)
                    finally:
                        self._database = None
            except OperatorError as error:
                self._turn("refused", error.message)
            except ServiceError as error:
                self._turn("lost", str(error))
            except Exception:
                # An unexpected error is only logged, and the task tries again: the service works without this replica.
                log.exception("replica_failed", replica=self.name)
            await asyncio.sleep(_TRY_AGAIN_AFTER)

    async def _look(self, database: Database) -> None:
        # The primary's WAL position is queried before the replica's, so that WAL written in between does not count as lag.
        ahead = await self._position_of_primary()
        try:
            async with asyncio.timeout(_PATIENCE):
                standing = await _standing(database)
        except (ServiceError, TimeoutError) as error:
            self._turn("lost", str(error) or "no answer in time")
            return
        if not standing.is_replica:
            self._turn("not a replica", "it is none, or has been promoted")
            return
        seconds = 0.0
        if ahead is None or standing.position is None:
            self.behind_bytes = self.behind_seconds = None
        else:
            self.behind_bytes = max(int(ahead - standing.position), 0)
            age = standing.since_replayed.total_seconds() if standing.since_replayed else 0.0
            self.behind_seconds = seconds = round(age, 3) if self.behind_bytes else 0.0
        # app.reach() can't check whether the replica has the newest of those data that get no commit number (failed sign-ins,
        # last_seen_at). These must not be older than LEASE either, so a replica that is further behind is not used.
        self._turn("up" if seconds <= LEASE else "behind")
        REPLICA_BEHIND.labels(replica=self.name).set(seconds)

    async def _position_of_primary(self) -> Decimal | None:
        """The WAL position of the primary; None if the primary does not answer. Replicas with an unknown lag are still used."""
        with contextlib.suppress(ServiceError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                return (await _standing(self._primary)).position
        return None

    def _turn(self, state: State, reason: str | None = None) -> None:
        if state not in ("up", "behind"):
            self.behind_bytes = self.behind_seconds = None
        REPLICA_UP.labels(replica=self.name).set(state == "up")
        if state != self.state:
            self.state = state
            log.warning("replica", replica=self.name, state=state, reason=reason)


class Replicas:
    """All replicas in the settings. `async with Replicas.open(…)` runs a background task for each of them."""

    def __init__(self, replicas: tuple[Replica, ...], watermarks: Watermarks) -> None:
        self._replicas, self._watermarks = replicas, watermarks
        self._turns = itertools.count()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: DatabaseSettings, primary: Database, watermarks: Watermarks) -> AsyncIterator[Self]:
        """During the block, run a task for each replica in the settings: it connects to the replica and checks its state.

        A replica is used from the moment at which its task first finds it up.
        """
        replicas = tuple(
            Replica(primary, address, settings.limits, settings.database_schema)
            for address in settings.replica_addresses()
        )
        opened = cls(replicas, watermarks)
        tasks = [asyncio.create_task(each.follow(), name=f"replica {each.name}") for each in replicas]
        try:
            yield opened
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def begin(self, tenant: UUID, text: str, at_least: int) -> ReplicaTransaction | None:
        """See ReadReplicas.begin. The replicas that are up take turns. For each transaction only one is tried.

        A replica that lacks commits which the process knows is then not used for a second.
        """
        now = monotonic()
        self._watermarks.use(tenant, now)
        needed = self._watermarks.needed(tenant, at_least=at_least, now=now)
        usable = [each for each in self._replicas if each.state == "up" and each.rests_until <= now]
        if needed is None or not usable:
            REPLICA_READS.labels(outcome="none").inc()
            return None
        replica = usable[next(self._turns) % len(usable)]
        epoch, (number, shared) = self._watermarks.epoch, needed
        try:
            begun = await replica.begin(f"{text};SELECT app.reach({epoch}, {number}, {shared}, '{_WAIT}')")
        except Behind:
            if number == self._watermarks.known(tenant):
                # Not if only commit `at_least` was missing: a client has named this number, and the commit may not exist.
                replica.rests_until = monotonic() + _REST
            REPLICA_READS.labels(outcome="behind").inc()
            return None
        if begun is None:
            REPLICA_READS.labels(outcome="lost").inc()
            return None
        REPLICA_READS.labels(outcome="replica").inc()
        pool, connection = begun
        return ReplicaTransaction(connection, pool, epoch, number, shared)

    def __len__(self) -> int:
        return len(self._replicas)

    def report(self) -> list[dict[str, Any]]:
        """The state of each replica, for the health report."""
        return [each.report() for each in self._replicas]


async def _standing(database: Database) -> Standing:
    return await EngineWork.run(database, lambda work: work.server.standing(), None, read_only=True, attempts=1)
