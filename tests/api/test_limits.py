"""Rate limits: what is admitted, counted in this process and in Redis, and what happens while Redis is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import uuid4

import pytest
import structlog
from prometheus_client import REGISTRY

from service.cache import redis_circuit
from service.errors import RateLimited
from service.http import limits as module
from service.http.answers import problem
from service.http.limits import Limits
from service.settings.env_file import SettingsError
from service.settings.settings import Settings


def of(**settings: Any) -> AbstractAsyncContextManager[Limits]:
    return Limits.open(Settings(_env_file=None, **settings), b"secret")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with tests is no reason to give Redis up."""
    monkeypatch.setattr(redis_circuit, "_PATIENCE", 1.0)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What is logged."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("info"))
    with structlog.testing.capture_logs() as captured:
        yield captured


@pytest.fixture(params=["memory", "redis"])
def place(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of where is counted."""
    return {} if request.param == "memory" else {"redis_url": request.getfixturevalue("redis_server").url}


@pytest.fixture
def key() -> str:
    """Something that no other test counts for."""
    return uuid4().hex


async def admitted(limits: Limits, key: str, times: int, name: Any = "guesses") -> int:
    """How many of `times` hits at once are admitted."""
    hits = await asyncio.gather(*(limits.hit(name, key) for _ in range(times)), return_exceptions=True)
    assert all(hit is None or isinstance(hit, RateLimited) for hit in hits), hits
    return hits.count(None)


async def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_fifty_at_once_on_a_limit_of_ten_admit_exactly_ten(place, key) -> None:
    async with of(rate_limit_guesses="10/hour", **place) as limits:
        assert await admitted(limits, key, 50) == 10
        assert await admitted(limits, key + "2", 9) == 9


async def test_two_services_count_together_in_redis_and_apart_without(redis_server, key) -> None:
    for place, together in (({"redis_url": redis_server.url}, 10), ({}, 20)):
        async with of(rate_limit_guesses="10/hour", **place) as one, of(rate_limit_guesses="10/hour", **place) as two:
            both = await asyncio.gather(admitted(one, key, 25), admitted(two, key, 25))
            assert sum(both) == together


async def test_redis_may_be_named_in_parts(redis_server, redis_client, key) -> None:
    async with of(redis_host="127.0.0.1", redis_port=redis_server.port, redis_db=3) as limits:
        await limits.hit("guesses", key)
    assert (await redis_client.info("keyspace"))["db3"]["keys"] == 1


async def test_refusal_says_when_there_is_room_and_then_there_is(place, key, monkeypatch) -> None:
    start, passed = time.time(), 0.0
    monkeypatch.setattr(time, "time", lambda: start + passed)
    async with of(rate_limit_guesses="2/hour", **place) as limits:
        await limits.hit("guesses", key)
        passed = 1000.5
        await limits.hit("guesses", key)
        for then, retry_after in ((1001.5, 2599), (3599.9, 1)):
            passed = then
            with pytest.raises(RateLimited) as refused:
                await limits.hit("guesses", key)
            assert refused.value.retry_after == retry_after
        passed = 3600.6
        assert await admitted(limits, key, 2) == 1
        passed = -60.0  # another host's clock is behind
        with pytest.raises(RateLimited) as refused:
            await limits.hit("guesses", key)
        assert refused.value.retry_after == 3600


async def test_retry_after_is_sent_and_the_refusal_is_counted(key) -> None:
    def refusals() -> float:
        return REGISTRY.get_sample_value("quarry_rate_limited_total", {"limit": "seeds"}) or 0

    before = refusals()
    async with of(rate_limit_seeds="1/hour") as limits:
        await limits.hit("seeds", key)
        with pytest.raises(RateLimited) as refused:
            await limits.hit("seeds", key)
    answer = problem(refused.value, "x")
    assert (answer.status_code, int(answer.headers["retry-after"])) == (429, refused.value.retry_after)
    assert refusals() == before + 1


async def test_forgiving_starts_again_for_this_key_alone(place, key) -> None:
    async with of(rate_limit_guesses="3/hour", **place) as limits:
        await admitted(limits, key, 3)
        await admitted(limits, key + "2", 3)
        await limits.forgive("guesses", key)
        assert (await admitted(limits, key, 5), await admitted(limits, key + "2", 5)) == (3, 0)


async def test_limits_and_parts_of_keys_are_not_mixed_up(place, key) -> None:
    async with of(rate_limit_guesses="1/hour", rate_limit_codes_phone="1/hour", **place) as limits:
        await limits.hit("guesses", key, "ab", "c")
        await limits.hit("guesses", key, "a", "bc")
        await limits.hit("guesses", key, "abc")
        await limits.hit("codes_phone", key, "ab", "c")
        with pytest.raises(RateLimited):
            await limits.hit("guesses", key, "ab", "c")


async def test_addresses_of_one_ipv6_network_count_as_one(place) -> None:
    async with of(rate_limit_sign_in_address="1/hour", **place) as limits:
        network = f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}"
        await limits.hit("sign_in_address", f"{network}::1")
        with pytest.raises(RateLimited):
            await limits.hit("sign_in_address", f"{network}:ffff::2")
        await limits.hit("sign_in_address", "::ffff:192.0.2.1")
        await limits.hit("sign_in_address", "::ffff:192.0.2.2")
        with pytest.raises(RateLimited):
            await limits.hit("sign_in_address", "192.0.2.1")
        await limits.forgive("sign_in_address", "192.0.2.1")
        await limits.forgive("sign_in_address", "192.0.2.2")


async def test_nothing_personal_is_kept(redis_server, redis_client) -> None:
    name = f"jane.{uuid4().hex}"
    async with of() as limits:
        await limits.hit("sign_in_account", "acme.example", f"{name}\ud800@acme.example")
        assert limits._memory.events
        assert name not in "".join(limits._memory.events)
    async with of(redis_url=redis_server.url) as limits:
        await limits.hit("sign_in_account", "acme.example", f"{name}@acme.example")
    keys = await redis_client.keys("quarry:limits:*sign_in_account*")
    assert keys
    assert name.encode() not in b"".join(keys)


async def test_off_admits_everything_and_keeps_nothing(key) -> None:
    async with of(rate_limit_guesses="off", rate_limit_seeds="OFF ") as limits:
        assert await admitted(limits, key, 1000) == 1000
        assert await admitted(limits, key, 1000, "seeds") == 1000
        await limits.forgive("guesses", key)
        assert not limits._memory.events


async def test_what_has_left_its_window_is_forgotten(monkeypatch, key) -> None:
    monkeypatch.setattr(module, "_SWEEP_EVERY", 0.01)
    async with of(rate_limit_guesses="5/second", rate_limit_seeds="5/hour") as limits:
        await admitted(limits, key, 5)
        await admitted(limits, key, 5, "seeds")
        await until(lambda: len(limits._memory.events) == 1)
        assert limits._memory.timer.get_name() == "limits", "the library sweeps too"
        assert not limits._memory.locks.keys() - limits._memory.events.keys()
        assert await admitted(limits, key, 5, "seeds") == 0


@pytest.mark.parametrize("how", ["pause", "stop"])
async def test_lost_redis_leaves_limits_in_process_and_comes_back(redis, monkeypatch, lines, key, how: str) -> None:
    monkeypatch.setattr(redis_circuit, "_PAUSE", 0.05)
    async with of(rate_limit_guesses="10/hour", redis_url=redis.url) as limits:
        assert await admitted(limits, key, 4) == 4
        getattr(redis, how)()
        # A count that a paused server has received it makes later, besides the one made here.
        await limits.hit("seeds", key)
        assert await admitted(limits, key, 50) == 10
        assert await admitted(limits, key, 50) == 0
        assert [line["event"] for line in lines] == ["redis_lost"]
        redis.restore()
        deadline = time.monotonic() + 30
        while len(lines) < 2 and time.monotonic() < deadline:
            await limits.forgive("seeds", key)
        assert [line["event"] for line in lines] == ["redis_lost", "redis_recovered"]
        # It remembers the four, if it was only slow.
        assert await admitted(limits, key, 50) == (6 if how == "pause" else 10)


async def test_lost_redis_is_waited_for_once_and_not_by_every_request(redis, monkeypatch, key) -> None:
    monkeypatch.undo()  # the real patience
    async with of(rate_limit_guesses="1000/hour", redis_url=redis.url) as limits:
        await limits.hit("guesses", key)
        redis.pause()
        started = time.monotonic()
        assert await admitted(limits, key, 20) == 20
        assert 0.2 < time.monotonic() - started < 1.5
        started = time.monotonic()
        for _ in range(50):
            await limits.hit("guesses", key)
        assert time.monotonic() - started < 0.2


async def test_one_request_tries_a_lost_redis_while_the_others_go_on(redis, key) -> None:
    async with of(rate_limit_guesses="1000/hour", redis_url=redis.url) as limits:
        redis.pause()
        await limits.hit("guesses", key)
        limits._redis._next_try = 0.0
        trial = asyncio.create_task(limits.hit("guesses", key))
        await until(lambda: limits._redis._next_try)
        for _ in range(50):
            await limits.hit("guesses", key)
        assert not trial.done()
        await trial


async def test_success_forgives_what_was_counted_here_while_redis_was_away(redis, lines, key) -> None:
    async with of(rate_limit_guesses="3/hour", redis_url=redis.url) as limits:
        redis.stop()
        assert await admitted(limits, key, 5) == 3
        await limits.forgive("guesses", key)
        assert await admitted(limits, key, 5) == 3
        redis.restore()
        limits._redis._next_try = 0.0
        await limits.forgive("guesses", key)
        assert lines[-1]["event"] == "redis_recovered"
        redis.stop()
        assert await admitted(limits, key, 5) == 3


async def test_redis_may_be_away_at_the_start(lines, key) -> None:
    async with of(redis_url="redis://127.0.0.1:1/0", rate_limit_guesses="10/hour") as limits:
        assert await admitted(limits, key, 50) == 10
    assert [line["event"] for line in lines] == ["redis_lost"]


async def test_redis_that_refuses_the_password_is_a_lost_one(redis, redis_client, lines, key) -> None:
    await redis_client.config_set("requirepass", "hidden")
    try:
        for password, lost in (("hidden", []), ("wrong", ["redis_lost"])):
            given = {"redis_host": "127.0.0.1", "redis_port": redis.port, "redis_password": password}
            async with of(**given, rate_limit_guesses="20/hour") as limits:
                assert await admitted(limits, key + password, 50) == 20
            assert [line["event"] for line in lines] == lost
    finally:
        await redis_client.config_set("requirepass", "")
    assert "wrong" not in str(lines)


async def test_request_that_is_given_up_leaves_nobody_a_wrong_answer(redis, key) -> None:
    async with of(rate_limit_guesses="10/hour", redis_url=redis.url) as limits:
        for _ in range(50):
            given_up = asyncio.create_task(limits.hit("seeds", key))
            await asyncio.sleep(0)
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
        assert await admitted(limits, key, 50) == 10


@pytest.mark.parametrize(
    "value",
    ["100", "0/minute", "10/0minutes", "10 per minute", "10/minute;5/hour", "10/fortnight", "-1/minute", "1/m\n1"],
)
def test_wrong_limit_is_one_line_that_names_its_variable(monkeypatch, value: str) -> None:
    monkeypatch.setenv("RATE_LIMIT_CODES_PHONE", value)
    monkeypatch.setenv("REDIS_URL", "http://u:hidden@h")
    with pytest.raises(SettingsError, match="RATE_LIMIT_CODES_PHONE: give a limit such as 100/minute") as refused:
        Settings.load()
    assert "REDIS_URL: give it as redis://" in str(refused.value)
    assert "hidden" not in str(refused.value)
