"""With requests running: a killed backend and a restarted server cost errors that say so, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from arranging.accounts import NewTenant
from arranging.application import Api
from arranging.factories import Factory
from arranging.restartable import Restartable, kill_a_backend
from service.api.app import create_app
from service.database.database import Database
from service.errors import ServiceError
from service.personal import keyring
from service.settings.settings import Settings
from service.work import Work


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


async def crash_at_commit(database: Database, tenant: NewTenant, name: str) -> str:
    """A write whose backend is killed between its number's message and the flush of its WAL; answers how it ended."""
    try:
        async with Work(database, tenant.id) as work:
            await work.campaigns.create(name=name, owner_id=tenant.owner.id)
            pid = work.connection.raw.get_server_pid()
            work.connection.raw.add_log_listener(lambda *_: os.kill(pid, signal.SIGKILL))
    except ServiceError as error:
        return error.code
    return "committed"


async def test_a_commit_that_a_crash_has_lost_is_never_taken_for_another(
    own_server: Restartable, own_settings: Settings
) -> None:
    async with (
        Database.open(
            own_settings.address("quarry_app"), own_settings.limits, keyring=keyring.load(own_settings)
        ) as database,
        Database.open(own_settings.address("quarry_platform"), own_settings.limits) as platform,
        Database.open(own_settings.administration(), own_settings.limits) as root,
    ):
        tenant = await Factory(database, platform).tenant("crashed")
        async with root.connection() as connection:
            # Time between the message and the flush, in which whoever comes next is killed too.
            for text in ("commit_delay = 100000", "commit_siblings = 0"):
                await connection.execute(f"ALTER SYSTEM SET {text}")
            await connection.execute("SELECT pg_reload_conf()")
        told = {}
        for n in range(3):
            # The writer beside it is given the transaction id that was lost.
            others = asyncio.create_task(written_beside(database, tenant, 5))
            told[f"Lost {n}"] = await crash_at_commit(database, tenant, f"Lost {n}")
            await others
        async with root.connection() as connection:
            await connection.execute("ALTER SYSTEM RESET ALL")
            await connection.execute("SELECT pg_reload_conf()")
        async with Work(database, tenant.id) as work:
            there = {campaign.name for campaign in await work.campaigns.page(limit=200)}
    assert set(told.values()) <= {"committed", "unavailable", "commit_unknown"}
    assert {name for name, how in told.items() if how == "committed"} <= there
    assert not {name for name, how in told.items() if how == "unavailable"} & there


async def written_beside(database: Database, tenant: NewTenant, count: int) -> None:
    """So many campaigns, however often the server has to be asked."""
    while count:
        with contextlib.suppress(ServiceError):
            async with Work(database, tenant.id) as work:
                await work.campaigns.create(name="Beside", owner_id=tenant.owner.id)
            count -= 1
        await asyncio.sleep(0.005)
