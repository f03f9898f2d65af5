"""The circuit: Redis is asked while it answers; after a failure one caller tries it and the others go on without."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from changes.followers import NEVER, logging, until
from service.cache import redis_circuit
from service.cache.redis_circuit import RedisCircuit, Unreachable
from service.settings.settings import Settings

Operation = Callable[[], Awaitable[Any]]


@pytest.fixture(autouse=True)
def times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no reason to give Redis up, and nobody tries it again by chance."""
    monkeypatch.setattr(redis_circuit, "_PATIENCE", 2.0)
    monkeypatch.setattr(redis_circuit, "_PAUSE", NEVER)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with logging() as captured:
        yield captured


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[RedisCircuit, Operation]]:
    """A circuit, and the operation of asking it for nothing in particular."""
    circuit = RedisCircuit.of(Settings(_env_file=None, redis_url=SecretStr(url)))
    assert circuit is not None
    client = Redis(connection_pool=circuit.pool)
    try:
        yield circuit, client.ping
    finally:
        await circuit.aclose()


async def fails() -> None:
    raise OSError("gone")


async def answers() -> str:
    return "answer"


async def lose(circuit: RedisCircuit) -> None:
    with pytest.raises(Unreachable):
        await circuit.ask(fails)


def end_pause(circuit: RedisCircuit) -> None:
    circuit._next_try = 0.0


class Held:
    """An operation that answers when it is let, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def __call__(self) -> str:
        self.asked += 1
        await self.may_answer.wait()
        return "answer"


def test_where_no_redis_is_named_there_is_no_circuit() -> None:
    assert RedisCircuit.of(Settings(_env_file=None)) is None


async def test_it_answers_what_redis_answers(redis: Any) -> None:
    async with opened(redis.url) as (circuit, ping):
        assert await circuit.ask(ping) is True


async def test_callers_beyond_its_connections_wait_and_are_answered(redis: Any, lines: list[Any]) -> None:
    async with opened(redis.url) as (circuit, ping):
        assert await asyncio.gather(*(circuit.ask(ping) for _ in range(200))) == [True] * 200
        assert circuit.pool.max_connections < 200
    assert lines == []


async def test_after_a_failure_nobody_asks(redis: Any) -> None:
    async with opened(redis.url) as (circuit, ping):
        redis.stop()
        with pytest.raises(Unreachable):
            await circuit.ask(ping)
        never = Held()
        for _ in range(3):
            with pytest.raises(Unreachable):
                await circuit.ask(never)
        assert never.asked == 0


@pytest.mark.parametrize("error", [OSError("gone"), ValueError("odd"), RuntimeError(), TimeoutError()], ids=repr)
async def test_any_failure_is_one_of_redis(redis: Any, lines: list[Any], error: Exception) -> None:
    async def operation() -> None:
        raise error

    async with opened(redis.url) as (circuit, _):
        with pytest.raises(Unreachable) as refused:
            await circuit.ask(operation)
    assert refused.value.__cause__ is error
    assert [line["reason"] for line in lines] == [str(error) or type(error).__name__]


async def test_what_redis_refuses_is_a_failure(redis: Any) -> None:
    async with opened(redis.url) as (circuit, _):
        client = Redis(connection_pool=circuit.pool)
        with pytest.raises(Unreachable):
            await circuit.ask(lambda: client.execute_command("NONSENSE"))


async def test_a_pause_ends_with_a_trial_that_succeeds(redis: Any) -> None:
    async with opened(redis.url) as (circuit, ping):
        await lose(circuit)
        end_pause(circuit)
        assert await circuit.ask(ping) is True
        assert await asyncio.gather(*(circuit.ask(ping) for _ in range(10))) == [True] * 10


async def test_a_restart_is_one_loss_however_many_connections_there_were(redis: Any) -> None:
    async with opened(redis.url) as (circuit, ping):
        await asyncio.gather(*(circuit.ask(ping) for _ in range(8)))
        redis.stop()
        redis.start()
        with pytest.raises(Unreachable):
            await circuit.ask(ping)
        end_pause(circuit)
        assert await circuit.ask(ping) is True
        for _ in range(3):
            assert await asyncio.gather(*(circuit.ask(ping) for _ in range(8))) == [True] * 8


async def test_a_trial_that_fails_begins_another_pause(redis: Any) -> None:
    async with opened(redis.url) as (circuit, _):
        await lose(circuit)
        end_pause(circuit)
        await lose(circuit)
        never = Held()
        with pytest.raises(Unreachable):
            await circuit.ask(never)
        assert never.asked == 0


async def test_a_pause_is_as_long_as_is_said(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_circuit, "_PAUSE", 0.3)
    async with opened(redis.url) as (circuit, _):
        lost_at = time.monotonic()
        await lose(circuit)
        while True:
            asked_at = time.monotonic()
            with contextlib.suppress(Unreachable):
                assert await circuit.ask(answers) == "answer"
                break
            assert asked_at < lost_at + 30
            await asyncio.sleep(0)
        assert time.monotonic() >= lost_at + 0.3


async def test_one_tries_while_the_others_go_on(redis: Any) -> None:
    async with opened(redis.url) as (circuit, _):
        await lose(circuit)
        end_pause(circuit)
        held = Held()
        trial = asyncio.create_task(circuit.ask(held))
        await until(lambda: held.asked)
        others = await asyncio.gather(*(circuit.ask(held) for _ in range(20)), return_exceptions=True)
        assert {type(other) for other in others} == {Unreachable}
        assert not trial.done()
        held.may_answer.set()
        assert (await trial, held.asked) == ("answer", 1)


async def test_a_trial_that_is_given_up_is_followed_by_another(redis: Any) -> None:
    async with opened(redis.url) as (circuit, _):
        await lose(circuit)
        end_pause(circuit)
        held = Held()
        trial = asyncio.create_task(circuit.ask(held))
        await until(lambda: held.asked)
        trial.cancel()
        await asyncio.gather(trial, return_exceptions=True)
        end_pause(circuit)
        assert await circuit.ask(answers) == "answer"


async def test_a_caller_that_is_given_up_is_no_failure(redis: Any, lines: list[Any]) -> None:
    async with opened(redis.url) as (circuit, ping):
        held = Held()
        caller = asyncio.create_task(circuit.ask(held))
        await until(lambda: held.asked)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await circuit.ask(ping) is True
    assert lines == []


async def test_an_answer_from_before_the_loss_does_not_end_the_pause(redis: Any) -> None:
    async with opened(redis.url) as (circuit, _):
        held = Held()
        early = asyncio.create_task(circuit.ask(held))
        await until(lambda: held.asked)
        await lose(circuit)
        held.may_answer.set()
        assert await early == "answer"
        with pytest.raises(Unreachable):
            await circuit.ask(answers)


async def test_loss_and_recovery_are_a_line_each(redis: Any, lines: list[Any]) -> None:
    async with opened(redis.url) as (circuit, ping):
        together = [circuit.ask(fails) for _ in range(5)]
        await asyncio.gather(*together, return_exceptions=True)
        for _ in range(2):
            end_pause(circuit)
            await lose(circuit)
        end_pause(circuit)
        for _ in range(3):
            await circuit.ask(ping)
    said = [(line["log_level"], line["event"]) for line in lines]
    assert said == [("warning", "redis_lost"), ("info", "redis_recovered")]


async def test_a_redis_that_does_not_answer_is_waited_for_a_moment(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real patience
    async with opened(redis.url) as (circuit, ping):
        redis.pause()
        asked_at = time.monotonic()
        with pytest.raises(Unreachable):
            await circuit.ask(ping)
        assert redis_circuit._PATIENCE <= time.monotonic() - asked_at < 2.0


async def test_a_redis_that_trickles_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real patience

    is_over, ended = asyncio.Event(), asyncio.Event()

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Each piece comes well within the time that the client waits for one.
        while not is_over.is_set():
            writer.write(b"+")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(redis_circuit._PATIENCE / 10):
                    await is_over.wait()
        writer.transport.abort()
        ended.set()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with server, opened(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0") as (circuit, ping):
        asked_at = time.monotonic()
        with pytest.raises(Unreachable):
            await circuit.ask(ping)
        assert time.monotonic() - asked_at < 3.0
        is_over.set()
        async with asyncio.timeout(30):
            await ended.wait()


async def test_nobody_waits_for_a_lost_one(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(redis.url) as (circuit, ping):
        redis.pause()
        monkeypatch.setattr(redis_circuit, "_PATIENCE", 0.25)
        with pytest.raises(Unreachable):
            await circuit.ask(ping)
        # Whoever waited now would not be back in time, however slow the machine is.
        monkeypatch.setattr(redis_circuit, "_PATIENCE", 3600.0)
        async with asyncio.timeout(60):
            asked = await asyncio.gather(*(circuit.ask(ping) for _ in range(1000)), return_exceptions=True)
        assert {type(each) for each in asked} == {Unreachable}
