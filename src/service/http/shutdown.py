"""Tells the application that the server is stopping. uvicorn waits until all answers end, so event streams must be ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType


@contextlib.contextmanager
def shutdown_notice(leaving: Callable[[], None], ending: Callable[[], None], delay: float) -> Iterator[None]:
    """On SIGINT or SIGTERM, call `leaving`; after `delay` seconds, call `ending` and then the server's own signal handler.

    During the delay, load balancers can notice that this instance is leaving. A second signal ends the delay.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    stop = _Stop(loop, leaving, ending, delay)
    numbers: tuple[int, int] = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        handler = signal.getsignal(number)
        # Without a server there is no handler to call afterwards, so the signal keeps its default effect.
        if callable(handler) and handler is not signal.default_int_handler:
            stop.handlers[number] = handler
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in stop.handlers.items():
            signal.signal(number, handler)


@dataclass
class _Stop:
    """The handler of both signals. If `delay` is not 0, the first signal starts the delay, and a second signal ends it early."""

    loop: asyncio.AbstractEventLoop
    leaving: Callable[[], None]
    ending: Callable[[], None]
    delay: float
    handlers: dict[int, Callable[[int, FrameType | None], object]] = field(default_factory=dict)
    has_begun: bool = False
    has_ended: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.delay and not self.has_begun:
            self.has_begun = True
            self.loop.call_soon_threadsafe(self.leaving)
            self.loop.call_soon_threadsafe(self.loop.call_later, self.delay, self._end, number)
            return
        self.has_ended = True
        self.loop.call_soon_threadsafe(self.leaving)
        self.loop.call_soon_threadsafe(self.ending)
        self.handlers[number](number, frame)

    def _end(self, number: int) -> None:
        # Calling uvicorn's handler twice could make it stop without waiting for answers.
        if not self.has_ended:
            self.ending()
            self.handlers[number](number, None)
