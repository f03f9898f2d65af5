"""Ring: the latest commits of a tenant in memory. All subscriptions to the tenant's commits read from the same ring.

A subscription itself stores only the number of the last commit that was sent to its client.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from service.changes.events import Frame

_MOST_FRAMES = 4096
_MOST_BYTES = 4 * 1024 * 1024
_MOST_AT_ONCE = 64 * 1024
"""About how many bytes `Ring.after` returns at a time. The last frame may exceed this limit."""


class Ring:
    """The commits with the numbers from `start` + 1 to `head`, without gaps, each as a frame (events.py).

    Whenever the ring changes, the event `news` is set and then replaced by a new event, which is not set.
    """

    def __init__(self, epoch: int, head: int) -> None:
        self.news = asyncio.Event()
        self.subscribers = 0
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self.epoch, self.start, self.head = epoch, head, head

    def append(self, frames: Sequence[Frame]) -> None:
        """Append the next commits. If the ring then has too many frames or bytes, the oldest frames are dropped."""
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
        """Discard all frames. The ring is then empty, and its next commit is the one after `head`."""
        self._frames.clear()
        self._bytes = 0
        self.epoch, self.start, self.head = epoch, head, head
        self.wake()

    def wake(self) -> None:
        """Wake every subscription that waits for the event `news`."""
        self.news.set()
        self.news = asyncio.Event()

    def after(self, number: int) -> list[Frame] | None:
        """The frames of the commits after `number`, up to about _MOST_AT_ONCE bytes. None if some are no longer in the ring."""
        if number < self.start:
            return None
        found: list[Frame] = []
        size = 0
        # Use negative indexes: nearly all subscriptions need only the last frames, and a deque is fast near its end.
        for position in range(number - self.head, 0):
            frame = self._frames[position]
            found.append(frame)
            size += len(frame.data)
            if size > _MOST_AT_ONCE:
                break
        return found
