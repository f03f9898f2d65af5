"""With requests running: a killed backend and a restarted server cost errors that say so, and nothing else."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import httpx
import pytest

from application import Api
from factories import Factory
from restartable import Restartable, kill_a_backend
from service.api.app import create_app
from service.database import Database
from service.settings import Settings


@pytest.fixture(scope="module")
def own_server() -> Iterator[Restartable]:
    with Restartable.made() as restartable:
        yield restartable


@pytest.fixture(scope="module")
def own_settings(own_server: Restartable) -> Settings:
    return own_server.settings()


class Writers:
    """Clients that create campaigns until they are told to stop, and remember what they were told."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.statuses: Counter[int] = Counter()
        self.codes: Counter[str] = Counter()
        self.acknowledged: list[str] = []
        self.kept: set[str] = set()
        self.done = asyncio.Event()

    async def write(self, name: str) -> None:
        number = 0
        while not self.done.is_set():
            number += 1
            answer = await self.client.post("/v1/campaigns", json={"name": f"{name} {number}"})
            self.statuses[answer.status_code] += 1
            if answer.status_code == 201:
                self.acknowledged.append(answer.json()["id"])
            else:
                self.codes[answer.json()["code"]] += 1

    async def have_written(self, count: int) -> None:
        """Wait until that many more writes have been acknowledged."""
        goal = len(self.acknowledged) + count
        async with asyncio.timeout(60):
            while len(self.acknowledged) < goal:
                await asyncio.sleep(0.01)

    async def read_back(self) -> None:
        """All campaigns that are there after all, page by page."""
        after = ""
        while after is not None:
            page = (
                await self.client.get("/v1/campaigns", params={"limit": 200} | ({"after": after} if after else {}))
            ).json()
            self.kept |= {item["id"] for item in page["items"]}
            after = page["next"]


Fault = Callable[[Restartable, Settings], Awaitable[None]]


async def kill_one_backend(_: Restartable, settings: Settings) -> None:
    await kill_a_backend(settings)


async def restart(own_server: Restartable, _: Settings) -> None:
    await asyncio.to_thread(own_server.restart)


async def kill_the_postmaster(own_server: Restartable, _: Settings) -> None:
    await asyncio.to_thread(own_server.kill_postmaster)


FAULTS = [kill_one_backend, restart, kill_the_postmaster]


async def survive(own_server: Restartable, settings: Settings, fault: Fault, *, times: int, name: str) -> Writers:
    """Write through an application of its own while `fault` happens; answers what was acknowledged and kept."""
    app = create_app(settings)
    async with AsyncExitStack() as stack:
        state = await stack.enter_async_context(app.router.lifespan_context(app))
        platform = await stack.enter_async_context(Database.open(settings.address("quarry_platform"), settings.limits))
        new = Factory(state["database"], platform)
        writers = Writers(await Api(app, state, stack, new).client(await new.tenant(name)))
        async with asyncio.TaskGroup() as tasks:
            for n in range(4):
                tasks.create_task(writers.write(f"Writer {n}"))
            for _ in range(times):
                await writers.have_written(20)
                await fault(own_server, settings)
            await writers.have_written(20)
            writers.done.set()
        await writers.read_back()
    return writers


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_faults_lose_no_acknowledged_write(own_server: Restartable, own_settings: Settings, fault: Fault) -> None:
    name = fault.__name__.replace("_", "-")
    writers = await survive(own_server, own_settings, fault, times=1, name=name)
    assert set(writers.statuses) <= {201, 503}
    assert set(writers.codes) <= {"unavailable", "commit_unknown"}
    assert set(writers.acknowledged) <= writers.kept
    assert len(writers.kept) - len(writers.acknowledged) <= writers.codes["commit_unknown"]


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_many_faults_lose_no_acknowledged_write(
    own_server: Restartable, own_settings: Settings, fault: Fault
) -> None:
    name = "many-" + fault.__name__.replace("_", "-")
    writers = await survive(own_server, own_settings, fault, times=20, name=name)
    missing = len(set(writers.acknowledged) - writers.kept)
    print(
        f"\nrecovery, 20 x {fault.__name__}: {len(writers.acknowledged)} acknowledged, {missing} missing,"
        f" {len(writers.kept) - len(writers.acknowledged)} kept of {writers.codes['commit_unknown']} unknown,"
        f" errors {dict(writers.codes)}"
    )
    assert missing == 0
    assert set(writers.codes) <= {"unavailable", "commit_unknown"}
