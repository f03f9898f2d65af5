"""The service as it is operated, two instances on one PostgreSQL and one Redis, under load while everything fails."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from pydantic import SecretStr

from factories import Factory, NewTenant
from faults.fleet import fleet_of
from faults.load import Load
from faults.network import Network, networked
from faults.strikes import STRIKES, Scene, play
from faults.verdict import judged
from restartable import Restartable
from service import keyring
from service.database import Database
from service.settings import Settings
from service.work import Work
from subscribers import Subscriber

_PATIENCE = 90.0
_BURST = 40
"""Requests at once, several for every connection of an instance."""
_ANSWERS = {"200", "201", "404 not_found", "409 in_progress", "503 unavailable", "503 commit_unknown", "504 timeout"}
"""All that a client is told that does nothing wrong."""


@pytest.fixture(scope="module")
def own_server() -> Iterator[Restartable]:
    with Restartable.made() as restartable:
        yield restartable


@pytest.fixture(scope="module")
def own_settings(own_server: Restartable) -> Settings:
    return own_server.settings()


async def prepared(settings: Settings, seed: int, tenants: int) -> tuple[dict[NewTenant, str], int]:
    """Tenants with the token of each, and the epoch of the log; whoever made them has left."""
    async with (
        Database.open(settings.address("quarry_app"), settings.limits, keyring=keyring.of(settings)) as database,
        Database.open(settings.address("quarry_platform"), settings.limits) as platform,
    ):
        new = Factory(database, platform)
        made = [await new.tenant(f"s{seed}t{n}") for n in range(tenants)]
        async with Work(database, None) as work:
            epoch = await work.log.enter_life()
        return {tenant: await new.token(tenant) for tenant in made}, epoch


def through(settings: Settings, network: Network) -> Settings:
    """The same server, by way of the network."""
    changed = {}
    for name in ("database_url", "database_migration_url", "database_platform_url"):
        parts = urlsplit(getattr(settings, name).get_secret_value())
        netloc = f"{parts.username}:{parts.password}@127.0.0.1:{network.port}"
        changed[name] = SecretStr(urlunsplit(parts._replace(netloc=netloc)))
    return settings.model_copy(update=changed)


@asynccontextmanager
async def loaded(load: Load, writers: int, readers: int) -> AsyncIterator[None]:
    """Writers and readers at work during the block; each has finished what it had begun after it."""
    async with asyncio.TaskGroup() as tasks:
        for n in range(writers):
            tasks.create_task(load.write(n))
        for n in range(readers):
            tasks.create_task(load.read(n))
        try:
            yield
        finally:
            load.done.set()


@asynccontextmanager
async def followed(load: Load, epoch: int, heads: dict[NewTenant, int]) -> AsyncIterator[dict[NewTenant, Subscriber]]:
    """A subscriber of every tenant; after the block each has seen every commit up to `heads`."""
    subscribers = {
        tenant: Subscriber(token, lambda: load.fleet.urls, random.Random(load.seed + n))
        for n, (tenant, token) in enumerate(load.tokens.items())
    }
    tasks = [asyncio.create_task(each.follow(load.client, f"{epoch}-0")) for each in subscribers.values()]
    try:
        yield subscribers
        async with asyncio.timeout(_PATIENCE):
            while any(len(subscribers[tenant].events) < head for tenant, head in heads.items()):
                assert not any(task.done() for task in tasks), tasks
                await asyncio.sleep(0.05)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def survived(
    own_server: Restartable, settings: Settings, redis: Any, directory: Path,
    *, tenants: int, writers: int, readers: int, rounds: int, storm: float, seed: int,
) -> str:  # fmt: skip
    """Write, read and follow while everything fails; then compare. Answers what there was of everything."""
    chance = random.Random(seed)
    tokens, epoch = await prepared(settings, seed, tenants)
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(networked(own_server.server.host, own_server.server.port, seed))
        fleet = await stack.enter_async_context(fleet_of(through(settings, network), directory, REDIS_URL=redis.url))
        # Connections are left before the service leaves them.
        limits = httpx.Limits(max_connections=None, keepalive_expiry=2)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30, limits=limits, trust_env=False))
        load = Load(fleet, client, tokens, seed)
        scene = Scene(own_server, settings, fleet, network, redis, load, chance, storm)
        heads: dict[NewTenant, int] = {}
        async with followed(load, epoch, heads) as subscribers:
            async with loaded(load, writers, readers):
                await play(scene, rounds)
            heads |= {tenant: _number(positions) for tenant, positions in load.positions.items()}
        bursts = [await load.burst(url, _BURST) for url in fleet.urls]
        verdict = await judged(settings, load)
        unforeseen = fleet.logs().count("Traceback")
    failed = [each.outcome for each in scene.accepted if each.outcome not in _ANSWERS or each.outcome[0] == "5"]
    said = (
        f"seed {seed}: {load.answers.total()} requests, answers {dict(sorted(load.answers.items()))}; {verdict.acknowledged}"
        f" acknowledged writes ({load.replayed} of them replayed), missing {verdict.missing}, duplicates"
        f" {verdict.duplicates}, unexplained {verdict.unexplained}, without a number of their own {verdict.renumbered};"
        f" transactions left open {verdict.left_open}; wrong answers {len(load.wrong)}; {scene.killed} backends killed,"
        f" {network.hit} connections cut or stalled; accepted before SIGTERM {len(scene.accepted)}, of them failed"
        f" {len(failed)}; streams saw {sum(len(each.events) for each in subscribers.values())} commits, reset"
        f" {sum(len(each.resets) for each in subscribers.values())}; unforeseen in the log {unforeseen};"
        " seconds to full recovery: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in scene.recoveries)
    )
    assert load.wrong == [], (said, load.wrong[:10])
    assert set(load.answers) <= {*_ANSWERS, "connection lost"}, said
    assert verdict.is_clean, said
    assert failed == scene.cut_streams == scene.troubled == [], (said, failed, scene.cut_streams, scene.troubled)
    assert set(scene.statuses) == {0}, (said, scene.statuses)
    assert bursts == [_BURST] * 2, (said, bursts)
    for each in subscribers.values():
        assert not each.resets, said
        assert sorted(each.events) == list(range(1, len(each.events) + 1)), said
    # All of it has happened.
    assert scene.killed, said
    assert network.hit, said
    assert {name for name, _ in scene.recoveries} == set(STRIKES)
    return said


def _number(positions: list[str]) -> int:
    return max(int(position.partition("-")[2]) for position in positions)


async def test_nothing_acknowledged_is_lost_or_done_twice_whatever_fails(
    own_server: Restartable, own_settings: Settings, redis: Any, tmp_path: Path
) -> None:
    said = await survived(
        own_server, own_settings, redis, tmp_path, tenants=3, writers=5, readers=3, rounds=1, storm=3.0, seed=1
    )
    print(f"\nfaults: {said}")


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
@pytest.mark.parametrize("seed", [11, 12, 13])
async def test_the_same_at_length(
    own_server: Restartable, own_settings: Settings, redis: Any, tmp_path: Path, seed: int
) -> None:
    said = await survived(
        own_server, own_settings, redis, tmp_path, tenants=8, writers=8, readers=4, rounds=2, storm=15.0, seed=seed
    )
    print(f"\nfaults: {said}")
