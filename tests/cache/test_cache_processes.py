"""Processes with one Redis and one database: they share what they have read, and answer alike whatever Redis does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from arranging.accounts import NewTenant
from arranging.caching import Process, process
from arranging.factories import Factory
from changes.followers import NEVER, until
from service.cache import redis_circuit, watermarks
from service.cache.packing import unpack
from service.settings.settings import Settings
from service.work import Work

MARKER = "confidential"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with tests is no reason to give Redis or an answer up."""
    monkeypatch.setattr(redis_circuit, "_PATIENCE", 2.0)
    monkeypatch.setattr(watermarks, "LEASE", NEVER)


@pytest.fixture
def url(redis: Any) -> SecretStr:
    return SecretStr(redis.url)


@pytest.fixture
async def one(settings: Settings, url: SecretStr) -> AsyncIterator[Process]:
    async with process(settings, redis_url=url) as opened:
        yield opened


@pytest.fixture
async def other(settings: Settings, url: SecretStr) -> AsyncIterator[Process]:
    async with process(settings, redis_url=url) as opened:
        yield opened


async def left(process: Process) -> None:
    """Wait until Redis has what the process has read."""
    await asyncio.gather(*process.cache._writes)


async def rename(process: Process, tenant: NewTenant, id: UUID, name: str) -> None:
    async with Work(process.database, tenant.id) as work:
        await work.campaigns.update(id, given=["name"], name=name)


async def test_processes_share_what_they_have_read(one: Process, other: Process, acme: NewTenant, new: Factory) -> None:
    campaign = await new.campaign(acme)
    for each in (one, other):
        await each.catch_up(acme)
        assert await each.read(acme, lambda work: work.campaigns.find(campaign.id)) == campaign
        await left(each)
    assert (one.asked["campaigns.find"], other.asked["campaigns.find"]) == (1, 0)


async def test_a_process_that_begins_later_takes_what_no_commit_has_touched_since(
    one: Process, settings: Settings, url: SecretStr, acme: NewTenant, new: Factory
) -> None:
    campaign = await new.campaign(acme)
    await one.catch_up(acme)
    await one.read(acme, lambda work: work.campaigns.find(campaign.id))
    await one.read(acme, lambda work: work.campaigns.page())
    await left(one)
    late = await new.campaign(acme, "Late")
    async with process(settings, redis_url=url) as later:
        await later.catch_up(acme)
        await until(lambda: later.cache.watermarks._tenants[acme.id].start == 0)
        assert await later.read(acme, lambda work: work.campaigns.find(campaign.id)) == campaign
        assert await later.read(acme, lambda work: work.campaigns.page()) == [late, campaign]
        assert (later.asked["campaigns.find"], later.asked["campaigns.page"]) == (0, 1)


@pytest.mark.parametrize("how", ["pause", "stop", "flush", "restart", "damage"])
async def test_answers_are_the_same_whatever_happens_to_redis(
    one: Process, other: Process, acme: NewTenant, new: Factory, redis: Any, redis_client: Redis,
    monkeypatch: pytest.MonkeyPatch, how: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(redis_circuit, "_PATIENCE", 0.25)
    monkeypatch.setattr(redis_circuit, "_PAUSE", 0.05)
    campaign = await new.campaign(acme)

    async def same_and_true(name: str) -> None:
        await rename(one, acme, campaign.id, name)
        await other.catch_up(acme)
        for each in (one, other, one, other):
            found = await each.read(acme, lambda work: work.campaigns.find(campaign.id))
            assert (found.name, await each.read(acme, lambda work: work.campaigns.page())) == (name, [found])

    await same_and_true("Before")
    for each in (one, other):
        await left(each)
    keys = await redis_client.keys(f"*{acme.id.hex}*")
    assert keys
    if how == "flush":
        await redis_client.flushall()
    elif how == "damage":
        await redis_client.mset(dict.fromkeys(keys, b"\x00damaged"))
    else:
        getattr(redis, "stop" if how == "restart" else how)()
        if how == "restart":
            redis.restore()
    await same_and_true("During")
    redis.restore()
    await same_and_true("After")


async def test_redis_that_comes_back_is_shared_again(
    one: Process, other: Process, acme: NewTenant, new: Factory, redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_circuit, "_PAUSE", 0.05)
    campaign = await new.campaign(acme)
    for each in (one, other):
        await each.catch_up(acme)
    redis.stop()
    await one.read(acme, lambda work: work.campaigns.find(campaign.id))
    redis.restore()

    async def is_left() -> bool:
        one.cache._entries.clear()
        await one.read(acme, lambda work: work.campaigns.find(campaign.id))
        await left(one)
        return not one.cache._redis._is_lost

    await until(is_left)
    assert await other.read(acme, lambda work: work.campaigns.find(campaign.id)) == campaign
    assert other.asked["campaigns.find"] == 0


async def test_tenants_share_nothing(one: Process, acme: NewTenant, new: Factory, redis_client: Redis) -> None:
    globex = await new.tenant("globex")
    campaigns = {tenant: await new.campaign(tenant, tenant.domain) for tenant in (acme, globex)}
    for _ in range(2):
        for tenant, campaign in campaigns.items():
            assert await one.read(tenant, lambda work: work.campaigns.page()) == [campaign]
        await left(one)
        one.cache._entries.clear()
    for tenant in campaigns:
        (value,) = [await redis_client.get(key) for key in await redis_client.keys(f"*{tenant.id.hex}*")]
        held = {other.domain for other, campaign in campaigns.items() if campaign.id.hex.encode() in value}
        assert held == {tenant.domain}


def inside(value: Any) -> Iterator[bytes]:
    """Every text and every run of bytes in what was unpacked."""
    if isinstance(value, list):
        for each in value:
            yield from inside(each)
    elif isinstance(value, bytes | str):
        yield value.encode() if isinstance(value, str) else value


async def test_personal_data_is_sealed_in_what_redis_holds(
    one: Process, acme: NewTenant, new: Factory, redis_client: Redis
) -> None:
    email, phone = f"{MARKER}@example.com", "+14155550199"
    brand = await new.brand(acme, email=email, phone=phone, poc_email=email, brand_email=email, gst_document=MARKER)
    await new.influencer(acme, email=email, phone=phone)
    user = await new.user(acme.id, email=email)
    for question in (
        lambda work: work.brands.find(brand.id), lambda work: work.brands.page(email=email),
        lambda work: work.brands.page(phone=phone), lambda work: work.influencers.page(email=email),
        lambda work: work.users.find(user.id), lambda work: work.users.page(email=email),
    ):  # fmt: skip
        found = await one.read(acme, question)
        assert email in str((found[0] if isinstance(found, list) else found).model_dump())
    await left(one)
    held = {key: await redis_client.get(key) for key in await redis_client.keys(f"*{acme.id.hex}*")}
    assert len(held) == 6
    for key, value in held.items():
        for secret in (MARKER.encode(), phone[1:].encode()):
            assert secret not in key + value + b" ".join(inside(unpack(value)))
