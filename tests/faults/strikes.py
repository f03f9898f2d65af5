"""What befalls the service while it is at work, one thing after the other, and how long it took to get over it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import asyncpg
import httpx

from arranging.accounts import NewTenant
from arranging.restartable import Restartable
from arranging.standby import Standby
from faults.fleet import Fleet
from faults.load import Flight, Load
from faults.network import Network
from service.settings.settings import Settings

_PATIENCE = 90.0
_WHOLE = 20
"""Successes one after the other of every instance, after which it has recovered."""
_KILLS_PER_SECOND = 20
_STREAMS = 3
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE usename = 'quarry_app' AND pid <> pg_backend_pid() ORDER BY pid"


@dataclass
class Scene:
    """All that can be struck, and what was noted of it."""

    own_server: Restartable
    standby: Standby
    settings: Settings
    fleet: Fleet
    network: Network
    redis: Any
    load: Load
    chance: random.Random
    storm: float
    """Seconds that backends are killed for."""
    killed: int = 0
    accepted: list[Flight] = field(default_factory=list)
    """Requests that an instance had when it was told to stop."""
    statuses: list[int] = field(default_factory=list)
    """How instances ended that were told to stop."""
    cut_streams: list[str] = field(default_factory=list)
    troubled: list[str] = field(default_factory=list)
    """What failed on other instances while one was told to stop."""
    recoveries: list[tuple[str, float]] = field(default_factory=list)


Strike = Callable[[Scene], Awaitable[None]]


async def backends_killed(scene: Scene) -> None:
    root = await asyncpg.connect(scene.settings.administration().url)
    try:
        began = monotonic()
        for n in range(int(scene.storm * _KILLS_PER_SECOND)):
            # The rate of the storm, whatever a kill takes.
            await asyncio.sleep(began + n / _KILLS_PER_SECOND - monotonic())
            pids = [pid for (pid,) in await root.fetch(_BACKENDS)]
            if pids:
                scene.killed += await root.fetchval("SELECT pg_terminate_backend($1)", scene.chance.choice(pids))
    finally:
        await root.close()


async def server_restarted(scene: Scene) -> None:
    await asyncio.to_thread(scene.own_server.restart)


async def postmaster_killed(scene: Scene) -> None:
    await asyncio.to_thread(scene.own_server.kill_postmaster)


async def replica_lost(scene: Scene) -> None:
    await asyncio.to_thread(scene.standby.kill)
    await _last(scene.chance, 1.5)
    await asyncio.to_thread(scene.standby.start_again)


async def redis_restarted(scene: Scene) -> None:
    await asyncio.to_thread(scene.redis.stop)
    await _last(scene.chance, 0.5)
    await asyncio.to_thread(scene.redis.restore)


async def redis_paused(scene: Scene) -> None:
    scene.redis.pause()
    await _last(scene.chance, 1.0)
    scene.redis.resume()


async def network_cut(scene: Scene) -> None:
    scene.network.turn("cutting")
    await _last(scene.chance, 1.5)
    scene.network.turn("fair")


async def network_stalled(scene: Scene) -> None:
    # For longer than the service has patience with a statement.
    scene.network.turn("stalling")
    await _last(scene.chance, 2.5)
    scene.network.turn("fair")


async def instance_told_to_stop(scene: Scene) -> None:
    """The oldest one, with requests and streams open; it is replaced once it has ended."""
    load, url = scene.load, scene.fleet.urls[0]
    async with asyncio.timeout(_PATIENCE), asyncio.TaskGroup() as tasks:
        begun = [asyncio.Event() for _ in range(_STREAMS)]
        streams = [tasks.create_task(_read_to_its_end(scene, url, each)) for each in begun]
        for each in begun:
            await each.wait()
        while len(accepted := load.accepted(url)) < 2:
            await asyncio.sleep(0)
        before = {other: load.lost[other] for other in scene.fleet.urls if other != url}
        load.leaving.add(url)
        os.kill(scene.fleet.pid(url), signal.SIGTERM)
        scene.accepted += accepted
        scene.statuses.append(await asyncio.to_thread(scene.fleet.ended, url))
        while load.flights & set(accepted):
            await asyncio.sleep(0.001)
    scene.cut_streams += [said for stream in streams if (said := stream.result())]
    scene.troubled += [f"{other}: {load.lost[other] - n}" for other, n in before.items() if load.lost[other] != n]
    await asyncio.to_thread(scene.fleet.start)


async def _read_to_its_end(scene: Scene, url: str, begun: asyncio.Event) -> str:
    """What goes wrong with a stream that is read until the service ends it: it has to end it as an answer is ended."""
    tenant: NewTenant = scene.chance.choice(list(scene.load.tokens))
    headers = {"Authorization": f"Bearer {scene.load.tokens[tenant]}"}
    try:
        async with scene.load.client.stream("GET", f"{url}/v1/changes/stream", headers=headers) as answer:
            async for line in answer.aiter_lines():
                if line == "event: ready":
                    begun.set()
    except httpx.TransportError as error:
        return str(error) or type(error).__name__
    finally:
        begun.set()
    return "" if answer.status_code == 200 else f"{answer.status_code}"


STRIKES: dict[str, Strike] = {
    "backends killed": backends_killed,
    "server restarted": server_restarted,
    "postmaster killed": postmaster_killed,
    "replica lost": replica_lost,
    "Redis restarted": redis_restarted,
    "Redis paused": redis_paused,
    "network cut": network_cut,
    "network stalled": network_stalled,
    "instance told to stop": instance_told_to_stop,
}


async def play(scene: Scene, rounds: int) -> None:
    """Every strike once a round, in an order that chance gives, each when the last one has been got over."""
    await _recovered(scene)
    for _ in range(rounds):
        for name in scene.chance.sample(list(STRIKES), len(STRIKES)):
            await _last(scene.chance, 0.1)
            await STRIKES[name](scene)
            scene.recoveries.append((name, await _recovered(scene)))


async def _recovered(scene: Scene) -> float:
    """Wait until every instance answers one request after the other; answers after how many seconds that began."""
    began, load = monotonic(), scene.load
    load.streaks.clear()
    async with asyncio.timeout(_PATIENCE):
        while not all(load.streaks[url].length >= _WHOLE for url in scene.fleet.urls):
            assert not load.done.is_set()
            await asyncio.sleep(0.005)
    return max(load.streaks[url].since for url in scene.fleet.urls) - began


async def _last(chance: random.Random, least: float) -> None:
    """How long something lasts: the schedule is of times."""
    await asyncio.sleep(least * chance.uniform(1.0, 1.6))
