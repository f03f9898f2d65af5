"""The class Transaction: one transaction, bound to its tenant. Its method `run` repeats transactions after transient errors."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack
from uuid import UUID

import structlog

from service.cache.cache import Reading
from service.database.connection import Connection
from service.database.database import Database
from service.database.lazy_connection import Executor, LazyConnection
from service.database.retries import repeated
from service.database.savepoints import Savepoints
from service.tenancy import binding
from service.tenancy.binding import Binding, IsolationLevel
from service.tenancy.direct import DirectReads
from service.tenancy.identity import Actor, Origin, TenantId, as_uuid

T = TypeVar("T")

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.work")

_NOWHERE = Origin()


class Options(TypedDict, total=False):
    """The options of a transaction.

    All reads, also those from the cache or a replica, show the tenant's commits up to number `at_least`. With `may_lag`, a
    read-only transaction may run on a replica. Its data are then at most a second old, and include all commits of this process.
    `statement_timeout` is in seconds; None keeps the default of the connection. `origin` and `actor` are recorded in the log.
    With `is_direct`, the reads of a read-only transaction of a tenant are sent as single messages (direct.py), each with a
    snapshot of its own, and BEGIN is sent only for a statement that needs it.
    """

    origin: Origin | None
    actor: Actor | None
    read_only: bool
    isolation: IsolationLevel
    statement_timeout: float | None
    at_least: int
    may_lag: bool
    is_direct: bool


class Transaction:
    """One transaction, for use as `async with Transaction(database, tenant) as transaction: …`.

    The transaction is committed when the block ends, and rolled back if the block raises an exception. `tenant` has no default,
    so that it can't be forgotten. It is None for work without a tenant: to find a tenant, for shared data and for the platform.
    Subclasses add repositories (engine.py, work.py).
    """

    def __init__(
        self,
        database: Database,
        tenant: TenantId | None,
        *,
        attempt: int = 1,
        origin: Origin | None = None,
        actor: Actor | None = None,
        read_only: bool = False,
        isolation: IsolationLevel = "read committed",
        statement_timeout: float | None = None,
        at_least: int = 0,
        may_lag: bool = False,
        is_direct: bool = False,
    ) -> None:
        """`attempt` is 1, or a higher number if `run` repeats the work. The class Options explains the other options."""
        self.database = database
        self.tenant = tenant
        self.actor = actor
        self.attempt = attempt
        self.number: int | None = None
        """The number of the commit in the tenant's log; None before the commit, and if no recorded data were changed."""
        self.reading: Reading | None = None
        """The access to the cache for this transaction's reads; None if the transaction does not use the cache.

        It does not use the cache if it may write, has no tenant, or has a higher isolation level than read committed.
        """
        if tenant is not None:
            # What is no UUID is refused here, because BEGIN may never be sent.
            as_uuid(tenant)
        self._origin, self._isolation, self._statement_timeout = origin or _NOWHERE, isolation, statement_timeout
        self._read_only = read_only
        self._may_be_cached = read_only and tenant is not None and isolation == "read committed"
        self._may_lag = may_lag and self._may_be_cached and database.replicas is not None
        self._may_be_direct = is_direct and self._may_be_cached and not self._may_lag and statement_timeout is None
        self._at_least = at_least
        self._pool = database.pool
        self._connection: Connection | None = None
        self._callbacks: list[Callable[[Any], Awaitable[None]]] = []

    async def __aenter__(self) -> Self:
        cache = self.database.cache
        # A repeated transaction with `may_lag` uses the primary and no cache: cached results may come from a replica.
        is_asked_again = self._may_lag and not self.may_be_behind
        if cache is not None and self._may_be_cached and self.tenant is not None and not is_asked_again:
            self.reading = Reading(cache, self.tenant, self._at_least)
        direct = None
        if self._may_be_direct and self.tenant is not None and not self._pool.info.has_pooler:
            direct = DirectReads(self._pool, self.tenant)
        if self.reading is None and direct is None:
            executor: Executor = await self._open()
        else:
            executor = LazyConnection(self._open, self.database.pool.observe)
        self._savepoints = Savepoints(executor)
        self.binding = Binding(executor, self.tenant, self.database.keyring, self.reading, direct)
        return self

    @property
    def may_be_behind(self) -> bool:
        """Whether this transaction may run on a replica, which may be a moment behind. At a repetition by `run` it may not."""
        return self._may_lag and self.attempt == 1

    def _begin(self) -> str:
        return binding.begin(
            self.tenant, self._origin, read_only=self._read_only, isolation=self._isolation,
            statement_timeout=self._statement_timeout,
        )  # fmt: skip

    async def _open(self) -> Connection:
        return await self._open_on_replica() or await self._open_on_primary()

    async def _open_on_replica(self) -> Connection | None:
        replicas = self.database.replicas
        if not self.may_be_behind or self.tenant is None or replicas is None:
            return None
        begun = await replicas.begin(self.tenant, self._begin(), self._at_least)
        if begun is None:
            return None
        if self.reading is not None:
            self.reading.pin(begun.epoch, begun.number, begun.shared_number)
        self._pool, self._connection = begun.pool, begun.connection
        return begun.connection

    async def _open_on_primary(self) -> Connection:
        connection = await self._pool.acquire()
        try:
            await connection.begin(self._begin(), is_numbered=not self._read_only)
        except BaseException:
            await self._leave(connection)
            raise
        self._connection = connection
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._end(self._connection, is_undone=error is not None)
        if error is not None:
            return
        for callback in self._callbacks:
            try:
                await callback(self)
            except Exception:
                # The error of a callback is only logged, because the transaction is already committed.
                log.exception("on_commit_failed")

    async def _end(self, connection: Connection, *, is_undone: bool) -> None:
        try:
            if is_undone:
                return
            if self._read_only:
                await connection.end()
            else:
                numbers = await connection.commit(binding.attribution(self.actor))
                for tenant, number in numbers.items():
                    self.database.on_numbered(UUID(tenant), number)
                self.number = numbers.get(str(self.tenant))
        finally:
            await self._leave(connection)

    async def _leave(self, connection: Connection) -> None:
        try:
            await connection.rollback()
        finally:
            await self._pool.release(connection)

    @property
    def connection(self) -> Connection:
        """The connection, for SQL outside the repositories. Raises RuntimeError if no statement has run yet that opens it."""
        if self._connection is None:
            raise RuntimeError("this work has not needed a connection yet")
        return self._connection

    def savepoint(self, name: str) -> contextlib.AbstractAsyncContextManager[None]:
        """A savepoint. If its block raises, only the block's changes are rolled back. A transaction has at most 60."""
        return self._savepoints.open(name)

    def on_commit(self, callback: Callable[[Self], Awaitable[None]]) -> None:
        """Register a function that is called with this transaction after COMMIT has succeeded. Not called after a rollback."""
        self._callbacks.append(callback)

    @classmethod
    async def run(
        cls,
        database: Database,
        operation: Callable[[Self], Awaitable[T]],
        tenant: TenantId | None,
        *,
        attempts: int = 3,
        deadline: float = 30.0,
        **options: Unpack[Options],
    ) -> T:
        """Run `operation` in one transaction, and return its result. After a transient error, repeat it from the start.

        Transient errors (`retryable`) changed nothing; examples are Contention, StalePlan and Unavailable. So `operation` may be
        called up to `attempts` times. After `deadline` seconds the transaction is not repeated.

        A serializable transaction that writes conflicts with every concurrent commit of its tenant, because each commit
        increments a counter of the tenant. So use read committed for writes, with row locks and comparison of versions, and
        higher isolation levels only for reads.
        """
        if options.get("isolation") == "serializable" and not options.get("read_only"):
            log.warning("serializable_write", remedy="use read committed with version predicates")

        async def once(attempt: int) -> T:
            async with cls(database, tenant, attempt=attempt, **options) as transaction:
                return await operation(transaction)

        return await repeated(once, attempts=attempts, deadline=deadline)
