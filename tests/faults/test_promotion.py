"""The primary is lost under load and its replica takes its place: another life, in which all that was acknowledged is there."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import httpx
import pytest

from arranging.restartable import Restartable
from arranging.standby import Standby, ask, replica_url, standby_of
from arranging.subscribers import Subscriber
from faults.fleet import fleet_of
from faults.load import Load
from faults.network import Network, networked
from faults.staging import loaded, prepared, through
from faults.verdict import judged
from service.settings.settings import Settings

_PATIENCE = 90.0
_WRITES = 100
"""Acknowledged before the primary is lost, and again after its place has been taken."""


@pytest.fixture
def primary() -> Iterator[Restartable]:
    with Restartable.made() as started:
        yield started


@pytest.fixture
def settings(primary: Restartable) -> Settings:
    return primary.settings()


@pytest.fixture
def standby(primary: Restartable, settings: Settings) -> Iterator[Standby]:
    """A replica that every commit waits for: what is acknowledged is there too."""
    with standby_of(primary.server) as started:
        ask(primary.server, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        ask(primary.server, "SELECT pg_reload_conf()")
        yield started


async def promoted(primary: Restartable, standby: Standby, network: Network) -> None:
    """Lose the primary, let the replica take its place, and lead everybody there."""
    await asyncio.to_thread(primary.kill)
    assert await asyncio.to_thread(standby.execute, "SELECT pg_promote()")
    network.target = (standby.server.host, standby.server.port)


async def written(load: Load, count: int) -> float:
    """Wait until so many more writes have been acknowledged; answers after how many seconds the first of them was."""
    began, before = monotonic(), load.writes
    first = 0.0
    async with asyncio.timeout(_PATIENCE):
        while load.writes < before + count:
            await asyncio.sleep(0.005)
            if not first and load.writes > before:
                first = monotonic() - began
    return first


async def survived(
    primary: Restartable, standby: Standby, settings: Settings, directory: Path, *, seed: int, writes: int
) -> str:
    """Answers what there was of everything."""
    tokens, epoch = await prepared(settings, seed, 3)
    after = through(settings, standby.server.port)
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(networked(primary.server.host, primary.server.port, seed))
        fleet = await stack.enter_async_context(
            fleet_of(
                through(settings, network.port), directory, DATABASE_REPLICA_URLS=replica_url(settings, standby.server)
            )
        )
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30, trust_env=False))
        load = Load(fleet, client, tokens, seed)
        subscribers = [
            Subscriber(token, lambda: fleet.urls, random.Random(seed + n)) for n, token in enumerate(tokens.values())
        ]
        following = [asyncio.create_task(each.follow(client, f"{epoch}-0")) for each in subscribers]
        async with loaded(load, 4, 4):
            await written(load, writes)
            read_there = await load.counted('quarry_replica_reads_total{outcome="replica"}')
            await promoted(primary, standby, network)
            first = await written(load, writes)
        async with asyncio.timeout(_PATIENCE):
            while not all(each.resets for each in subscribers):
                await asyncio.sleep(0.05)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        verdict = await judged(after, load)
        unforeseen = fleet.logs().count("Traceback")
    epochs = {position.partition("-")[0] for positions in load.positions.values() for position in positions}
    said = (
        f"seed {seed}: {load.answers.total()} requests, answers {dict(sorted(load.answers.items()))};"
        f" {verdict.acknowledged} acknowledged writes, missing {verdict.missing}, duplicates {verdict.duplicates},"
        f" unexplained {verdict.unexplained}, left open {verdict.left_open}; wrong answers {len(load.wrong)};"
        f" {read_there:.0f} read from the replica before; epochs {sorted(epochs)}; the first write {first:.2f} s after"
        f" the promotion; unforeseen in the log {unforeseen}"
    )
    assert load.wrong == [], (said, load.wrong[:10])
    assert verdict.is_clean, (said, verdict)
    assert read_there, said
    assert len(epochs) == 2, said
    assert {reset["reason"] for each in subscribers for reset in each.resets} == {"epoch"}, said
    return said


async def test_a_promoted_replica_has_all_that_was_acknowledged_and_begins_another_life(
    primary: Restartable, standby: Standby, settings: Settings, tmp_path: Path
) -> None:
    print(f"\npromotion: {await survived(primary, standby, settings, tmp_path, seed=1, writes=_WRITES)}")


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
@pytest.mark.parametrize("seed", range(21, 26))
async def test_the_same_again_and_again(
    primary: Restartable, standby: Standby, settings: Settings, tmp_path: Path, seed: int
) -> None:
    print(f"\npromotion: {await survived(primary, standby, settings, tmp_path, seed=seed, writes=10 * _WRITES)}")
