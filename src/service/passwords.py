"""Passwords: argon2 hashes, made and compared off the event loop by few threads that stand back for everything else."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from service.errors import HashingBusy

T = TypeVar("T")

THREADS = max(1, (os.cpu_count() or 1) - 1)
"""So many hashes at once: a core is left for the event loop."""
QUEUE = 64
"""So many more wait for a thread; the next one is refused."""
_NICENESS = 10

# One lane: each of several would be a thread of its own, beside the pool. Why so little: docs/decisions/0009.
_HASHER = PasswordHasher(memory_cost=19_456, time_cost=2, parallelism=1)


class Passwords:
    """Hashes and verifies. Open it with `async with Passwords.open()`: it owns the threads.

    Both raise HashingBusy while QUEUE others wait for a thread.
    """

    def __init__(self, threads: ThreadPoolExecutor, nobody: str) -> None:
        self._threads = threads
        self._nobody = nobody
        self._under_way = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        """Start the threads, and make the hash that stands in for a user who does not exist."""
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2", initializer=_stand_back)
        try:
            yield cls(threads, await asyncio.get_running_loop().run_in_executor(threads, _nobody))
        finally:
            # What has begun can't be stopped; who still waits is cancelled.
            threads.shutdown(cancel_futures=True)

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return _HASHER.check_needs_rehash(hashed)

    async def hash(self, password: str) -> str:
        """The argon2id hash of a password, parameters included."""
        return await self._apart(functools.partial(_HASHER.hash, password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether the password is the hash's. Without a hash it takes the time of one of today, and is not."""
        matches = await self._apart(
            functools.partial(_verify, hashed if hashed is not None else self._nobody, password)
        )
        return matches and hashed is not None

    async def _apart(self, work: Callable[[], T]) -> T:
        if self._under_way >= THREADS + QUEUE:
            raise HashingBusy
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


@functools.cache
def _nobody() -> str:
    """The hash of a password that nobody knows, made once in a process with today's parameters."""
    return _HASHER.hash(os.urandom(16).hex())


def _verify(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def _stand_back() -> None:
    """Lower the calling thread's priority, so that whatever else is ready to run goes first."""
    # Elsewhere niceness is the whole process's.
    if sys.platform == "linux":
        os.nice(_NICENESS)
