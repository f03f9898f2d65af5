"""Executor, the interface of objects that run statements; LazyConnection, an Executor that connects at its first statement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from service.database.connection import Connection
from service.metrics import Observer


class Executor(Protocol):
    """Runs statements. It is a Connection, or a LazyConnection, which opens a connection when the first statement is run."""

    observe: Observer | None
    """A function that is called after each named statement with its name, seconds and row count; None for no function."""

    async def fetch(self, text: str, values: Sequence[object]) -> list[Any]:
        """Run the statement `text` with the parameters `values`; returns all rows."""

    async def fetchrow(self, text: str, values: Sequence[object]) -> Any | None:
        """Run a statement; returns its first row, or None if it returns no row."""

    async def fetchval(self, text: str, values: Sequence[object]) -> Any | None:
        """Run a statement; returns the first column of its first row, or None if it returns no row."""

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open on the connection."""

    async def execute(self, text: str, values: Sequence[object] = ()) -> str:
        """Run a statement; returns its command tag, such as `UPDATE 3`."""


class LazyConnection:
    """A connection that is opened when the first statement is run. If all results are found in the cache, none is opened."""

    __slots__ = ("_open", "connection", "observe")

    def __init__(self, open: Callable[[], Awaitable[Connection]], observe: Observer | None) -> None:
        self._open = open
        self.connection: Connection | None = None
        self.observe = observe

    async def fetch(self, text: str, values: Sequence[object]) -> list[Any]:
        """Run the statement `text` with the parameters `values`; returns all rows."""
        return await (self.connection or await self._opened()).fetch(text, values)

    async def fetchrow(self, text: str, values: Sequence[object]) -> Any | None:
        """Run a statement; returns its first row, or None if it returns no row."""
        return await (self.connection or await self._opened()).fetchrow(text, values)

    async def fetchval(self, text: str, values: Sequence[object]) -> Any | None:
        """Run a statement; returns the first column of its first row, or None if it returns no row."""
        return await (self.connection or await self._opened()).fetchval(text, values)

    async def execute(self, text: str, values: Sequence[object] = ()) -> str:
        """Run a statement; returns its command tag, such as `UPDATE 3`."""
        return await (self.connection or await self._opened()).execute(text, values)

    def is_in_transaction(self) -> bool:
        """Whether the connection has been opened, and a transaction is open on it."""
        return self.connection is not None and self.connection.is_in_transaction()

    async def _opened(self) -> Connection:
        self.connection = await self._open()
        return self.connection
