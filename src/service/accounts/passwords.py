"""Hashes and verifies passwords with argon2. Because this takes long, a few threads of low priority do it, not the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import sys
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from service import texts
from service.errors import HashingBusy

T = TypeVar("T")

THREADS = max(1, (os.cpu_count() or 1) - 1)
"""How many hashes are computed at the same time: one for each core but one, which is left for the event loop."""
QUEUE = 64
"""How many requests may wait for a thread of this module; further ones are refused."""
_NICENESS = 10
_MOST_MEMORY, _MOST_PASSES, _MOST_LANES = 65_536, 8, 4
"""The most memory (KiB), passes and lanes that an imported hash may require."""
_ENDS = re.compile(r"^[^a-z]+|[^a-z]+\Z")
_LOOK_ALIKES = str.maketrans("@40315$7!", "aaoeissti")
_LEAST_DIFFERENT = 4
_SHORTEST_WORD = 4
_LEAST_BESIDE = 6
"""Limits of `weakness`. A password must have _LEAST_DIFFERENT different characters. If it contains a common password, or a word
about the user (of at least _SHORTEST_WORD characters), it must have _LEAST_BESIDE characters besides."""

# parallelism=1, because with several lanes argon2 would start a thread for each. docs/decisions/0009 explains the other values.
_HASHER = PasswordHasher(memory_cost=19_456, time_cost=2, parallelism=1)


class Passwords:
    """Hashes and verifies passwords. Open it with `async with Passwords.open()`: it owns the threads.

    If all threads are busy, requests wait in groups: a group is all requests with the same `whose`, which is a client's
    network or a tenant. The groups take turns, so many requests of one group do not hold up the others. `hash` and `verify` raise
    HashingBusy if QUEUE requests are waiting, or half as many of the same group (without that limit if `whose` is None).
    """

    def __init__(self, threads: ThreadPoolExecutor, nobody: str) -> None:
        self._threads = threads
        self._nobody = nobody
        self._busy = 0
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        """Start the threads. Also make a hash to compare with if there is no user, so that this takes the same time."""
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2", initializer=_stand_back)
        try:
            passwords = cls(threads, await asyncio.get_running_loop().run_in_executor(threads, _nobody))
            try:
                yield passwords
            finally:
                passwords._close()
        finally:
            # Computations that have not begun are cancelled. One that has begun can't be stopped; its thread ends after it.
            threads.shutdown(cancel_futures=True)

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash was made with other parameters (memory, passes, lanes) than new hashes are."""
        return _HASHER.check_needs_rehash(hashed)

    async def hash(self, password: str, *, whose: Hashable = None) -> str:
        """The argon2id hash of a password, as text that includes the parameters. It is made from the composed form (NFC) of the
        password, so that it does not depend on how a keyboard encodes accents.
        """
        return await self._apart(functools.partial(_HASHER.hash, texts.composed(password)), whose)

    async def verify(self, password: str, hashed: str | None, *, whose: Hashable = None) -> bool:
        """Whether the password matches the hash. `hashed` is None if there is no such user. Then the result is False, but
        the call takes as long as with a hash.
        """
        known = hashed if hashed is not None else self._nobody
        matches = await self._apart(functools.partial(_verify, known, password), whose)
        return matches and hashed is not None

    async def _apart(self, work: Callable[[], T], whose: Hashable) -> T:
        await self._turn(whose)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._pass_on()

    async def _turn(self, whose: Hashable) -> None:
        """Wait until a thread is free. Raises HashingBusy if too many requests wait already."""
        if self._busy < THREADS:
            self._busy += 1
            return
        mine = self._waiting.get(whose, ())
        if sum(map(len, self._waiting.values())) >= QUEUE or (whose is not None and len(mine) >= QUEUE // 2):
            raise HashingBusy
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(whose, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            raise

    def _close(self) -> None:
        """Cancel the requests that wait for a thread."""
        for turns in self._waiting.values():
            for turn in turns:
                turn.cancel()
        self._waiting.clear()

    def _pass_on(self) -> None:
        """Give the thread that has become free to a waiting request, if there is one.

        The groups of requests with the same `whose` take turns. Within a group, the request that has waited longest is next.
        """
        while self._waiting:
            whose, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[whose] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._busy -= 1


@functools.cache
def _nobody() -> str:
    """The hash of a random password that nobody knows, with the parameters of new hashes. It is made once in a process."""
    return _HASHER.hash(os.urandom(16).hex())


def _verify(hashed: str, password: str) -> bool:
    # An earlier release hashed a password as it was typed, without composing it. So the password as typed is tried, too.
    for form in dict.fromkeys((texts.composed(password), password)):
        try:
            return _HASHER.verify(hashed, form)
        except (VerificationError, InvalidHashError):
            continue
    return False


def _stand_back() -> None:
    """Lower the priority of the calling thread, so that the operating system prefers other threads, such as the event loop's."""
    # Only Linux has a niceness per thread; on other systems it would apply to the whole process.
    if sys.platform == "linux":
        os.nice(_NICENESS)


def is_costly(hashed: str) -> bool:
    """Whether a comparison with an imported hash needs far more memory, passes or lanes than one with a hash of this service.

    False for a text that is no argon2 hash.
    """
    try:
        given = extract_parameters(hashed)
    except InvalidHashError:
        return False
    return given.memory_cost > _MOST_MEMORY or given.time_cost > _MOST_PASSES or given.parallelism > _MOST_LANES


def weakness(password: str, *own: str) -> str | None:
    """Why a password is easy to guess, or None if it is not: it is common, has few different characters, or consists mainly of a
    word of `own`, which are texts about the user.
    """
    given = texts.composed(password).casefold()
    if _is_common(given):
        return "this is one of the commonest passwords, or little more"
    if len(set(given)) < _LEAST_DIFFERENT:
        return "this repeats too few characters"
    for word in {part.casefold() for text in own for part in (text, *re.split(r"[@.\s_-]+", text))}:
        if len(word) >= _SHORTEST_WORD and word in given and len(given.replace(word, "")) < _LEAST_BESIDE:
            return "this is little more than the address, the name or the tenant"
    return None


def _is_common(given: str) -> bool:
    """Whether a password is common, or is made from a common one: by repeating it, by replacing letters with similar characters
    (such as 0 for o), or by adding a few characters at its ends.
    """
    if given in _common():
        return True
    stem = _ENDS.sub("", given)
    size = (stem + stem).find(stem, 1) or 1
    words = (stem, stem[:size], stem.translate(_LOOK_ALIKES))
    return len(given) - len(stem) < _LEAST_BESIDE and any(word in _common() for word in words)


@functools.cache
def _common() -> frozenset[str]:
    """The most common passwords. The list is loaded when a password is first checked, because most processes never need it."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]  # noqa: PLC0415

    return frozenset(FREQUENCY_LISTS["passwords"])
