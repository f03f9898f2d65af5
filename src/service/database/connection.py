"""A connection from the pool: it sends statements, translates errors, commits, and finds out the outcome of a commit."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import asyncpg
import structlog

from service.database.translation import translate
from service.errors import CommitUnknown, SessionReadOnly, TransactionAborted, Unavailable
from service.metrics import COMMITS_UNKNOWN, DATABASE_REFUSED, Observer

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.connection")

_NUMBERED = re.compile(r"commit (\S+) (\d+) (\d+) (\d+)\Z")
_NUMBERED_STATE = "TN900"
COMMIT_GRACE = 2.0
"""How many seconds to wait for a cancelled COMMIT or a ROLLBACK to end, before the connection is closed."""


class Numbered(NamedTuple):
    """A numbered commit. During COMMIT the server sends these values in an INFO message with the SQLSTATE TN900.

    `at` is the value of app.commits.at in microseconds since 1970.
    """

    tenant: str
    number: int
    xid: int
    at: int


class Connection:
    """A connection from the pool. It runs statements and translates errors of asyncpg and PostgreSQL into ServiceErrors."""

    __slots__ = (
        "_ask_outcome", "_commits", "_greeting", "_has_begun", "_is_numbered", "_raw", "has_refused_writes", "observe",
    )  # fmt: skip

    observe: Observer | None
    """Called with the name, the duration in seconds and the row count of each named statement; None if none are observed."""

    def __init__(
        self,
        raw: Any,
        ask_outcome: Callable[[Numbered], Awaitable[str | None]],
        observe: Observer | None = None,
        greeting: str | None = None,
    ) -> None:
        """`greeting` is a statement that is added to the message that begins a transaction, if the transaction may write."""
        self._raw = raw
        self._greeting = greeting
        self._ask_outcome = ask_outcome
        self._commits: list[Numbered] = []
        self._has_begun = False
        self._is_numbered = False
        self.has_refused_writes = False
        """Whether the server refused a write because this session is read-only.

        A session stays read-only if it was opened while default_transaction_read_only was on.
        """
        self.observe = observe

    @property
    def raw(self) -> Any:
        """The asyncpg connection, for uses other than named statements: set-up, tests, probes."""
        return self._raw

    def is_closed(self) -> bool:
        """Whether the connection has been closed or lost."""
        try:
            return bool(self._raw.is_closed())
        except asyncpg.InterfaceError:
            # asyncpg raises this error when its pool has already detached a lost connection.
            return True

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open on this connection."""
        return not self.is_closed() and bool(self._raw.is_in_transaction())

    async def fetch(self, text: str, values: Sequence[object]) -> list[Any]:
        """All rows of one statement."""
        try:
            return await self._raw.fetch(text, *values)  # type: ignore[no-any-return]
        except Exception as error:
            raise self._translated(error, text) from error

    async def fetchrow(self, text: str, values: Sequence[object]) -> Any | None:
        """The first row of one statement, or None."""
        try:
            return await self._raw.fetchrow(text, *values)
        except Exception as error:
            raise self._translated(error, text) from error

    async def fetchval(self, text: str, values: Sequence[object]) -> Any | None:
        """The first column of the first row, or None."""
        try:
            return await self._raw.fetchval(text, *values)
        except Exception as error:
            raise self._translated(error, text) from error

    async def execute(self, text: str, values: Sequence[object] = ()) -> str:
        """Run one statement, or several in one message if there are no values; returns the command tag of the last."""
        try:
            return await self._raw.execute(text, *values)  # type: ignore[no-any-return]
        except Exception as error:
            raise self._translated(error, text) from error

    async def begin(self, text: str, *, is_numbered: bool = True) -> None:
        """Send the message `text`, which begins a transaction. The connection must not be in a transaction already.

        `is_numbered=False` is for read-only transactions. They get no commit number, so no log listener is added, and the
        greeting is not sent.
        """
        if self.is_in_transaction():
            self.abandon()
            raise Unavailable("a connection was handed out inside a transaction; it has been closed")
        self._is_numbered = is_numbered
        if is_numbered:
            self._raw.add_log_listener(self._note)
            if self._greeting is not None:
                text = f"{text};{self._greeting}"
        self._has_begun = True
        await self.execute(text)

    async def commit(self, before: str = "") -> dict[str, int]:
        """Commit; returns the commit number of each tenant whose rows were changed.

        `before` contains SET statements that are sent in one message with COMMIT. A cancellation does not interrupt COMMIT: the
        server has COMMIT_GRACE seconds to end it, then CancelledError is raised again. Raises TransactionAborted if the server
        answered COMMIT with ROLLBACK, CommitUnknown if the connection was lost and the outcome could not be found out.
        """
        try:
            sending = self._raw.execute(f"{before}COMMIT")
        except asyncpg.InterfaceError as error:
            # The connection was lost and the pool has already detached it, so COMMIT was never sent.
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
            # After any other error, even a FATAL one, the outcome is unknown: the commit may have succeeded before the error.
            self.abandon()
            await self._resolve(error)
            tag = "COMMIT"
        self._has_begun = False
        if tag != "COMMIT":
            raise TransactionAborted
        return {commit.tenant: commit.number for commit in self._commits}

    async def end(self) -> None:
        """Commit a read-only transaction. Nothing depends on the outcome, so a cancellation may interrupt this COMMIT."""
        tag = await self.execute("COMMIT")
        self._has_begun = False
        if tag != "COMMIT":
            raise TransactionAborted

    async def rollback(self) -> None:
        """Roll the transaction back; close the connection if that fails. A cancellation does not interrupt the ROLLBACK."""
        # A cancelled BEGIN may still reach the server, so is_in_transaction() is not reliable: `_has_begun` is checked instead.
        if not self._has_begun or self.is_closed():
            return
        self._has_begun = False
        task = asyncio.ensure_future(self._raw.execute("ROLLBACK"))
        # The task may fail after the timeout below. Retrieve its exception, so that asyncio logs no warning.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        try:
            async with asyncio.timeout(COMMIT_GRACE):
                await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._finish(task)
            raise
        except Exception:
            # The caller raises the error that caused the rollback. If the connection is lost, the server rolls back by itself.
            log.debug("rollback_failed", exc_info=True)
            self.abandon()

    def forget(self) -> None:
        """Prepare the release to the pool: remove the log listener, and close the connection if a transaction is still open."""
        if self._is_numbered:
            with contextlib.suppress(asyncpg.InterfaceError):
                self._raw.remove_log_listener(self._note)
        if self.is_in_transaction():
            self.abandon()

    def abandon(self) -> None:
        """Close the connection at once; the pool opens a new one."""
        with contextlib.suppress(asyncpg.InterfaceError):
            self._raw.terminate()

    def _note(self, _: object, message: Any) -> None:
        if message.sqlstate == _NUMBERED_STATE and (match := _NUMBERED.match(message.message)):
            tenant, *numbers = match.groups()
            self._commits.append(Numbered(tenant, *map(int, numbers)))

    def _translated(self, error: Exception, text: str = "") -> Exception:
        known = translate(error, connection_lost=self.is_closed(), only_removes=_only_removes(text))
        if known is error:
            # An unexpected error: a new connection is safer than this one.
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
        """Find out the outcome of a COMMIT during which the connection was lost. Returns only if it succeeded.

        The server can be asked only if the commit's number has arrived. Raises Unavailable if the transaction was not
        committed, CommitUnknown if the outcome could not be found out.
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
    """Whether a statement deletes rows and inserts none. If it violates a foreign key, other rows refer to the deleted rows."""
    return "DELETE FROM" in text and "INSERT INTO" not in text


def _is_of_server(error: Exception) -> bool:
    """Whether the server itself raised the error, so that nothing was committed. An error of class 08 may be a pooler's."""
    return (
        isinstance(error, asyncpg.PostgresError)
        and error.severity_en == "ERROR"
        and not (error.sqlstate or "").startswith("08")
    )
