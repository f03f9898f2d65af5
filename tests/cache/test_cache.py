"""The cache of a process: what it holds, for how long, and what makes room for what."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from arranging.cache_questions import ACME, GLOBEX, ROW, Source, opened, question, together
from arranging.caching import outcomes
from changes.followers import NEVER
from service.cache import cache as module
from service.cache import watermarks
from service.cache.cache import Cache, Question, Reading, Rows
from service.cache.watermarks import Stamp, Watermarks
from service.settings.settings import Settings


class Clock:
    """The time that the cache sees."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now

    time = monotonic


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


async def test_what_is_held_is_answered_without_asking_anybody(cache: Cache, source: Source) -> None:
    assert [await source.read(cache, question()) for _ in range(3)] == [[{"id": 1}]] * 3
    assert source.asked == {question(): 1}


async def test_an_empty_answer_is_kept_as_well(cache: Cache, source: Source) -> None:
    source.rows = []
    assert [await source.read(cache, question()) for _ in range(2)] == [[], []]
    assert source.asked == {question(): 1}


async def test_other_values_and_another_tenant_are_other_questions(cache: Cache, source: Source) -> None:
    asked = [question(1), question(2), question(1, tenant=GLOBEX)]
    for n, each in enumerate(asked):
        source.rows = [{"id": n}]
        await source.read(cache, each)
    assert [await source.read(cache, each) for each in asked] == [[{"id": n}] for n in range(3)]
    assert set(source.asked.values()) == {1}


async def test_what_a_commit_has_touched_is_asked_again(cache: Cache, source: Source) -> None:
    await source.read(cache, question())
    cache.watermarks.apply(ACME, 11, [("things", ROW)], is_whole=True)
    source.number, source.rows = 11, [{"id": 2}]
    assert [await source.read(cache, question()) for _ in range(2)] == [[{"id": 2}]] * 2
    assert source.asked == {question(): 2}


async def test_an_answer_that_a_commit_has_overtaken_is_not_kept_for_the_next(cache: Cache, source: Source) -> None:
    (reader,) = await together(source, cache, 1)
    cache.watermarks.apply(ACME, 11, [("things", ROW)], is_whole=True)
    source.may_answer.set()
    await reader
    source.number, source.rows = 11, [{"id": 2}]
    assert await source.read(cache, question()) == [{"id": 2}]


async def test_a_number_that_is_asked_for_is_in_the_answer(cache: Cache, source: Source) -> None:
    await source.read(cache, question())
    source.number, source.rows = 11, [{"id": 2}]
    assert await source.read(cache, question(), at_least=11) == [{"id": 2}]
    assert await source.read(cache, question(), at_least=11) == [{"id": 2}]
    assert source.asked == {question(): 2}


async def test_work_that_has_learned_of_a_commit_requires_it_from_then_on(cache: Cache, source: Source) -> None:
    reading = Reading(cache, ACME, 0)
    await source.read(cache, question())
    for number, place in ((9, (10, 0)), (12, None), (9, None)):
        reading.require(number)
        cache.watermarks.confirm_shared(0, asked_at=time.monotonic())
        assert reading.place() == place
    source.number, source.rows = 12, [{"id": 2}]

    async def fill() -> tuple[Stamp, Rows]:
        return Stamp(1, 12, 0, time.monotonic()), [{"id": 2}]

    assert await reading.read(question(), fill) == [{"id": 2}]


async def test_an_answer_of_another_epoch_is_given_and_not_kept(cache: Cache, source: Source) -> None:
    source.epoch = 2
    assert [await source.read(cache, question()) for _ in range(2)] == [[{"id": 1}]] * 2
    assert (source.asked, list(cache._entries)) == ({question(): 2}, [])


async def test_an_entry_lives_as_long_as_the_setting_says(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", clock := Clock())
    async with opened(cache_ttl="5m") as cache:
        await source.read(cache, question())
        clock.now += 299
        await source.read(cache, question())
        assert source.asked == {question(): 1}
        clock.now += 2
        await source.read(cache, question())
        assert source.asked == {question(): 2}


async def test_an_answer_may_have_a_lifetime_of_its_own(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", clock := Clock())
    async with opened() as cache:
        short = question(lifetime=1.0)
        for passed, asked in ((0.0, 1), (0.9, 1), (0.2, 2)):
            clock.now += passed
            await source.read(cache, short)
            assert source.asked == {short: asked}


async def test_of_too_many_entries_those_that_were_read_longest_ago_go(source: Source) -> None:
    async with opened(cache_max_entries=3) as cache:
        for value in (1, 2, 3, 1, 4):
            await source.read(cache, question(value))
        source.asked.clear()
        for value in (1, 3, 4):
            await source.read(cache, question(value))
        assert not source.asked
        await source.read(cache, question(2))
        assert source.asked == {question(2): 1}


async def test_entries_take_no_more_bytes_than_they_may(source: Source) -> None:
    async with opened(cache_max_bytes=1024**2) as cache:
        for value in range(50):
            source.rows = [{"text": f"{value:0100000}"}]
            await source.read(cache, question(value))
            assert sum(len(entry.rows[0]["text"]) for entry in cache._entries.values()) <= 1024**2
        source.asked.clear()
        assert await source.read(cache, question(49)) == source.rows
        await source.read(cache, question(45))
        assert not source.asked
        await source.read(cache, question(0))
        assert source.asked == {question(0): 1}


async def test_many_small_rows_count_too(source: Source) -> None:
    async with opened(cache_max_bytes=1024**2) as cache:
        source.rows = [{"id": n, "is_active": True} for n in range(200)]
        for value in range(100):
            await source.read(cache, question(value))
        assert sum(len(entry.rows) for entry in cache._entries.values()) < 1024**2 / 300


async def test_an_entry_that_is_replaced_makes_room_for_what_replaces_it(source: Source) -> None:
    async with opened(cache_max_bytes=1024**2) as cache:
        other = Question(ACME, "SELECT 2", (), (("others", None),), is_shared=False)
        await source.read(cache, other)
        source.rows = [{"text": "x" * 100_000}]
        for source.number in range(11, 61):
            cache.watermarks.apply(ACME, source.number, [("things", ROW)], is_whole=True)
            await source.read(cache, question())
        await source.read(cache, other)
        assert source.asked == {question(): 50, other: 1}


async def test_one_answer_may_not_push_all_the_others_out(source: Source) -> None:
    async with opened(cache_max_bytes=1024**2) as cache:
        await source.read(cache, question("kept"))
        source.rows = [{"text": "x" * 200_000}]
        for _ in range(2):
            assert await source.read(cache, question("large")) == source.rows
        await source.read(cache, question("kept"))
        assert source.asked == {question("kept"): 1, question("large"): 2}


async def test_each_read_is_counted_by_how_it_was_answered(cache: Cache, source: Source) -> None:
    before = outcomes()
    tasks = await together(source, cache, 3)
    source.may_answer.set()
    await asyncio.gather(*tasks)
    await source.read(cache, question())
    cache.watermarks.apply(ACME, 11, [("things", ROW)], is_whole=True)
    await source.read(cache, question())
    assert outcomes() - before == Counter(miss=2, joined=2, hit=1, stale=1)


async def test_a_tenant_is_followed_from_its_first_read_on(source: Source) -> None:
    async with Cache.open(Settings(_env_file=None), Watermarks()) as cache:
        cache.watermarks.enter(1)
        await source.read(cache, question())
        assert (cache.watermarks.take_wanted(), cache.watermarks.known(ACME)) == ({ACME}, 10)
        await source.read(cache, question())
    assert source.asked == {question(): 1}
