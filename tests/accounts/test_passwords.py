"""Passwords: hashing that costs what it should, and never the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import process_time

import pytest
from argon2 import PasswordHasher, extract_parameters

from arranging.accounts import PASSWORD, PASSWORD_HASH
from service.accounts.passwords import QUEUE, THREADS, Passwords
from service.errors import HashingBusy
from service.http.answers import problem


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
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert "a long password" not in first


async def test_hashes_of_other_parameters_are_still_compared(passwords: Passwords) -> None:
    assert await passwords.verify(PASSWORD, PASSWORD_HASH)
    assert not await passwords.verify(PASSWORD + "!", PASSWORD_HASH)


async def test_a_password_is_the_same_in_whichever_unicode_form_it_is_typed(passwords: Passwords) -> None:
    composed, decomposed = "caf\u00e9 au lait", "cafe\u0301 au lait"
    assert await passwords.verify(composed, await passwords.hash(decomposed))
    assert await passwords.verify(decomposed, await passwords.hash(composed))
    assert await passwords.verify(
        decomposed, PasswordHasher(memory_cost=8, time_cost=1, parallelism=1).hash(decomposed)
    )


@pytest.mark.parametrize("hashed", ["", "plain text", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv", "!"])
async def test_what_is_no_hash_matches_no_password(passwords: Passwords, hashed: str) -> None:
    assert not await passwords.verify(hashed, hashed)


async def test_without_a_hash_nothing_matches_and_it_takes_as_long(passwords: Passwords) -> None:
    hashed = await passwords.hash("a long password")

    async def seconds(work: Awaitable[bool]) -> float:
        # Of the processor, which other programs do not add to.
        started = process_time()
        assert not await work
        return process_time() - started

    assert extract_parameters(passwords._nobody) == extract_parameters(hashed)
    known = [await seconds(passwords.verify("another password", hashed)) for _ in range(5)]
    unknown = [await seconds(passwords.verify("another password", None)) for _ in range(5)]
    assert min(unknown) > min(known) / 2


async def test_the_event_loop_turns_while_a_password_is_hashed(passwords: Passwords) -> None:
    for work in (passwords.hash("a long password"), passwords.verify("a long password", None)):
        task, turns = asyncio.ensure_future(work), 0
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 20


async def test_a_core_is_left_and_no_hash_brings_threads_of_its_own(passwords: Passwords) -> None:
    before = kernel_threads()
    most = 0
    work = asyncio.gather(*(passwords.hash("a long password") for _ in range(3 * THREADS)))
    while not work.done():
        most = max(most, kernel_threads())
        await asyncio.sleep(0)
    assert max(1, (os.cpu_count() or 1) - 1) == THREADS
    # The first thread is there since the stand-in was made.
    assert most == before + THREADS - 1
    assert len(set(await work)) == 3 * THREADS


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is the whole process's")
async def test_the_threads_stand_back_and_nobody_else_does(passwords: Passwords) -> None:
    await asyncio.gather(*(passwords.hash("a long password") for _ in range(2 * THREADS)))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    for thread in argon2_threads():
        assert os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) == min(own + 10, 19)


async def test_they_come_out_in_the_order_in_which_they_were_asked_for() -> None:
    with ThreadPoolExecutor(1) as thread:
        passwords, order = Passwords(thread, ""), []

        async def ask(number: int) -> None:
            await passwords.verify(PASSWORD, PASSWORD_HASH)
            order.append(number)

        await asyncio.gather(*(ask(number) for number in range(QUEUE)))
    assert order == list(range(QUEUE))


async def test_more_than_can_wait_are_refused_until_some_are_through(passwords: Passwords) -> None:
    for _ in range(2):
        tasks = [asyncio.ensure_future(passwords.hash("a long password")) for _ in range(THREADS + QUEUE)]
        refused = [
            asyncio.ensure_future(passwords.verify("a long password", hashed)) for hashed in (None, PASSWORD_HASH)
        ]
        await asyncio.sleep(0)
        assert [type(task.exception()) for task in refused] == [HashingBusy, HashingBusy]
        assert await tasks[0]
        assert await passwords.verify(PASSWORD, PASSWORD_HASH)
        assert all(await asyncio.gather(*tasks))


def test_the_refusal_is_temporary() -> None:
    answer = problem(HashingBusy(), "id")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_closing_cancels_what_waits() -> None:
    async with Passwords.open() as passwords:
        tasks = [asyncio.ensure_future(passwords.hash("a long password")) for _ in range(THREADS + QUEUE)]
        await tasks[0]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(each, asyncio.CancelledError) for each in done) > QUEUE / 2
    assert {type(each) for each in done} == {str, asyncio.CancelledError}


async def test_the_threads_end_with_their_owner() -> None:
    async with Passwords.open() as passwords:
        await passwords.hash("a long password")
    assert not argon2_threads()


def argon2_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("argon2")]


def kernel_threads() -> int:
    """All of this process, the library's own included; where that can't be known, Python's."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()
