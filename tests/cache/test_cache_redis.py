"""The cache's second level: Redis is asked for rows and believed nothing else, and nothing depends on whether it answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from redis.asyncio import Redis

from arranging.cache_questions import reader
from changes.followers import NEVER, logging, until
from service.cache import cache as module
from service.cache import redis_circuit, watermarks
from service.cache.cache import Question
from service.cache.packing import pack, unpack

ROW = uuid4()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with tests is no reason to give Redis or an answer up."""
    monkeypatch.setattr(redis_circuit, "_PATIENCE", 2.0)
    monkeypatch.setattr(watermarks, "LEASE", NEVER)


@pytest.fixture
def url(redis: Any) -> SecretStr:
    return SecretStr(redis.url)


@pytest.fixture
def tenant() -> UUID:
    """One that no other test has left anything of."""
    return uuid4()


def question(tenant: UUID, value: object = 1, **how: Any) -> Question:
    return Question(tenant, "SELECT 1", (value,), (("things", None),), **{"is_shared": False, **how})


async def test_what_one_process_has_read_another_one_need_not_ask(url: SecretStr, tenant: UUID) -> None:
    rows = [{"id": ROW, "name": "Zoë", "sealed": b"\x00\xff", "on": None}]
    async with reader(url, tenant) as one, reader(url, tenant) as other:
        await one.leave(question(tenant), rows)
        assert await other.read(question(tenant), []) == rows
        assert await other.read(question(tenant), []) == rows
        assert (one.asked, other.asked) == (1, 0)


async def test_an_answer_that_another_process_has_left_is_counted_as_one(url: SecretStr, tenant: UUID) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("quarry_cache_reads_total", {"outcome": "shared"}) or 0

    async with reader(url, tenant) as one, reader(url, tenant) as other:
        await one.leave(question(tenant))
        before = counted()
        for _ in range(2):
            await other.read(question(tenant))
        assert counted() == before + 1


async def test_redis_is_not_asked_for_what_could_not_be_judged(
    url: SecretStr, tenant: UUID, redis_client: Redis
) -> None:
    async def gets() -> int:
        return (await redis_client.info("commandstats")).get("cmdstat_get", {"calls": 0})["calls"]

    async with reader(url, uuid4()) as one:
        for asked in (0, 1):
            before = await gets()
            await one.leave(question(tenant, asked))
            assert await gets() == before + asked


async def test_where_nothing_was_left_nothing_is_logged(url: SecretStr, tenant: UUID) -> None:
    async with reader(url, tenant) as one:
        with logging() as lines:
            await one.leave(question(tenant))
    assert lines == []


async def test_an_empty_answer_is_left_as_well(url: SecretStr, tenant: UUID) -> None:
    async with reader(url, tenant) as one, reader(url, tenant) as other:
        await one.leave(question(tenant), [])
        assert await other.read(question(tenant)) == []


async def test_what_a_commit_has_touched_since_is_not_taken(url: SecretStr, tenant: UUID) -> None:
    async with reader(url, tenant) as one, reader(url, tenant) as other:
        await one.leave(question(tenant))
        other.cache.watermarks.apply(tenant, 11, [("things", ROW)], is_whole=True)
        assert await other.read(question(tenant), [{"id": 2}]) == [{"id": 2}]


async def test_what_is_older_than_what_a_process_knows_of_is_not_taken(url: SecretStr, tenant: UUID) -> None:
    async with reader(url, tenant) as one, reader(url, tenant, number=11) as other:
        await one.leave(question(tenant))
        assert await other.read(question(tenant), [{"id": 2}]) == [{"id": 2}]
        assert other.asked == 1


async def test_a_process_that_has_read_the_log_backwards_takes_older_entries(url: SecretStr, tenant: UUID) -> None:
    async with reader(url, tenant) as one, reader(url, tenant, number=11) as other:
        await one.leave(question(tenant))
        other.cache.watermarks.reach_back(tenant, 10, [(11, [("others", ROW)])])
        assert await other.read(question(tenant), []) == [{"id": 1}]


async def test_a_number_that_is_asked_for_has_to_be_in_it(url: SecretStr, tenant: UUID) -> None:
    async with reader(url, tenant) as one, reader(url, tenant) as other:
        await one.leave(question(tenant))
        other.number = 11
        assert await other.read(question(tenant), [{"id": 2}], at_least=11) == [{"id": 2}]


async def test_an_entry_of_another_epoch_is_not_taken(url: SecretStr, tenant: UUID) -> None:
    async with reader(url, tenant) as one, reader(url, tenant) as other:
        await one.leave(question(tenant))
        other.cache.watermarks.enter(2)
        other.cache.watermarks.begin(tenant, 10, asked_at=time.monotonic())
        assert await other.read(question(tenant), [{"id": 2}]) == [{"id": 2}]


async def test_an_entry_that_was_put_back_from_before_a_change_is_not_taken(
    url: SecretStr, tenant: UUID, redis_client: Redis
) -> None:
    async with reader(url, tenant) as one, reader(url, tenant) as other:
        await one.leave(question(tenant))
        former = await redis_client.get(question(tenant).name)
        for each in (one, other):
            each.cache.watermarks.apply(tenant, 11, [("things", ROW)], is_whole=True)
        one.number = 11
        await one.leave(question(tenant), [{"id": 2}])
        await redis_client.set(question(tenant).name, former)
        assert await other.read(question(tenant), [{"id": 2}]) == [{"id": 2}]


async def test_an_entry_lives_as_long_as_the_setting_says_wherever_it_has_been(
    url: SecretStr, tenant: UUID, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reader(url, tenant, cache_ttl="5m") as one, reader(url, tenant, cache_ttl="5m") as other:
        await one.leave(question(tenant))
        assert 290_000 < await redis_client.pttl(question(tenant).name) <= 300_000
        now, passed = (time.monotonic(), time.time()), 200.0

        class Later:
            def monotonic(self) -> float:
                return now[0] + passed

            def time(self) -> float:
                return now[1] + passed

        monkeypatch.setattr(module, "time", Later())
        assert await other.read(question(tenant)) == [{"id": 1}]
        assert other.asked == 0
        passed = 310.0
        await other.read(question(tenant))
        assert other.asked == 1


async def test_an_answer_with_a_lifetime_of_its_own_stays_in_the_process(
    url: SecretStr, tenant: UUID, redis_client: Redis
) -> None:
    async with reader(url, tenant) as one:
        await one.leave(question(tenant, lifetime=1.0))
        assert await redis_client.keys(f"*{tenant.hex}*") == []


async def test_an_answer_with_a_lifetime_of_its_own_is_not_looked_for_elsewhere(url: SecretStr, tenant: UUID) -> None:
    async with reader(url, tenant) as one, reader(url, tenant) as other:
        await one.leave(question(tenant))
        assert await other.read(question(tenant, lifetime=1.0), [{"id": 2}]) == [{"id": 2}]


async def test_an_answer_that_is_too_large_stays_away(url: SecretStr, tenant: UUID, redis_client: Redis) -> None:
    async with reader(url, tenant, cache_max_bytes=1024**2) as one:
        await one.leave(question(tenant), [{"text": "x" * 200_000}])
        assert await redis_client.keys(f"*{tenant.hex}*") == []


async def test_another_statement_value_type_or_tenant_has_another_name(tenant: UUID) -> None:
    asked = [question(tenant, value) for value in (1, "1", True, None, b"1", (1,), "a")]
    asked += [question(uuid4()), Question(tenant, "SELECT 2", (1,), (), is_shared=False)]
    assert len({each.name for each in asked}) == len(asked)
    assert all(each.tenant.hex in each.name for each in asked)


async def test_an_entry_under_the_name_of_another_is_not_taken(
    url: SecretStr, tenant: UUID, redis_client: Redis
) -> None:
    globex = uuid4()
    async with reader(url, tenant) as acmes, reader(url, globex) as globexs:
        await acmes.leave(question(tenant))
        for foreign in (question(globex), question(globex, 2)):
            await redis_client.copy(question(tenant).name, foreign.name)
            assert await globexs.read(foreign, [{"id": 2}]) == [{"id": 2}]
        assert globexs.asked == 2


GARBAGE = {
    "nothing": b"",
    "text": b"<html>",
    "pickle": pickle.dumps([1]),
    "cut": lambda good: good[:-5],
    "number": b"7",
    "list": b"[]",
    "shorter": lambda good: pack(unpack(good)[:-1]),
    "longer": lambda good: pack([*unpack(good), 1]),
    "rows": lambda good: pack([*unpack(good)[:-1], 7]),
    "row": lambda good: pack([*unpack(good)[:-1], [[1, 2, 3]]]),
    "columns": lambda good: pack([*unpack(good)[:-2], [[]], [[1]]]),
    "number kept as text": lambda good: pack([unpack(good)[0], "x", *unpack(good)[2:]]),
    "infinite": lambda good: pack([unpack(good)[0], 1, float("inf"), *unpack(good)[3:]]),
    "no time": lambda good: pack([*unpack(good)[:4], "now", *unpack(good)[5:]]),
    "not a time": lambda good: pack([*unpack(good)[:4], float("nan"), *unpack(good)[5:]]),
    "unknown tag": lambda good: good.replace(b"[[1]]", b'[[{"z":1}]]'),
}


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_whatever_is_no_entry_is_asked_again_and_replaced(
    url: SecretStr, tenant: UUID, redis_client: Redis, garbage: str
) -> None:
    async with reader(url, tenant) as one, reader(url, tenant) as other, reader(url, tenant) as third:
        await one.leave(question(tenant))
        name, put = question(tenant).name, GARBAGE[garbage]
        put = put(await redis_client.get(name)) if callable(put) else put
        await redis_client.set(name, put)
        await other.leave(question(tenant), [{"id": 2}])
        assert (other.asked, await third.read(question(tenant), [])) == (1, [{"id": 2}])


async def test_what_is_no_entry_is_logged_without_what_it_holds(
    url: SecretStr, tenant: UUID, redis_client: Redis
) -> None:
    await redis_client.set(question(tenant).name, b"confidential")
    async with reader(url, tenant) as one:
        with logging() as lines:
            await one.read(question(tenant))
    assert [line["event"] for line in lines] == ["cache_entry_unreadable"]
    assert "confidential" not in json.dumps(lines)


async def test_a_value_of_another_kind_is_asked_again(url: SecretStr, tenant: UUID, redis_client: Redis) -> None:
    await redis_client.rpush(question(tenant).name, b"a", b"b")
    async with reader(url, tenant) as one:
        assert await one.read(question(tenant), [{"id": 2}]) == [{"id": 2}]


@pytest.mark.parametrize("how", ["pause", "stop"])
async def test_a_cache_closes_at_once_with_entries_on_their_way(
    redis: Any, url: SecretStr, tenant: UUID, how: str
) -> None:
    before = asyncio.all_tasks()
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(reader(url, tenant))
        await one.read(question(tenant), meanwhile=getattr(redis, how))
        await until(lambda: how == "stop" or one.cache._redis.pool._in_use_connections)
        asked_at = time.monotonic()
        await stack.aclose()
    assert time.monotonic() - asked_at < redis_circuit._PATIENCE / 2
    assert asyncio.all_tasks() <= before


async def test_an_answer_is_as_good_when_it_can_not_be_left(redis: Any, url: SecretStr, tenant: UUID) -> None:
    async with reader(url, tenant) as one:
        for _ in range(2):
            assert await one.read(question(tenant), [{"id": 2}], meanwhile=redis.stop) == [{"id": 2}]
            await asyncio.gather(*one.cache._writes)
        assert one.asked == 1


async def test_a_redis_that_hangs_keeps_no_more_entries_waiting_than_a_few(
    redis: Any, url: SecretStr, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_WRITES", 5)
    async with reader(url, tenant) as one:
        others = [question(tenant, value) for value in range(50)]
        # All of them have looked for an entry before Redis hangs.
        gone = asyncio.Barrier(len(others))

        async def pause() -> None:
            if await gone.wait() == 0:
                redis.pause()

        await asyncio.gather(*(one.read(each, meanwhile=pause) for each in others))
        assert 0 < len(one.cache._writes) <= 5
        assert one.asked == 50
