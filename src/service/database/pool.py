"""The pool of connections to one server as one role."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Self
from uuid import UUID

import asyncpg
import structlog

from service.addresses import Address, PoolLimits
from service.database import pooler, temporal
from service.database.connection import COMMIT_GRACE, Connection, Numbered
from service.database.held import HeldConnections
from service.database.retries import connecting
from service.database.translation import translate
from service.errors import DatabaseError, OperatorError, PoolExhausted
from service.metrics import CONNECTIONS, POOL_IN_USE, POOL_WAITED, POOL_WAITING, Observer

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.database")

_OUTCOME_GRACE = 5.0
"""For how many seconds the server is asked, again and again, whether a COMMIT whose reply was lost has succeeded."""
_OUTCOME = "SELECT app.commit_outcome($1::text::uuid, $2, $3::text::xid8, $4)"

GREETING = "SELECT app.enter_life()"
"""The argument `greeting` of pools that may write. It begins a new epoch if the database was restored, promoted or copied."""


@dataclass(frozen=True)
class PoolerInfo:
    """Whether a pooler (such as PgBouncer) is between this pool and the server, and what the pooler supports."""

    has_pooler: bool
    keeps_statements: bool
    """Whether a prepared statement can be used again in a later transaction. It can if there is no pooler."""


_DIRECT = PoolerInfo(has_pooler=False, keeps_statements=True)


class _PlainConnection(asyncpg.Connection):
    """An asyncpg connection that is not reset when it returns to the pool, because the reset would take as long as a statement.

    Nothing has to be reset: transactions set only local settings (such as the tenant), which end with the transaction.
    """

    __slots__ = ()

    def get_reset_query(self) -> str:
        """An empty query: nothing is reset. asyncpg still rolls back an open transaction before the connection is reused."""
        return ""


class Pool:
    """A pool of connections to one server as one role. Open it with `async with Pool.open(…)`."""

    def __init__(
        self,
        raw: Any,
        limits: PoolLimits,
        *,
        observe: Observer | None,
        info: PoolerInfo,
        greeting: str | None,
        name: str,
    ) -> None:
        self.raw = raw
        """The asyncpg pool."""
        self.limits = limits
        self.observe = observe
        self.info = info
        # Behind a pooler, another server may take over while this connection stays open. So transactions repeat the greeting.
        self._greeting = greeting if info.has_pooler else None
        self._name = name
        self._is_down = False
        self._held = HeldConnections(raw.acquire, self._release_raw, limits.maximum)
        self._current: set[Any] = set()
        """The connections in use, without those that were in use when `renew` was called."""
        self.own_schema_tenants: set[UUID] = set()
        """Tenants that are known to have a schema of their own."""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        address: Address,
        limits: PoolLimits,
        *,
        schema: str = "quarry",
        name: str = "quarry",
        observe: Observer | None = None,
        greeting: str | None = None,
    ) -> AsyncIterator[Self]:
        """Open a pool. While the server can't be reached, connecting is repeated; Unavailable is raised after the last attempt.

        `schema` is put into the search_path, `name` is the application name. `greeting` is the first statement on each new
        connection; behind a pooler it is also sent with each BEGIN of a transaction that may write. Behind a pooler,
        OperatorError is raised if the login is not the role itself, or if sessions begin with a wrong search_path or timezone.
        """
        constants = {
            "search_path": f"{schema}, pg_temp",
            "timezone": "UTC",
            # For reads that are sent alone (tenancy/direct.py); transactions set it back to `auto`.
            "plan_cache_mode": "force_generic_plan",
            **dict(limits.timeouts()),
        }
        async for attempt in connecting(limits.connect_attempts):
            with attempt:
                try:
                    info = await _look(address, limits, name, constants)
                    options = address.asyncpg_options(application_name=name, **({} if info.has_pooler else constants))
                    raw = await asyncpg.create_pool(
                        address.url, min_size=limits.minimum, max_size=limits.maximum,
                        max_inactive_connection_lifetime=limits.idle_timeout, timeout=limits.connect_timeout,
                        command_timeout=limits.query_timeout, connection_class=_PlainConnection,
                        statement_cache_size=1024 if info.keeps_statements else 0, max_cached_statement_lifetime=0,
                        init=functools.partial(_announce, greeting), **options,
                    )  # fmt: skip
                except OperatorError:
                    raise
                except Exception as error:
                    raise translate(error, connection_lost=True) from error
        pool = cls(raw, limits, observe=observe, info=info, greeting=greeting, name=name)
        try:
            yield pool
        finally:
            await pool._close()

    @property
    def greets_transactions(self) -> bool:
        """Whether the greeting (see `open`) is also sent with BEGIN in each transaction that may write."""
        return self._greeting is not None

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection that is released when the block ends. Raises PoolExhausted or Unavailable."""
        connection = await self.acquire()
        try:
            yield connection
        finally:
            await self.release(connection)

    async def acquire(self) -> Connection:
        """Take a connection from the pool; `release` returns it to the pool. Raises PoolExhausted or Unavailable."""
        raw = self._held.take()
        if raw is None:
            raw = await self._wait()
        else:
            POOL_WAITED.observe(0.0)
        POOL_IN_USE.inc()
        self._has_recovered()
        self._current.add(raw)
        return Connection(raw, self.outcome, self.observe, self._greeting)

    async def _wait(self) -> Any:
        began = perf_counter()
        POOL_WAITING.inc()
        try:
            async with asyncio.timeout(self.limits.acquire_timeout) as patience:
                raw = await self._held.wait()
        except Exception as error:
            if isinstance(error, TimeoutError) and patience.expired():
                raise PoolExhausted from error
            self._has_lost(error)
            raise translate(error, connection_lost=True) from error
        finally:
            POOL_WAITING.dec()
        POOL_WAITED.observe(perf_counter() - began)
        return raw

    async def release(self, connection: Connection) -> None:
        """Return a connection to the pool. If a transaction is still open on the connection, the connection is closed."""
        connection.forget()
        POOL_IN_USE.dec()
        raw = connection.raw
        is_current = raw in self._current
        self._current.discard(raw)
        if is_current and not connection.was_interrupted and not connection.is_closed():
            self._held.keep(raw)
        else:
            await self._held.give_back(raw)
        if connection.has_refused_writes:
            log.warning("session_read_only", pool=self._name)
            await self.renew()

    async def _release_raw(self, raw: Any) -> None:
        try:
            await self.raw.release(raw, timeout=COMMIT_GRACE)
        except Exception:
            # The pool has closed the connection. This error is only logged, so that callers get the outcome of the transaction.
            log.debug("release_failed", exc_info=True)

    async def renew(self) -> None:
        """Replace all connections: idle ones when they are next acquired, those in use when they are released."""
        self._current.clear()
        await self.raw.expire_connections()
        await self._held.give_back_free()

    @property
    def idle(self) -> int:
        """The number of connections that nobody uses."""
        return int(self.raw.get_idle_size()) + len(self._held)

    async def _close(self) -> None:
        """Wait up to COMMIT_GRACE seconds until all connections are released; then close those that are still in use."""
        self._current.clear()
        try:
            async with asyncio.timeout(COMMIT_GRACE):
                await self._held.give_back_free()
                await self.raw.close()
        except TimeoutError:
            self.raw.terminate()

    def _has_lost(self, error: Exception) -> None:
        if not self._is_down:
            self._is_down = True
            CONNECTIONS.labels(event="lost").inc()
            log.warning("database_lost", pool=self._name, error=str(error))

    def _has_recovered(self) -> None:
        if self._is_down:
            self._is_down = False
            CONNECTIONS.labels(event="recovered").inc()
            log.warning("database_recovered", pool=self._name)

    async def outcome(self, commit: Numbered) -> str | None:
        """Ask the server for the outcome of `commit`: `committed`, `aborted`, or None after _OUTCOME_GRACE seconds."""
        values = (commit.tenant, commit.number, str(commit.xid), commit.at)
        try:
            async with asyncio.timeout(_OUTCOME_GRACE):
                while True:
                    with contextlib.suppress(DatabaseError):
                        async with self.connection() as connection:
                            status = await connection.fetchval(_OUTCOME, values)
                        if status in ("committed", "aborted"):
                            return str(status)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            return None


async def _look(address: Address, limits: PoolLimits, name: str, constants: Mapping[str, str]) -> PoolerInfo:
    """Connect once, without the options that poolers refuse, to find out whether a pooler is between this process and the server.

    Raises OperatorError if sessions behind the pooler would have the wrong role, search_path or timezone.
    """
    options = replace(address, role=None).asyncpg_options(application_name=name)
    connection = await asyncpg.connect(
        address.url, timeout=limits.connect_timeout, command_timeout=limits.connect_timeout, statement_cache_size=0,
        **options,
    )  # fmt: skip
    try:
        if not await pooler.is_between(connection):
            return _DIRECT
        if address.role is not None:
            raise OperatorError(f"behind a pooler this login can't become {address.role}", pooler.remedy(address.role))
        differing = await pooler.differing(connection, constants)
        pooler.require_constants(differing)
        if endless := sorted(name for name, value in differing.items() if value == "0"):
            log.warning("endless_behind_pooler", settings=endless, remedy="run `quarry db roles`")
        return PoolerInfo(has_pooler=True, keeps_statements=await pooler.keeps_statements(connection))
    finally:
        connection.terminate()


async def _announce(greeting: str | None, raw: Any) -> None:
    if greeting is not None:
        # Before the first migration, the function that the greeting calls does not exist. That is no error.
        with contextlib.suppress(asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError):
            await raw.execute(greeting)
    await temporal.register(raw)
    pid = raw.get_server_pid()
    raw.add_termination_listener(functools.partial(_ended, pid))
    CONNECTIONS.labels(event="connected").inc()
    log.debug("connected", pid=pid)


def _ended(pid: int, _: object) -> None:
    CONNECTIONS.labels(event="ended").inc()
    log.debug("disconnected", pid=pid)
