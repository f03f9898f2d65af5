"""Passwords: argon2 hashes, made and compared off the event loop, at most as many at once as there are cores."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


class Passwords:
    """Hashes and verifies. Open it with `async with Passwords.open()`: it owns the threads."""

    def __init__(self, threads: ThreadPoolExecutor, nobody: str) -> None:
        self._threads = threads
        self._nobody = nobody

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        """Start the threads, and make the hash that stands in for a user who does not exist."""
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="argon2") as threads:
            nobody = await asyncio.get_running_loop().run_in_executor(threads, _nobody)
            yield cls(threads, nobody)

    async def hash(self, password: str) -> str:
        """The argon2id hash of a password, parameters included."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _hasher().hash, password)

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether the password is the hash's. Without a hash it takes the same time and is not."""
        matches = await asyncio.get_running_loop().run_in_executor(
            self._threads, _verify, hashed if hashed is not None else self._nobody, password
        )
        return matches and hashed is not None


@functools.cache
def _nobody() -> str:
    """The hash of a password that nobody knows, made once in a process with today's parameters."""
    return _hasher().hash(os.urandom(16).hex())


def _hasher() -> PasswordHasher:
    return PasswordHasher()


def _verify(hashed: str, password: str) -> bool:
    try:
        return _hasher().verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False
