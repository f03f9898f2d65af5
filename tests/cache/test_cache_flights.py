"""Many who ask the same at once: one of them reads, and the others get what it was answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from arranging.cache_questions import ACME, Source, answers, opened, question, together
from changes.followers import NEVER, until
from service.cache import watermarks
from service.cache.cache import Cache


@pytest.fixture(autouse=True)
def lasting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given up only because the machine is busy."""
    monkeypatch.setattr(watermarks, "LEASE", NEVER)


@pytest.fixture
async def source() -> Source:
    return Source()


@pytest.fixture
async def cache() -> AsyncIterator[Cache]:
    async with opened() as made:
        yield made


async def test_many_who_ask_at_once_ask_once(cache: Cache, source: Source) -> None:
    tasks = await together(source, cache, 50)
    source.may_answer.set()
    assert await answers(*tasks) == [[{"id": 1}]] * 50
    assert source.asked == {question(): 1}


async def test_who_asks_something_else_does_not_wait(cache: Cache, source: Source) -> None:
    (waiting,) = await together(source, cache, 1)
    other = Source()
    await other.read(cache, question(2))
    assert not waiting.done()
    source.may_answer.set()
    await waiting


async def test_an_error_reaches_who_asked_and_the_next_one_asks_again(cache: Cache, source: Source) -> None:
    source.error = OSError("gone")
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            await source.read(cache, question())
    source.error = None
    assert await source.read(cache, question()) == [{"id": 1}]
    assert source.asked == {question(): 3}


async def test_a_failing_database_answers_everybody_and_is_not_asked_in_a_row(cache: Cache, source: Source) -> None:
    source.error = OSError("gone")
    tasks = await together(source, cache, 50)
    source.may_answer.set()
    assert {type(answer) for answer in await answers(*tasks)} == {OSError}
    # Who waits until the one before has failed would wait for a second failure, but not for forty-eight.
    assert source.most_at_once == 48


async def test_of_many_who_wait_one_asks_when_the_first_is_given_up(cache: Cache, source: Source) -> None:
    first, *others = await together(source, cache, 50)
    first.cancel()
    await until(lambda: source.asked[question()] == 2)
    source.may_answer.set()
    assert await answers(*others) == [[{"id": 1}]] * 49
    assert source.asked == {question(): 2}
    assert first.cancelled()


async def test_one_who_waits_and_is_given_up_takes_nobody_along(cache: Cache, source: Source) -> None:
    first, second, third = await together(source, cache, 3)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    source.may_answer.set()
    assert await answers(first, third) == [[{"id": 1}]] * 2
    assert source.asked == {question(): 1}


async def test_of_many_who_need_a_newer_answer_than_the_one_under_way_one_asks(cache: Cache, source: Source) -> None:
    (first,) = await together(source, cache, 1)
    cache.watermarks.committed(ACME, 11)
    source.number, source.rows = 11, [{"id": 2}]
    others = [asyncio.create_task(source.read(cache, question())) for _ in range(20)]
    await asyncio.sleep(0)
    source.may_answer.set()
    assert await first == [{"id": 1}]
    assert await answers(*others) == [[{"id": 2}]] * 20
    assert source.asked == {question(): 2}
