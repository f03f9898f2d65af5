"""Notice of a shutdown: uvicorn waits for all answers to end, and an open stream would never end."""

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
    """Call `leaving` in the running loop when the server is told to stop, and `ending` after `delay` seconds, just before
    the server's own handler. Meanwhile load balancers see that this instance is leaving. A second signal ends the delay.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    stop = _Stop(loop, leaving, ending, delay)
    numbers: tuple[int, int] = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        handler = signal.getsignal(number)
        # If no server handles the signal, there is no handler to run before.
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
    """The handler of both signals: whichever comes first begins, the next one ends."""

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
        # A second call could make uvicorn stop without waiting for answers.
        if not self.has_ended:
            self.ending()
            self.handlers[number](number, None)
