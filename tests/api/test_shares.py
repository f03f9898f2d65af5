"""One tenant, or one bearer, gets a share of the pool: who comes after them does not wait for them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from arranging.accounts import NewTenant
from arranging.application import problem
from service.errors import RateLimited
from service.http.shares import Shares


async def test_a_bearer_has_half_and_a_tenant_three_quarters() -> None:
    shares, held = Shares(8), AsyncExitStack()
    for bearer in ("a", "b", "c", "d"):
        shares.prove(bearer)
    for bearer in ("a",) * 4 + ("b",) * 2:
        await asyncio.wait_for(held.enter_async_context(shares.hold("acme", bearer, "here")), 1)
    for tenant, bearer in (("acme", "a"), ("acme", "c")):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(held.enter_async_context(shares.hold(tenant, bearer, "here")), 0.05)
    async with asyncio.timeout(1), shares.hold("globex", "d", "here"):
        pass
    await held.aclose()
    assert not shares._shares


async def test_whoever_waits_comes_in_turn_and_who_gives_up_is_passed_over() -> None:
    shares, order = Shares(1), list[str]()

    async def enter(name: str) -> None:
        async with shares.hold("acme", "a", "here"):
            order.append(name)

    async with shares.hold("acme", "a", "here"):
        tasks = [asyncio.create_task(enter(name)) for name in ("first", "second", "third")]
        await asyncio.sleep(0)
        tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["first", "third"]
    assert not shares._shares


async def test_who_gives_up_in_the_moment_of_their_turn_gives_up() -> None:
    shares = Shares(1)
    async with shares.hold("acme", "a", "here"):
        waiting = asyncio.create_task(shares.hold("acme", "a", "here").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not shares._shares


async def test_invented_tokens_do_not_fill_the_share_of_the_tenant_that_they_name() -> None:
    shares = Shares(2)
    shares.prove("known")
    async with shares.hold("acme", "invented", "elsewhere"):
        invented = [asyncio.create_task(shares.hold("acme", str(n), "elsewhere").__aenter__()) for n in range(101)]
        await asyncio.sleep(0)
        async with asyncio.timeout(1), shares.hold("acme", "known", "here"):
            pass
        for each in invented:
            each.cancel()
        ended = await asyncio.gather(*invented, return_exceptions=True)
    assert isinstance(ended[-1], RateLimited)
    assert not shares._shares


async def test_a_queue_has_an_end() -> None:
    shares = Shares(1)
    async with shares.hold("acme", "a", "here"):
        waiting = [asyncio.create_task(shares.hold("acme", "a", "here").__aenter__()) for _ in range(100)]
        await asyncio.sleep(0)
        with pytest.raises(RateLimited):
            await shares.hold("acme", "a", "here").__aenter__()
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert not shares._shares


async def test_requests_of_others_are_served_while_a_tenant_s_are_slow(
    serve: Any, acme: NewTenant, globex: NewTenant, superuser: Any
) -> None:
    api = await serve(database_pool_max=4, cache_ttl=0.0)
    slow, other = await api.client(acme), await api.client(globex)
    superuser.execute("LOCK TABLE quarry.campaigns IN ACCESS EXCLUSIVE MODE")
    stuck = [asyncio.create_task(slow.post("/v1/campaigns", json={"name": "A"})) for _ in range(20)]
    async with asyncio.timeout(5):
        for _ in range(5):
            assert (await other.get("/v1/tenant")).status_code == 200
    superuser.rollback()
    assert {(await each).status_code for each in stuck} == {201}


async def test_answers_to_repeat_have_a_quota_per_tenant(serve: Any, acme: NewTenant, globex: NewTenant) -> None:
    api = await serve(idempotency_keys_per_tenant=2)
    client, other = await api.client(acme), await api.client(globex)
    for key in ("a", "b"):
        answer = await client.post("/v1/campaigns", json={"name": "A"}, headers={"Idempotency-Key": key})
        assert answer.status_code == 201
        api.state["quota"]._asked.clear()
    refused = await client.post("/v1/campaigns", json={"name": "A"}, headers={"Idempotency-Key": "c"})
    problem(refused, 429, "rate_limited")
    repeated = await client.post("/v1/campaigns", json={"name": "A"}, headers={"Idempotency-Key": "b"})
    assert (repeated.status_code, repeated.json()["id"]) == (201, answer.json()["id"])
    assert (await client.post("/v1/campaigns", json={"name": "A"})).status_code == 201
    kept = await other.post("/v1/campaigns", json={"name": "A"}, headers={"Idempotency-Key": "c"})
    assert kept.status_code == 201
