"""Connections that are kept between two uses, because acquire() and release() of asyncpg's pool cost so much (decision 0032)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

_TICK = 1.0
"""How often, in seconds, connections that were not needed since the last time go back to asyncpg's pool, which closes those that
stay idle."""


class HeldConnections:
    """The connections that were acquired from asyncpg's pool and not released to it yet: those in use and the free ones.

    The free connection that was used last is used next. If all `most` connections are in use, the first to wait is served first;
    asyncpg's pool does not promise that. A connection is the object that asyncpg's acquire() returned.
    """

    def __init__(
        self, acquire: Callable[[], Awaitable[Any]], release: Callable[[Any], Awaitable[None]], most: int
    ) -> None:
        """`acquire` and `release` are those of asyncpg's pool; `release` must not raise."""
        self._acquire, self._release, self._most = acquire, release, most
        self._free: deque[Any] = deque()
        self._waiting: deque[asyncio.Future[Any | None]] = deque()
        self._taken = 0
        """The number of connections acquired from asyncpg's pool, and of those that are just being acquired."""
        self._unused = 0
        """The smallest number of free connections since the last tick: so many were not needed."""
        self._tick: asyncio.TimerHandle | None = None
        self._returning: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """The number of free connections."""
        return len(self._free)

    def take(self) -> Any | None:
        """A free connection, if there is one."""
        while self._free:
            raw = self._free.pop()
            self._unused = min(self._unused, len(self._free))
            if not is_closed(raw):
                return raw
            self._return(raw)
        return None

    async def wait(self) -> Any:
        """A connection from asyncpg's pool or, if it has no more, the next one that becomes free."""
        lost = None
        if self._taken < self._most:
            self._taken += 1
        else:
            waiting: asyncio.Future[Any | None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            try:
                raw = await waiting
            except asyncio.CancelledError:
                # It may have been served at the same moment.
                if not waiting.cancelled() and waiting.done():
                    self._pass_on(waiting.result())
                raise
            if raw is not None and not is_closed(raw):
                return raw
            lost = raw
        try:
            if lost is not None:
                # It was lost after it had been handed on. Its place remains.
                await self._release(lost)
            return await self._acquire()
        except BaseException:
            self._pass_on(None)
            raise

    def keep(self, raw: Any) -> None:
        """Take a connection back that is not closed, for the first one that waits or for the next use."""
        self._pass_on(raw)

    async def give_back(self, raw: Any) -> None:
        """Release a connection to asyncpg's pool."""
        try:
            await self._release(raw)
        finally:
            # Its place is free even if the task is cancelled: asyncpg's pool goes on with the release.
            self._pass_on(None)

    async def give_back_free(self) -> None:
        """Release all free connections to asyncpg's pool, and wait for those that are being released."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        while self._free:
            self._return(self._free.popleft())
        await asyncio.gather(*self._returning)

    def _pass_on(self, raw: Any | None) -> None:
        """Serve the first one that waits with a connection or, for None, with the place of one; else keep what there is."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(raw)
                return
        if raw is None:
            self._taken -= 1
            return
        self._free.append(raw)
        if self._tick is None:
            self._schedule()

    def _schedule(self) -> None:
        self._unused = len(self._free)
        self._tick = asyncio.get_running_loop().call_later(_TICK, self._shrink)

    def _shrink(self) -> None:
        self._tick = None
        for _ in range(self._unused):
            self._return(self._free.popleft())
        if self._free:
            self._schedule()

    def _return(self, raw: Any) -> None:
        task = asyncio.ensure_future(self.give_back(raw))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)


def is_closed(raw: Any) -> bool:
    """Whether a connection is closed or lost. asyncpg's pool detaches a lost connection, and then raises InterfaceError."""
    # No contextlib.suppress: this is asked several times for each request.
    try:
        return bool(raw.is_closed())
    except asyncpg.InterfaceError:
        return True
