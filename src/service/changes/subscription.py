"""Subscription: produces the stream of a tenant's commits for one subscriber, as long as the subscriber may read them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from uuid import UUID

from service.changes.events import MOST_CHANGES, Frame, frame, sse
from service.changes.ring import Ring
from service.database.database import Database
from service.engine import EngineWork
from service.errors import ServiceError
from service.positions import Position
from service.repos.log import StreamPlace
from service.tenancy.identity import TenantId

_CATCH_UP = 100
_ASK_AGAIN = 0.25
"""Seconds between checks of an admission that has expired. The first check may still succeed, because it may use cached rows,
up to a second old.
"""
_PROVE_EVERY = 60.0
"""Seconds after which an admission is checked again, even if none of the rows that it depends on has changed.

The check counts as a use of the session. Otherwise the session could end as idle while its stream is open.
"""


@dataclass(frozen=True)
class Admission:
    """A subscriber's right to read, as the last check found it.

    `rows` are the ids of the rows that it depends on: the session or API key, the user and the tenant. `remaining` is the time
    from the check until the right expires; None if it does not expire.
    """

    rows: frozenset[UUID]
    remaining: timedelta | None


Prove = Callable[[int], Awaitable[Admission]]
"""A function that checks again whether the subscriber may read. Its argument is the number of a commit; the check uses rows
that are at least as new as this commit.

Raises a ServiceError, such as Unauthorized, if the subscriber may no longer read.
"""


class Subscription:
    """The stream of one subscriber. `async for data in subscription.frames(since)` yields the bytes to send.

    The iteration ends when the subscriber may no longer read, or after `close`. `place` has to be read before `admission` is
    checked. Then every later commit that could end the admission is in the stream, and makes the subscription check it again.
    """

    def __init__(
        self,
        database: Database,
        tenant: TenantId,
        ring: Ring,
        *,
        place: StreamPlace,
        admission: Admission,
        prove: Prove,
        heartbeat: float,
    ) -> None:
        self.reason = "left"
        """Why the subscription has ended: "left" if the client has disconnected, otherwise the reason passed to `close`."""
        self._database, self._tenant, self._ring = database, tenant, ring
        self._opening = place
        self._admission, self._prove, self._proven_at = admission, prove, monotonic()
        self._heartbeat = heartbeat
        self._is_closing = False
        self._patience: asyncio.Timeout | None = None
        self._epoch, self._cursor = place.epoch, place.head

    def close(self, reason: str) -> None:
        """End the stream: at once if it is waiting for commits, otherwise after the bytes that it is about to yield."""
        if self._is_closing:
            return
        self.reason, self._is_closing = reason, True
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())

    async def frames(self, since: Position | None) -> AsyncGenerator[bytes, None]:
        """The bytes to send: every commit after the position `since`, and control events such as heartbeats.

        If `since` is None, the stream begins after the head that was read when the subscription was made.
        """
        # How many milliseconds the browser waits before it reconnects. The number is random, so that not all reconnect at once.
        yield f"retry: {random.randint(1000, 3000)}\n\n".encode()
        lost = None if since is None else self._opening.loss_after(since)
        if lost is not None:
            yield self._reset(lost, self._opening)
        elif since is not None:
            self._cursor = since.number
        yield self._ready(self._opening)
        while not self._is_closing:
            # Get the event before reading the ring. If a commit is added after the read, it sets this event, so `_wait` returns.
            news = self._ring.news
            if self._is_doubtful() and not await self._is_admitted(self._cursor):
                return
            frames, lost = await self._next()
            if lost is not None:
                place = await self._place()
                yield self._reset(lost, place)
                yield self._ready(place)
            elif frames:
                last = frames[-1].number
                if any(self._admission.rows & each.admitting for each in frames) and not await self._is_admitted(last):
                    return
                self._cursor = last
                yield b"".join(each.data for each in frames)
            elif not await self._wait(news):
                yield f": {Position(self._epoch, self._ring.head)}\n\n".encode()

    async def _next(self) -> tuple[Sequence[Frame], str | None]:
        """The next frames and None, or no frames and the reason why commits after the cursor are lost (`epoch`, `pruned`)."""
        if self._ring.epoch != self._epoch:
            # If the ring is of a later epoch, a reset is needed. If it is of an earlier one, the relay restarts it soon: wait.
            return (), "epoch" if self._ring.epoch > self._epoch else None
        frames = self._ring.after(self._cursor)
        if frames is not None:
            return frames, None
        return await self._caught_up()

    async def _wait(self, news: asyncio.Event) -> bool:
        """Wait until the ring changes, but not longer than until the next heartbeat is due or the admission expires.

        Returns False if the time is over, so that a heartbeat is sent; True if the ring has changed or the stream is closing.
        """
        try:
            async with asyncio.timeout(min(self._heartbeat, max(self._expires_in(), _ASK_AGAIN))) as self._patience:
                await news.wait()
        except TimeoutError:
            return self._is_closing
        finally:
            self._patience = None
        return True

    def _expires_in(self) -> float:
        remaining = self._admission.remaining
        return self._heartbeat if remaining is None else self._proven_at + remaining.total_seconds() - monotonic()

    def _is_doubtful(self) -> bool:
        return self._expires_in() <= 0 or monotonic() - self._proven_at > _PROVE_EVERY

    async def _is_admitted(self, at_least: int) -> bool:
        try:
            self._admission, self._proven_at = await self._prove(at_least), monotonic()
        except ServiceError as error:
            self.close(error.code)
            return False
        return True

    async def _place(self) -> StreamPlace:
        return await EngineWork.run(self._database, lambda work: work.log.place(), self._tenant, read_only=True)

    async def _caught_up(self) -> tuple[Sequence[Frame], str | None]:
        """Like `_next`, but reads the commits from the log, because the ring no longer has them."""

        async def read(work: EngineWork) -> tuple[Sequence[Frame], str | None]:
            page = await work.log.read_on(self._cursor, most=MOST_CHANGES, limit=_CATCH_UP)
            # Read the floor after the page: if commits that belong to the page were pruned meanwhile, the floor shows it.
            place = await work.log.place()
            if (lost := place.loss_after(Position(self._epoch, self._cursor))) is not None:
                return (), lost
            return [frame(self._epoch, commit) for commit in page.commits], None

        return await EngineWork.run(self._database, read, self._tenant, read_only=True)

    def _reset(self, reason: str, place: StreamPlace) -> bytes:
        """Skip to the head of `place`, because the commits before it are not available. Returns the event `reset`.

        This event tells the client that it has to read all its data again.
        """
        self._epoch, self._cursor = place.epoch, place.head
        head = str(Position(place.epoch, place.head))
        return sse("reset", {"reason": reason, "head": head}, id=head)

    def _ready(self, place: StreamPlace) -> bytes:
        here = str(Position(self._epoch, self._cursor))
        limits = {
            name: str(Position(place.epoch, number)) for name, number in (("head", place.head), ("floor", place.floor))
        }
        return sse("ready", {"since": here, **limits}, id=here)
