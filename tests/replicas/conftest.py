"""A primary and a streaming replica of their own for each file, and a process of the service that reads from it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from application import Api
from factories import Factory, NewTenant
from restartable import Restartable
from service import keyring
from service.api.app import create_app
from service.database import Database
from service.settings import Settings
from standby import Standby, read_from, standby_of

_names = itertools.count(1)
Serve = Callable[..., Awaitable[Api]]


@pytest.fixture(scope="module")
def primary() -> Iterator[Restartable]:
    with Restartable.made() as started:
        yield started


@pytest.fixture(scope="module")
def primary_settings(primary: Restartable) -> Settings:
    return primary.settings()


@pytest.fixture(scope="module")
def started_standby(primary: Restartable, primary_settings: Settings) -> Iterator[Standby]:
    with standby_of(primary.server) as started:
        yield started


@pytest.fixture
async def standby(primary: Restartable, started_standby: Standby) -> AsyncIterator[Standby]:
    """The replica, following; it does again afterwards."""
    yield started_standby
    await started_standby.resumed()
    await asyncio.to_thread(started_standby.await_replay, primary.server)


@pytest.fixture
def settings(primary_settings: Settings, standby: Standby) -> Settings:
    """Settings that name the replica."""
    return read_from(primary_settings, standby.server)


@pytest.fixture
async def elsewhere(primary_settings: Settings) -> AsyncIterator[Factory]:
    """Another process of the service, which writes without telling this one."""
    keys = keyring.of(primary_settings)
    async with (
        Database.open(primary_settings.address("quarry_app"), primary_settings.limits, keyring=keys) as database,
        Database.open(primary_settings.address("quarry_platform"), primary_settings.limits) as platform,
    ):
        yield Factory(database, platform)


@pytest.fixture
async def acme(elsewhere: Factory) -> NewTenant:
    """A tenant of this test alone."""
    return await elsewhere.tenant(f"acme{next(_names)}")


@pytest.fixture
async def serve(settings: Settings, elsewhere: Factory) -> AsyncIterator[Serve]:
    """Starts the application with some settings changed, and waits until it has found out about the replica."""
    async with AsyncExitStack() as stack:

        async def start(state_of_replica: str = "up", **changes: Any) -> Api:
            app = create_app(settings.model_copy(update=changes))
            state = await stack.enter_async_context(app.router.lifespan_context(app))
            await replica_is(state, state_of_replica)
            return Api(app, state, stack, elsewhere)

        yield start


async def replica_is(state: Any, wanted: str) -> None:
    """Wait until the application says that its replica is so."""
    async with asyncio.timeout(30):
        while (found := (await state["health"].report())["replicas"]["replicas"][0]["state"]) != wanted:
            assert found
            await asyncio.sleep(0.01)
