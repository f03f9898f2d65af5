"""The latest commits of a tenant in memory, shared by all its subscribers.

A subscriber itself stores only the number of the last commit that it has been sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from service.changes.events import Frame

_MOST_FRAMES = 4096
_MOST_BYTES = 4 * 1024 * 1024
_MOST_AT_ONCE = 64 * 1024
"""About how many bytes a subscriber gets at a time."""


class Ring:
    """Holds every commit after `start` up to `head`, without gaps.

    At every change the event `news` is set, and replaced by a new one.
    """

    def __init__(self, epoch: int, head: int) -> None:
        self.news = asyncio.Event()
        self.subscribers = 0
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self.epoch, self.start, self.head = epoch, head, head

    def append(self, frames: Sequence[Frame]) -> None:
        """Append the next commits. If there are too many frames or bytes, the oldest ones are dropped."""
        for frame in frames:
            self._frames.append(frame)
            self._bytes += len(frame.data)
            self.head = frame.number
        while len(self._frames) > _MOST_FRAMES or self._bytes > _MOST_BYTES:
            oldest = self._frames.popleft()
            self._bytes -= len(oldest.data)
            self.start = oldest.number
        self.wake()

    def restart(self, epoch: int, head: int) -> None:
        """Discard all frames and start again after `head`."""
        self._frames.clear()
        self._bytes = 0
        self.epoch, self.start, self.head = epoch, head, head
        self.wake()

    def wake(self) -> None:
        """Wake every subscriber that waits for `news`."""
        self.news.set()
        self.news = asyncio.Event()

    def after(self, number: int) -> list[Frame] | None:
        """The next frames after a number, about _MOST_AT_ONCE bytes of them; None if the ring has dropped some of them."""
        if number < self.start:
            return None
        found: list[Frame] = []
        size = 0
        # Index from the end: a deque is fast there, and nearly all subscribers are there.
        for position in range(number - self.head, 0):
            frame = self._frames[position]
            found.append(frame)
            size += len(frame.data)
            if size > _MOST_AT_ONCE:
                break
        return found
