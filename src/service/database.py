"""The pool and the connection: send a statement, translate what goes wrong, commit and know the outcome."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import asyncpg
import structlog

from service.addresses import Address, PoolLimits
from service.errors import CommitUnknown, DatabaseError, PoolExhausted, TransactionAborted, Unavailable
from service.metrics import COMMITS_UNKNOWN, Observer
from service.retries import connecting
from service.translation import translate

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.database")

_NUMBERED = re.compile(r"commit (\S+) (\d+) (\d+)\Z")
_NUMBERED_STATE = "TN900"
_COMMIT_GRACE = 2.0
"""Seconds that a cancelled COMMIT, or a rollback, may still take before the connection is given up."""
_OUTCOME_GRACE = 5.0
"""Seconds spent asking the server for the outcome of a commit whose answer was lost."""


class _PlainConnection(asyncpg.Connection):
    """Without the reset query on release: bindings are transaction-local, and it costs as much as a statement."""

    __slots__ = ()

    def get_reset_query(self) -> str:
        """Nothing: an open transaction is still rolled back on release."""
        return ""


class Connection:
    """A checked-out connection. Statements go through it, and every failure leaves it as a ServiceError."""

    __slots__ = ("_commits", "_database", "_raw", "observe")

    observe: Observer | None
    """Told name, seconds and rows of every named statement, if anybody wants to know."""

    def __init__(self, database: Database, raw: Any) -> None:
        self._database = database
        self._raw = raw
        self._commits: list[tuple[str, int, int]] = []
        self.observe = database.observe

    @property
    def raw(self) -> Any:
        """The asyncpg connection, for what has no statement: set-up, tests, probes."""
        return self._raw

    def is_closed(self) -> bool:
        """Whether the connection is lost."""
        return bool(self._raw.is_closed())

    def is_in_transaction(self) -> bool:
        """Whether the server has a transaction open here."""
        return not self._raw.is_closed() and bool(self._raw.is_in_transaction())

    async def fetch(self, text: str, values: Sequence[object]) -> list[Any]:
        """All rows of one statement."""
        try:
            return await self._raw.fetch(text, *values)  # type: ignore[no-any-return]
        except Exception as error:
            raise self._translated(error) from error

    async def fetchrow(self, text: str, values: Sequence[object]) -> Any | None:
        """The first row of one statement, or None."""
        try:
            return await self._raw.fetchrow(text, *values)
        except Exception as error:
            raise self._translated(error) from error

    async def fetchval(self, text: str, values: Sequence[object]) -> Any | None:
        """The first column of the first row, or None."""
        try:
            return await self._raw.fetchval(text, *values)
        except Exception as error:
            raise self._translated(error) from error

    async def execute(self, text: str, values: Sequence[object] = ()) -> str:
        """Run one statement, or without values several in one message; answers the command tag of the last."""
        try:
            return await self._raw.execute(text, *values)  # type: ignore[no-any-return]
        except Exception as error:
            raise self._translated(error) from error

    async def begin(self, text: str) -> None:
        """Send the message that opens the transaction. The connection must not be inside one."""
        if self._raw.is_in_transaction():
            self._raw.terminate()
            raise Unavailable("a connection was handed out inside a transaction; it has been closed")
        self._raw.add_log_listener(self._note)
        await self.execute(text)

    async def commit(self, before: str = "") -> dict[str, int]:
        """Commit, after the SET statements in `before`; answers the number that each changed tenant's commit got.

        A cancellation does not interrupt it: the outcome is awaited for a moment, then the cancellation goes on.
        Raises TransactionAborted when COMMIT answered ROLLBACK, CommitUnknown when the connection was lost and the
        server could not be asked either.
        """
        task = asyncio.ensure_future(self._raw.execute(f"{before}COMMIT"))
        try:
            tag = await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._finish(task)
            raise
        except Exception as error:
            if isinstance(error, asyncpg.PostgresError) and error.severity_en == "ERROR":
                raise self._translated(error) from error
            # Anything else, a FATAL included, says nothing about the commit: it may have happened before.
            self._raw.terminate()
            await self._resolve(error)
            tag = "COMMIT"
        if tag != "COMMIT":
            raise TransactionAborted
        return {tenant: number for tenant, number, _ in self._commits}

    async def rollback(self) -> None:
        """Undo the transaction; a connection on which that fails is closed. Not interrupted by a cancellation."""
        if not self.is_in_transaction():
            return
        task = asyncio.ensure_future(self._raw.execute("ROLLBACK"))
        try:
            async with asyncio.timeout(_COMMIT_GRACE):
                await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._finish(task)
            raise
        except Exception:
            # The error that led here is the one to report; a server that is gone has rolled back by itself.
            log.debug("rollback_failed", exc_info=True)
            self._raw.terminate()

    def forget(self) -> None:
        """Before the connection goes back: this transaction's listener goes, and a doubtful connection is closed."""
        if self.is_closed():
            return
        self._raw.remove_log_listener(self._note)
        if self._raw.is_in_transaction():
            self._raw.terminate()

    def _note(self, _: object, message: Any) -> None:
        if message.sqlstate == _NUMBERED_STATE and (match := _NUMBERED.match(message.message)):
            self._commits.append((match.group(1), int(match.group(2)), int(match.group(3))))

    def _translated(self, error: Exception) -> Exception:
        return translate(error, connection_lost=self._raw.is_closed())

    async def _finish(self, task: asyncio.Future[Any]) -> None:
        _, running = await asyncio.wait({task}, timeout=_COMMIT_GRACE)
        if running:
            task.cancel()
            self._raw.terminate()
        elif not task.cancelled() and task.exception():
            self._raw.terminate()

    async def _resolve(self, error: Exception) -> None:
        """The connection was lost at COMMIT: ask for the outcome if the number's message told us the xid."""
        outcome = await self._database.outcome(self._commits[0][2]) if self._commits else None
        log.warning("commit_lost", outcome=outcome or "unknown", error=str(error))
        if outcome == "aborted":
            raise Unavailable from error
        if outcome != "committed":
            COMMITS_UNKNOWN.inc()
            raise CommitUnknown from error


class Database:
    """A pool of connections to one server as one role. Open it with `async with Database.open(…)`."""

    def __init__(self, pool: Any, limits: PoolLimits, observe: Observer | None = None) -> None:
        self.pool = pool
        self.limits = limits
        self.observe = observe

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
    ) -> AsyncIterator[Self]:
        """Connect, with retries while the server is not there yet. Raises Unavailable when it stays away."""
        constants = {
            "application_name": name,
            "search_path": f"{schema}, pg_temp",
            "timezone": "UTC",
            "statement_timeout": str(int(limits.statement_timeout * 1000)),
            "lock_timeout": str(int(limits.lock_timeout * 1000)),
            "idle_in_transaction_session_timeout": str(int(limits.idle_in_transaction_timeout * 1000)),
        }
        if address.role is not None:
            constants["role"] = address.role
        # asyncpg reads sslmode from the address only when `ssl` is left out altogether.
        extra: dict[str, Any] = {} if address.ssl is None else {"ssl": address.ssl}
        async for attempt in connecting(limits.connect_attempts):
            with attempt:
                try:
                    pool = await asyncpg.create_pool(
                        address.url, min_size=limits.minimum, max_size=limits.maximum,
                        max_inactive_connection_lifetime=limits.idle_timeout, timeout=limits.connect_timeout,
                        command_timeout=limits.query_timeout, connection_class=_PlainConnection,
                        statement_cache_size=1024, max_cached_statement_lifetime=0,
                        server_settings=constants, init=_announce, **extra,
                    )  # fmt: skip
                except Exception as error:
                    raise translate(error, connection_lost=True) from error
        try:
            yield cls(pool, limits, observe)
        finally:
            await _close(pool)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for the length of the block. Raises PoolExhausted or Unavailable."""
        try:
            raw = await self.pool.acquire(timeout=self.limits.acquire_timeout)
        except TimeoutError as error:
            raise PoolExhausted from error
        except Exception as error:
            raise translate(error, connection_lost=True) from error
        connection = Connection(self, raw)
        try:
            yield connection
        finally:
            try:
                connection.forget()
            finally:
                await self.pool.release(raw, timeout=_COMMIT_GRACE)

    async def outcome(self, xid: int) -> str | None:
        """`committed`, `aborted`, or None when the server can't be asked in time."""
        try:
            async with asyncio.timeout(_OUTCOME_GRACE):
                while True:
                    with contextlib.suppress(DatabaseError):
                        async with self.connection() as connection:
                            status = await connection.fetchval("SELECT pg_xact_status($1::text::xid8)", [str(xid)])
                        if status in ("committed", "aborted"):
                            return str(status)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            return None


async def _announce(raw: Any) -> None:
    raw.add_termination_listener(_lost)
    log.debug("connected", pid=raw.get_server_pid())


def _lost(raw: Any) -> None:
    log.debug("disconnected", pid=raw.get_server_pid())


async def _close(pool: Any) -> None:
    """Give running work a moment to end; then end it."""
    try:
        async with asyncio.timeout(_COMMIT_GRACE):
            await pool.close()
    except TimeoutError:
        pool.terminate()
