"""Work: one transaction, its tenant, the repositories on it. `run` is the one place that repeats work."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar
from uuid import UUID

import structlog

from service.cache.cache import Reading
from service.database.connection import Connection, Late, Statements
from service.database.pool import Database
from service.database.retries import repeated
from service.database.savepoints import Savepoints
from service.repos.api_keys import ApiKeys
from service.repos.brands import Brands
from service.repos.campaign_influencers import CampaignInfluencers
from service.repos.campaigns import Campaigns
from service.repos.change_tickets import ChangeTickets
from service.repos.contents import Contents
from service.repos.cursors import Cursors
from service.repos.idempotency_keys import IdempotencyKeys
from service.repos.influencers import Influencers
from service.repos.log import Log
from service.repos.niches import Niches
from service.repos.otps import Otps
from service.repos.server import Server
from service.repos.sessions import Sessions
from service.repos.sign_in_failures import SignInFailures
from service.repos.tenants import Tenants
from service.repos.users import Users
from service.statements.repository import Repository
from service.tenancy import binding
from service.tenancy.binding import Binding, Isolation
from service.tenancy.identity import Actor, Origin, TenantId

T = TypeVar("T")
R = TypeVar("R", bound=Repository)
Callback = Callable[["Work"], Awaitable[None]]

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.work")


class Attached(Generic[R]):
    """A repository on the work's transaction, made when it is first asked for."""

    def __init__(self, repository: type[R]) -> None:
        self.repository = repository

    def __set_name__(self, owner: type[Work], name: str) -> None:
        self._name = name

    def __get__(self, work: Work, owner: type[Work]) -> R:
        repository = work.__dict__[self._name] = self.repository(work.binding)
        return repository


class Work:
    """One transaction: `async with Work(database, tenant) as work: campaign = await work.campaigns.find(id)`.

    Commits when the block ends, undoes everything when it raises. `tenant` is explicit; None is for work that belongs
    to no tenant (finding one, shared data, the platform).
    """

    api_keys = Attached(ApiKeys)
    brands = Attached(Brands)
    campaign_influencers = Attached(CampaignInfluencers)
    campaigns = Attached(Campaigns)
    change_tickets = Attached(ChangeTickets)
    contents = Attached(Contents)
    cursors = Attached(Cursors)
    idempotency_keys = Attached(IdempotencyKeys)
    influencers = Attached(Influencers)
    log = Attached(Log)
    niches = Attached(Niches)
    otps = Attached(Otps)
    server = Attached(Server)
    sessions = Attached(Sessions)
    sign_in_failures = Attached(SignInFailures)
    tenants = Attached(Tenants)
    users = Attached(Users)

    def __init__(
        self,
        database: Database,
        tenant: TenantId | None,
        *,
        origin: Origin | None = None,
        actor: Actor | None = None,
        read_only: bool = False,
        isolation: Isolation = "read committed",
        statement_timeout: float | None = None,
        at_least: int = 0,
        may_lag: bool = False,
    ) -> None:
        """`at_least` is a number of the tenant that has to be in what is read, from the cache too. Read-only work that
        `may_lag` reads from a replica where there are some: what was there a second ago, and all that this process wrote.
        """
        self.database = database
        self.tenant = tenant
        self.actor = actor
        self.attempt = 1
        self.number: int | None = None
        """After commit: the number that this tenant's commit got; None when it changed nothing."""
        self.reading: Reading | None = None
        """The cache as this work reads it; None when it may write, or wants one snapshot for all that it reads."""
        self._begin = binding.begin(
            tenant, origin or Origin(), read_only=read_only, isolation=isolation, statement_timeout=statement_timeout
        )
        self._read_only = read_only
        self._may_be_cached = read_only and tenant is not None and isolation == "read committed"
        self._may_lag = may_lag and self._may_be_cached and database.replicas is not None
        self._at_least = at_least
        self._pool = database
        self._connection: Connection | None = None
        self._callbacks: list[Callback] = []

    async def __aenter__(self) -> Self:
        cache = self.database.cache
        # What a replica has told may be in the cache too; asked again, it is the primary that answers.
        is_asked_again = self._may_lag and not self.may_be_behind
        if cache is not None and self._may_be_cached and self.tenant is not None and not is_asked_again:
            self.reading = Reading(cache, self.tenant, self._at_least)
            statements: Statements = Late(self._open, self.database.observe)
        else:
            statements = await self._open()
        self._savepoints = Savepoints(statements)
        self.binding = Binding(statements, self.tenant, self.database.keyring, self.reading)
        return self

    @property
    def may_be_behind(self) -> bool:
        """Whether what is read may be a moment old; it is not when `run` repeats the work, as it does after Behind."""
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
        self._pool, self._connection = begun.database, begun.connection
        return begun.connection

    async def _open_on_primary(self) -> Connection:
        connection = await self.database.acquire()
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
                # The work is committed: a callback's failure can't undo it and must not look as if it had.
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
        """The connection itself, for what is no statement of a repository; work that reads the cache may have none."""
        if self._connection is None:
            raise RuntimeError("this work has not needed a connection yet")
        return self._connection

    def savepoint(self, name: str) -> contextlib.AbstractAsyncContextManager[None]:
        """A nested transaction: undone by itself if its block raises. At most 60 in one piece of work."""
        return self._savepoints.open(name)

    def on_commit(self, callback: Callback) -> None:
        """Call `callback(work)` once the commit is known to have happened; never after a rollback."""
        self._callbacks.append(callback)


async def run(
    database: Database,
    operation: Callable[[Work], Awaitable[T]],
    tenant: TenantId | None,
    *,
    attempts: int = 3,
    deadline: float = 30.0,
    origin: Origin | None = None,
    actor: Actor | None = None,
    read_only: bool = False,
    isolation: Isolation = "read committed",
    statement_timeout: float | None = None,
    at_least: int = 0,
    may_lag: bool = False,
) -> T:
    """Run `operation` as one piece of work and repeat it, from the start, after a failure that left nothing behind:
    contention, a stale plan, a connection lost before COMMIT. `operation` may therefore be called again.

    A serializable write conflicts with every concurrent commit of its tenant, because they all raise one counter: use
    read committed with row locks and version predicates for writes, and the higher levels for reading.
    """
    if isolation == "serializable" and not read_only:
        log.warning("serializable_write", remedy="use read committed with version predicates")

    async def once(attempt: int) -> T:
        work = Work(
            database, tenant, origin=origin, actor=actor, read_only=read_only, isolation=isolation,
            statement_timeout=statement_timeout, at_least=at_least, may_lag=may_lag,
        )  # fmt: skip
        work.attempt = attempt
        async with work:
            return await operation(work)

    return await repeated(once, attempts=attempts, deadline=deadline)
