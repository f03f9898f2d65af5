"""Transaction: one transaction, bound to its tenant. `Transaction.run` is the only place where transactions are repeated."""

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
from service.tenancy.identity import Actor, Origin, TenantId

T = TypeVar("T")

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.work")


class Options(TypedDict, total=False):
    """How a transaction runs.

    `at_least` is the number of a commit that every read must include, whether from the cache or not. With `may_lag`, a
    read-only transaction reads from a replica if there is one: the data that it reads is at most a second old, and includes
    all commits of this process. `statement_timeout` is in seconds; None keeps the timeout of the role.
    """

    origin: Origin | None
    actor: Actor | None
    read_only: bool
    isolation: IsolationLevel
    statement_timeout: float | None
    at_least: int
    may_lag: bool


class Transaction:
    """One transaction, with the binding that statements run on: `async with Transaction(database, tenant) as transaction: …`.

    It commits when the block ends, and rolls back if the block raises. `tenant` has no default. None is for
    work without a tenant: finding a tenant, shared data, the platform. A service adds its repositories in a subclass.
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
    ) -> None:
        """`Options` explains the options. `attempt` is 1; when `run` repeats the work, it is 2, and so on."""
        self.database = database
        self.tenant = tenant
        self.actor = actor
        self.attempt = attempt
        self.number: int | None = None
        """The number of the commit in the tenant's log; None before the commit, and if the transaction changed nothing."""
        self.reading: Reading | None = None
        """The cache for this transaction's reads, None if it uses no cache.

        A transaction does not use the cache if it may write, has no tenant, or needs one snapshot for all reads.
        """
        self._begin = binding.begin(
            tenant, origin or Origin(), read_only=read_only, isolation=isolation, statement_timeout=statement_timeout
        )
        self._read_only = read_only
        self._may_be_cached = read_only and tenant is not None and isolation == "read committed"
        self._may_lag = may_lag and self._may_be_cached and database.replicas is not None
        self._at_least = at_least
        self._pool = database.pool
        self._connection: Connection | None = None
        self._callbacks: list[Callable[[Any], Awaitable[None]]] = []

    async def __aenter__(self) -> Self:
        cache = self.database.cache
        # A repeated transaction reads from the primary and not from the cache, which may contain results read from a replica.
        is_asked_again = self._may_lag and not self.may_be_behind
        if cache is not None and self._may_be_cached and self.tenant is not None and not is_asked_again:
            self.reading = Reading(cache, self.tenant, self._at_least)
            executor: Executor = LazyConnection(self._open, self.database.pool.observe)
        else:
            executor = await self._open()
        self._savepoints = Savepoints(executor)
        self.binding = Binding(executor, self.tenant, self.database.keyring, self.reading)
        return self

    @property
    def may_be_behind(self) -> bool:
        """Whether reads may go to a replica, which may be a moment behind. If `run` repeats the work, they do not."""
        return self._may_lag and self.attempt == 1

    async def _open(self) -> Connection:
        return await self._open_on_replica() or await self._open_on_primary()

    async def _open_on_replica(self) -> Connection | None:
        replicas = self.database.replicas
        if not self.may_be_behind or self.tenant is None or replicas is None:
            return None
        begun = await replicas.begin(self.tenant, self._begin, self._at_least)
        if begun is None:
            return None
        if self.reading is not None:
            self.reading.pin(begun.epoch, begun.number, begun.shared_number)
        self._pool, self._connection = begun.pool, begun.connection
        return begun.connection

    async def _open_on_primary(self) -> Connection:
        connection = await self._pool.acquire()
        try:
            await connection.begin(self._begin, is_numbered=not self._read_only)
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
                # The transaction is committed. A callback's error does not change that, so it is logged and not raised.
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
        """The connection itself, for SQL outside the repositories. Raises RuntimeError if no statement has opened it yet."""
        if self._connection is None:
            raise RuntimeError("this work has not needed a connection yet")
        return self._connection

    def savepoint(self, name: str) -> contextlib.AbstractAsyncContextManager[None]:
        """A nested transaction: only its own changes are rolled back if its block raises. At most 60 per transaction."""
        return self._savepoints.open(name)

    def on_commit(self, callback: Callable[[Self], Awaitable[None]]) -> None:
        """Call `callback(work)` once the commit is known to have happened; never after a rollback."""
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
        """Run `operation` in one transaction. After a failure that changed nothing, repeat the transaction from the start.

        Such failures are contention, a stale plan and a connection lost before COMMIT. `operation` may be called several times.

        A serializable write conflicts with every concurrent commit of its tenant, because each commit increments the tenant's
        counter. So use read committed, row locks and version predicates for writes, and higher isolation levels only for reads.
        """
        if options.get("isolation") == "serializable" and not options.get("read_only"):
            log.warning("serializable_write", remedy="use read committed with version predicates")

        async def once(attempt: int) -> T:
            async with cls(database, tenant, attempt=attempt, **options) as transaction:
                return await operation(transaction)

        return await repeated(once, attempts=attempts, deadline=deadline)
