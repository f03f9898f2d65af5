"""Executor: the protocol of whatever runs statements. LazyConnection: an executor that connects at its first statement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from service.database.connection import Connection
from service.metrics import Observer


class Executor(Protocol):
    """Runs statements: a connection, or an object that opens a connection when it needs one."""

    observe: Observer | None
    """Called with name, seconds and row count of every named statement; None if nobody needs these."""

    async def fetch(self, text: str, values: Sequence[object]) -> list[Any]:
        """All rows of one statement."""

    async def fetchrow(self, text: str, values: Sequence[object]) -> Any | None:
        """The first row of one statement, or None."""

    async def fetchval(self, text: str, values: Sequence[object]) -> Any | None:
        """The first column of the first row, or None."""

    def is_in_transaction(self) -> bool:
        """Whether the server has a transaction open here."""

    async def execute(self, text: str, values: Sequence[object] = ()) -> str:
        """Run one statement; returns its command tag."""


class LazyConnection:
    """A connection that is opened by the first statement: work that finds everything in the cache needs none."""

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
        """Whether the server has a transaction open here."""
        return self.connection is not None and self.connection.is_in_transaction()

    async def _opened(self) -> Connection:
        self.connection = await self._open()
        return self.connection
