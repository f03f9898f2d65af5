"""Passwords: hashing that costs what it should, and never the event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable
from time import perf_counter

import pytest

from factories import PASSWORD, PASSWORD_HASH
from service.passwords import Passwords


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    async with Passwords.open() as opened:
        yield opened


async def test_a_password_is_known_by_its_hash_and_no_other_is(passwords: Passwords) -> None:
    hashed = await passwords.hash("correct horse 🐴")
    assert await passwords.verify("correct horse 🐴", hashed)
    for wrong in ("", "correct horse", "Correct horse 🐴", "correct horse 🐴 "):
        assert not await passwords.verify(wrong, hashed)


async def test_a_hash_is_argon2id_with_a_salt_of_its_own(passwords: Passwords) -> None:
    first, second = await passwords.hash("a long password"), await passwords.hash("a long password")
    assert first != second
    assert first.startswith("$argon2id$v=19$m=65536,t=3,")
    assert "a long password" not in first


async def test_hashes_of_other_parameters_are_still_compared(passwords: Passwords) -> None:
    assert await passwords.verify(PASSWORD, PASSWORD_HASH)
    assert not await passwords.verify(PASSWORD + "!", PASSWORD_HASH)


@pytest.mark.parametrize("hashed", ["", "plain text", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv", "!"])
async def test_what_is_no_hash_matches_no_password(passwords: Passwords, hashed: str) -> None:
    assert not await passwords.verify(hashed, hashed)


async def test_without_a_hash_nothing_matches_and_it_takes_as_long(passwords: Passwords) -> None:
    hashed = await passwords.hash("a long password")

    async def seconds(work: Awaitable[bool]) -> float:
        started = perf_counter()
        assert not await work
        return perf_counter() - started

    known = [await seconds(passwords.verify("another password", hashed)) for _ in range(3)]
    unknown = [await seconds(passwords.verify("another password", None)) for _ in range(3)]
    assert min(unknown) > min(known) / 2


async def test_the_event_loop_turns_while_a_password_is_hashed(passwords: Passwords) -> None:
    for work in (passwords.hash("a long password"), passwords.verify("a long password", None)):
        task, turns = asyncio.ensure_future(work), 0
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 20


async def test_as_many_are_hashed_at_once_as_there_are_cores(passwords: Passwords) -> None:
    cores = os.cpu_count() or 1
    most = 0
    work = asyncio.gather(*(passwords.hash("a long password") for _ in range(3 * cores)))
    while not work.done():
        most = max(most, sum(thread.name.startswith("argon2") for thread in threading.enumerate()))
        await asyncio.sleep(0)
    assert most == cores
    assert len(set(await work)) == 3 * cores


async def test_the_threads_end_with_their_owner() -> None:
    async with Passwords.open() as passwords:
        await passwords.hash("a long password")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("argon2")]
