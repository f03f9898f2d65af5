"""The service as it is operated, two instances on one PostgreSQL and one Redis, under load while everything fails."""

from __future__ import annotations

import os
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from arranging.accounts import NewTenant
from arranging.restartable import Restartable
from arranging.standby import Standby, replica_url
from faults.fleet import fleet_of
from faults.load import Load
from faults.network import networked
from faults.staging import followed, loaded, prepared, through
from faults.strikes import STRIKES, Scene, play
from faults.verdict import judged
from service.settings.settings import Settings

_PATIENCE = 90.0
_BURST = 40
"""Requests at once, several for every connection of an instance."""
_ANSWERS = {"200", "201", "404 not_found", "409 in_progress", "503 unavailable", "503 commit_unknown", "504 timeout"}
"""All that a client is told that does nothing wrong."""


async def survived(
    own_server: Restartable, standby: Standby, settings: Settings, redis: Any, directory: Path,
    *, tenants: int, writers: int, readers: int, rounds: int, storm: float, seed: int,
) -> str:  # fmt: skip
    """Write, read and follow while everything fails; then compare. Answers what there was of everything."""
    chance = random.Random(seed)
    tokens, epoch = await prepared(settings, seed, tenants)
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(networked(own_server.server.host, own_server.server.port, seed))
        replica = replica_url(settings, standby.server)
        fleet = await stack.enter_async_context(
            fleet_of(through(settings, network.port), directory, REDIS_URL=redis.url, DATABASE_REPLICA_URLS=replica)
        )
        # Connections are left before the service leaves them.
        limits = httpx.Limits(max_connections=None, keepalive_expiry=2)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30, limits=limits, trust_env=False))
        load = Load(fleet, client, tokens, seed)
        scene = Scene(own_server, standby, settings, fleet, network, redis, load, chance, storm)
        heads: dict[NewTenant, int] = {}
        async with followed(load, epoch, heads) as subscribers:
            async with loaded(load, writers, readers):
                await play(scene, rounds)
            heads |= {tenant: _number(positions) for tenant, positions in load.positions.items()}
        read_there = await load.counted('quarry_replica_reads_total{outcome="replica"}')
        bursts = [await load.burst(url, _BURST) for url in fleet.urls]
        verdict = await judged(settings, load)
        unforeseen = fleet.logs().count("Traceback")
    failed = [each.outcome for each in scene.accepted if each.outcome not in _ANSWERS or each.outcome[0] == "5"]
    said = (
        f"seed {seed}: {load.answers.total()} requests, answers {dict(sorted(load.answers.items()))}; {verdict.acknowledged}"
        f" acknowledged writes ({load.replayed} of them replayed), missing {verdict.missing}, duplicates"
        f" {verdict.duplicates}, unexplained {verdict.unexplained}, without a number of their own {verdict.renumbered};"
        f" transactions left open {verdict.left_open}; wrong answers {len(load.wrong)}; {scene.killed} backends killed,"
        f" {read_there:.0f} read from the replica by those instances that are left,"
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
    assert read_there, said
    assert network.hit, said
    assert {name for name, _ in scene.recoveries} == set(STRIKES)
    return said


def _number(positions: list[str]) -> int:
    return max(int(position.partition("-")[2]) for position in positions)


async def test_nothing_acknowledged_is_lost_or_done_twice_whatever_fails(
    own_server: Restartable, own_standby: Standby, own_settings: Settings, redis: Any, tmp_path: Path
) -> None:
    said = await survived(
        own_server,
        own_standby,
        own_settings,
        redis,
        tmp_path,
        tenants=3,
        writers=5,
        readers=3,
        rounds=1,
        storm=3.0,
        seed=1,
    )
    print(f"\nfaults: {said}")


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
@pytest.mark.parametrize("seed", [11, 12, 13])
async def test_the_same_at_length(
    own_server: Restartable, own_standby: Standby, own_settings: Settings, redis: Any, tmp_path: Path, seed: int
) -> None:
    said = await survived(
        own_server,
        own_standby,
        own_settings,
        redis,
        tmp_path,
        tenants=8,
        writers=8,
        readers=4,
        rounds=2,
        storm=15.0,
        seed=seed,
    )
    print(f"\nfaults: {said}")
