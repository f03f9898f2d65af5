"""Executor: the interface of objects that run statements. LazyConnection: connects when it runs its first statement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from service.database.connection import Connection
from service.metrics import Observer


class Executor(Protocol):
    """Runs statements: a connection, or an object that opens a connection when it needs one."""

    observe: Observer | None
    """Called with the name, the duration in seconds and the row count of each named statement; None if none are observed."""

    async def fetch(self, text: str, values: Sequence[object]) -> list[Any]:
        """All rows of one statement."""

    async def fetchrow(self, text: str, values: Sequence[object]) -> Any | None:
        """The first row of one statement, or None."""

    async def fetchval(self, text: str, values: Sequence[object]) -> Any | None:
        """The first column of the first row, or None."""

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open on the connection."""

    async def execute(self, text: str, values: Sequence[object] = ()) -> str:
        """Run one statement; returns its command tag."""


class LazyConnection:
    """A connection that the first statement opens. A transaction that finds all its results in the cache opens none."""

    __slots__ = ("_open", "connection", "observe")

    def __init__(self, open: Callable[[], Awaitable[Connection]], observe: Observer | None) -> None:
        self._open = open
        self.connection: Connection | None = None
        self.observe = observe

    async def fetch(self, text: str, values: Sequence[object]) -> list[Any]:
        """All rows of one statement."""
        return await (self.connection or await self._opened()).fetch(text, values)

    async def fetchrow(self, text: str, values: Sequence[object]) -> Any | None:
        """The first row of one statement, or None."""
        return await (self.connection or await self._opened()).fetchrow(text, values)

    async def fetchval(self, text: str, values: Sequence[object]) -> Any | None:
        """The first column of the first row, or None."""
        return await (self.connection or await self._opened()).fetchval(text, values)

    async def execute(self, text: str, values: Sequence[object] = ()) -> str:
        """Run one statement; returns its command tag."""
        return await (self.connection or await self._opened()).execute(text, values)

    def is_in_transaction(self) -> bool:
        """Whether a connection has been opened and a transaction is open on it."""
        return self.connection is not None and self.connection.is_in_transaction()

    async def _opened(self) -> Connection:
        self.connection = await self._open()
        return self.connection
