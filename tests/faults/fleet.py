"""Instances of the service beside each other, as a load balancer knows them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

from arranging.serving import Service, serving
from service.settings.settings import Settings

TIMES = {
    "DATABASE_POOL_MAX": "6",
    "DATABASE_POOL_ACQUIRE_TIMEOUT": "2s",
    "DATABASE_CONNECT_TIMEOUT": "2s",
    "DATABASE_CONNECT_ATTEMPTS": "10",
    "DATABASE_STATEMENT_TIMEOUT": "2s",
    "DATABASE_QUERY_TIMEOUT": "2s",
    "DATABASE_LOCK_TIMEOUT": "1s",
    "REQUEST_TIMEOUT": "10s",
    "CHANGES_HEARTBEAT": "1s",
}
"""Patience of seconds where it is half a minute otherwise, so that it ends within a fault. An open transaction is not
ended by the server before anybody has looked for it."""


class Fleet:
    """So many instances; one that has ended is replaced, by one at another address."""

    def __init__(self, settings: Settings, directory: Path, **variables: str) -> None:
        self._settings, self._directory = settings, directory
        self._variables = {**TIMES, **variables}
        self._running: dict[str, tuple[Service, ExitStack]] = {}
        self._made = 0
        self._is_over = False
        self._lock = threading.Lock()

    @property
    def urls(self) -> list[str]:
        """Where there is one, oldest first."""
        return list(self._running)

    def pid(self, url: str) -> int:
        """The process at an address."""
        return self._running[url][0].pid

    def start(self) -> str:
        """Start one more; answers its address."""
        with self._lock:
            self._made += 1
            directory = self._directory / f"service-{self._made}"
        directory.mkdir()
        stack = ExitStack()
        service = stack.enter_context(serving(self._settings, directory, **self._variables))
        with self._lock:
            if not self._is_over:
                self._running[service.url] = (service, stack)
                return service.url
        # Whoever wanted it has given up meanwhile.
        stack.close()
        raise RuntimeError("the fleet has been stopped")

    def ended(self, url: str) -> int:
        """Wait for the end of one that was told to stop, take it off the list; answers its exit status."""
        # Looked at without taking it from whoever started the process.
        seen = os.waitid(os.P_PID, self.pid(url), os.WEXITED | os.WNOWAIT)
        _, stack = self._running.pop(url)
        stack.close()
        return seen.si_status if seen is not None else -1

    def logs(self) -> str:
        """What all of them have said, those that are gone too."""
        return "".join(path.read_text() for path in sorted(self._directory.glob("service-*/service.log")))

    def stop(self) -> None:
        """End all of them, whatever one of them does."""
        with self._lock:
            self._is_over = True
        with ExitStack() as all_of_them:
            for _, stack in self._running.values():
                all_of_them.push(stack)
        self._running.clear()


@contextlib.asynccontextmanager
async def fleet_of(settings: Settings, directory: Path, **variables: str) -> AsyncIterator[Fleet]:
    """Two instances, gone after the block. What carries their bytes goes on meanwhile: they take their leave."""
    fleet = Fleet(settings, directory, **variables)
    try:
        started = await asyncio.gather(*(asyncio.to_thread(fleet.start) for _ in range(2)), return_exceptions=True)
        for failure in started:
            if isinstance(failure, BaseException):
                raise failure
        yield fleet
    finally:
        await asyncio.to_thread(fleet.stop)
