"""Being told of the end in time: uvicorn waits for answers to end, and an open stream never would."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def told_to_stop(callback: Callable[[], None]) -> Iterator[None]:
    """Call `callback` in the running loop when the server is told to stop, before what the server does itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    replaced = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        # Where no server has taken the signal there is nothing to come before.
        if callable(handler) and handler is not signal.default_int_handler:
            replaced[number] = handler
            signal.signal(number, _both(loop, callback, handler))
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


def _both(
    loop: asyncio.AbstractEventLoop, callback: Callable[[], None], handler: Callable[[int, FrameType | None], object]
) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        handler(number, frame)

    return handle
