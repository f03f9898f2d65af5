"""Tells the application that the server is stopping. uvicorn waits until all answers have ended, and an event stream never ends
by itself, so the application has to end its streams then.
"""

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
    """During the block: on SIGINT or SIGTERM call `leaving`, and `delay` seconds later `ending` and the server's signal handler.

    `leaving` makes the readiness probe fail, so that load balancers stop sending requests during the delay. `ending` ends the
    event streams. A second signal ends the delay early. Outside the main thread, where Python allows no signal handlers, this
    does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    stop = _Stop(loop, leaving, ending, delay)
    numbers: tuple[int, int] = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        handler = signal.getsignal(number)
        # If no server has set a handler, there is none to call after `ending`. Then the signal keeps its default effect.
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
    """The handler of both signals. The first signal starts the delay, and a second one ends it early. If `delay` is 0, the first
    signal calls `leaving`, `ending` and the server's handler at once.
    """

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
        # If a second signal has ended the delay early, uvicorn's handler has already been called. Another call could make
        # uvicorn stop without waiting for answers.
        if not self.has_ended:
            self.ending()
            self.handlers[number](number, None)
