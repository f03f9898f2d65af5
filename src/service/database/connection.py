"""A connection from the pool. It sends statements, translates errors, and finds out if a COMMIT without a reply succeeded."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import asyncpg
import structlog

from service.database.held import is_closed
from service.database.translation import translate
from service.errors import CommitUnknown, SessionReadOnly, TransactionAborted, Unavailable
from service.metrics import COMMITS_UNKNOWN, DATABASE_REFUSED, Observer

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.connection")

_NUMBERED = re.compile(r"commit (\S+) (\d+) (\d+) (\d+)\Z")
_NUMBERED_STATE = "TN900"
COMMIT_GRACE = 2.0
"""How many seconds a ROLLBACK, or a COMMIT whose task was cancelled, may still take before the connection is closed."""


class Numbered(NamedTuple):
    """A commit of a tenant, and its number in the tenant's log. During COMMIT the server sends these values in an INFO message.

    The message has the SQLSTATE TN900. `xid` is the transaction's id, `at` is app.commits.at in microseconds since 1970.
    """

    tenant: str
    number: int
    xid: int
    at: int


class Connection:
    """A connection from the pool. It runs statements, and raises errors of asyncpg and PostgreSQL as ServiceErrors."""

    __slots__ = (
        "_ask_outcome", "_commits", "_greeting", "_has_begun", "_is_numbered", "_raw", "has_refused_writes",
        "observe", "was_interrupted",
    )  # fmt: skip

    observe: Observer | None
    """A function that is called after each named statement with its name, seconds and row count; None for no function."""

    def __init__(
        self,
        raw: Any,
        ask_outcome: Callable[[Numbered], Awaitable[str | None]],
        observe: Observer | None = None,
        greeting: str | None = None,
    ) -> None:
        """`ask_outcome` asks the server whether a commit succeeded (see Pool.outcome).

        `greeting` is a statement that is sent in one message with BEGIN, in transactions that may write.
        """
        self._raw = raw
        self.was_interrupted = False
        """Whether a statement outside a transaction was cancelled, so that the server may still be about to cancel it."""
        self._greeting = greeting
        self._ask_outcome = ask_outcome
        self._commits: list[Numbered] = []
        self._has_begun = False
        self._is_numbered = False
        self.has_refused_writes = False
        """Whether the server refused a write on this connection because the session is read-only.

        A session that began while default_transaction_read_only was on stays read-only, even if the setting is off now.
        """
        self.observe = observe

    @property
    def raw(self) -> Any:
        """The asyncpg connection, for code that needs methods of asyncpg which this class lacks."""
        return self._raw

    def is_closed(self) -> bool:
        """Whether the connection has been closed or lost."""
        return is_closed(self._raw)

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open on this connection."""
        return not self.is_closed() and bool(self._raw.is_in_transaction())

    async def fetch(self, text: str, values: Sequence[object]) -> list[Any]:
        """Run the statement `text` with the parameters `values`; returns all rows."""
        try:
            return await self._raw.fetch(text, *values)  # type: ignore[no-any-return]
        except Exception as error:
            raise self._translated(error, text) from error

    async def fetchrow(self, text: str, values: Sequence[object]) -> Any | None:
        """Run a statement; returns its first row, or None if it returns no row."""
        try:
            return await self._raw.fetchrow(text, *values)
        except Exception as error:
            raise self._translated(error, text) from error

    async def fetchval(self, text: str, values: Sequence[object]) -> Any | None:
        """Run a statement; returns the first column of its first row, or None if it returns no row."""
        try:
            return await self._raw.fetchval(text, *values)
        except Exception as error:
            raise self._translated(error, text) from error

    async def execute(self, text: str, values: Sequence[object] = ()) -> str:
        """Run a statement; without `values`, `text` may contain several statements. Returns the command tag of the last one."""
        try:
            return await self._raw.execute(text, *values)  # type: ignore[no-any-return]
        except Exception as error:
            raise self._translated(error, text) from error

    async def fetch_alone(self, text: str, values: Sequence[object]) -> list[Any]:
        """Like `fetch`, for a statement outside a transaction."""
        try:
            return await self.fetch(text, values)
        except asyncio.CancelledError:
            self.was_interrupted = True
            raise

    async def begin(self, text: str, *, is_numbered: bool = True) -> None:
        """Send the message `text`, which begins a transaction. The connection must not be in a transaction already.

        A read-only transaction (`is_numbered=False`) gets no commit number. So no listener for the message with the number is
        added, and the greeting (see `__init__`) is not sent.
        """
        if self.is_in_transaction():
            self.abandon()
            raise Unavailable("a connection was handed out inside a transaction; it has been closed")
        self._is_numbered = is_numbered
        if is_numbered:
            try:
                self._raw.add_log_listener(self._note)
            except asyncpg.InterfaceError as error:
                # The connection was lost, and the pool has already detached it.
                raise self._translated(error) from error
            if self._greeting is not None:
                text = f"{text};{self._greeting}"
        self._has_begun = True
        await self.execute(text)

    async def commit(self, before: str = "") -> dict[str, int]:
        """Commit. Returns a dictionary: the id of each tenant whose recorded data were changed, and the number of its commit.

        `before` contains SET statements that are sent in one message with COMMIT. If the task is cancelled, COMMIT is awaited
        for up to COMMIT_GRACE seconds, then CancelledError is raised again. Raises TransactionAborted if the server replied
        ROLLBACK. If the connection is lost: returns if COMMIT succeeded, raises Unavailable if not, CommitUnknown if unknown.
        """
        try:
            sending = self._raw.execute(f"{before}COMMIT")
        except asyncpg.InterfaceError as error:
            # COMMIT was not sent: the connection was lost before, and the pool has already detached it.
            raise self._translated(error) from error
        task = asyncio.ensure_future(sending)
        try:
            tag = await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._finish(task)
            raise
        except Exception as error:
            if _is_of_server(error):
                raise self._translated(error) from error
            # Any other error, even a FATAL one, leaves the outcome open: COMMIT may have succeeded before the error occurred.
            self.abandon()
            await self._resolve(error)
            tag = "COMMIT"
        self._has_begun = False
        if tag != "COMMIT":
            raise TransactionAborted
        return {commit.tenant: commit.number for commit in self._commits}

    async def end(self) -> None:
        """Commit a read-only transaction. It changed nothing, so COMMIT is not protected from a cancellation of the task."""
        tag = await self.execute("COMMIT")
        self._has_begun = False
        if tag != "COMMIT":
            raise TransactionAborted

    async def rollback(self) -> None:
        """Roll the transaction back, even if the task is cancelled meanwhile. If ROLLBACK fails, close the connection."""
        # is_in_transaction() can't be used: it may be false while a cancelled BEGIN is still on its way to the server.
        if not self._has_begun or self.is_closed():
            return
        self._has_begun = False
        task = asyncio.ensure_future(self._raw.execute("ROLLBACK"))
        # The task may fail after the timeout below. Its exception is retrieved here, because otherwise asyncio logs it.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        try:
            async with asyncio.timeout(COMMIT_GRACE):
                await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._finish(task)
            raise
        except Exception:
            # Only logged: the caller raises the error that caused the rollback. A server rolls back lost connections by itself.
            log.debug("rollback_failed", exc_info=True)
            self.abandon()

    def forget(self) -> None:
        """Prepare this connection for its return to the pool: remove the listener; close it if a transaction is open."""
        if self._is_numbered:
            with contextlib.suppress(asyncpg.InterfaceError):
                self._raw.remove_log_listener(self._note)
        if self.is_in_transaction():
            self.abandon()

    def abandon(self) -> None:
        """Close the connection at once, without a message to the server. The pool later opens another one in its place."""
        with contextlib.suppress(asyncpg.InterfaceError):
            self._raw.terminate()

    def _note(self, _: object, message: Any) -> None:
        if message.sqlstate == _NUMBERED_STATE and (match := _NUMBERED.match(message.message)):
            tenant, *numbers = match.groups()
            self._commits.append(Numbered(tenant, *map(int, numbers)))

    def _translated(self, error: Exception, text: str = "") -> Exception:
        known = translate(error, connection_lost=self.is_closed(), only_removes=_only_removes(text))
        if known is error:
            # The error is of an unknown kind, so the state of this connection is unknown too. The pool will open a new one.
            self.abandon()
        if isinstance(known, Unavailable | SessionReadOnly) and (state := getattr(error, "sqlstate", None)):
            DATABASE_REFUSED.labels(sqlstate_class=state[:2]).inc()
            log.warning("database_refused", sqlstate=state)
        if isinstance(known, SessionReadOnly):
            self.has_refused_writes = True
            self.abandon()
        return known

    async def _finish(self, task: asyncio.Future[Any]) -> None:
        _, running = await asyncio.wait({task}, timeout=COMMIT_GRACE)
        if running:
            task.cancel()
            self.abandon()
        elif not task.cancelled() and task.exception():
            self.abandon()

    async def _resolve(self, error: Exception) -> None:
        """Find out whether COMMIT succeeded, after the connection was lost during COMMIT. Returns only if it did.

        The server can be asked only if its message with the commit number arrived before. Raises Unavailable if the
        transaction was not committed, CommitUnknown if the outcome could not be found out.
        """
        outcome = await self._ask_outcome(self._commits[0]) if self._commits else None
        log.warning("commit_lost", outcome=outcome or "unknown", error=str(error))
        if outcome == "aborted":
            raise Unavailable from error
        if outcome != "committed":
            COMMITS_UNKNOWN.inc()
            raise CommitUnknown from error


def row_count(tag: str) -> int:
    """The number of rows in a command tag such as `UPDATE 3`."""
    return int(tag.rpartition(" ")[2])


def _only_removes(text: str) -> bool:
    """Whether a statement deletes rows and inserts none. It can violate a foreign key only if rows refer to the deleted ones."""
    return "DELETE FROM" in text and "INSERT INTO" not in text


def _is_of_server(error: Exception) -> bool:
    """Whether an error of COMMIT shows that nothing was committed: it comes from the server, with the severity ERROR.

    Errors whose SQLSTATE is of class 08 do not count, because a pooler may have sent them.
    """
    return (
        isinstance(error, asyncpg.PostgresError)
        and error.severity_en == "ERROR"
        and not (error.sqlstate or "").startswith("08")
    )
