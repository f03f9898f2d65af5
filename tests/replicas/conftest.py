"""A primary and a streaming replica of their own for each file, and a process of the service that reads from it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pydantic import SecretStr

from arranging.accounts import NewTenant
from arranging.application import Api
from arranging.factories import Factory
from arranging.restartable import Restartable
from arranging.standby import Standby, replica_url
from service.api.app import create_app
from service.database.database import Database
from service.personal import keyring
from service.settings.settings import Settings

_names = itertools.count(1)
Serve = Callable[..., Awaitable[Api]]


@pytest.fixture
async def standby(own_server: Restartable, own_standby: Standby) -> AsyncIterator[Standby]:
    """The replica, following; it does again afterwards."""
    yield own_standby
    await own_standby.resumed()
    await asyncio.to_thread(own_standby.await_replay, own_server.server)


@pytest.fixture
def settings(own_settings: Settings, standby: Standby) -> Settings:
    """Settings that name the replica."""
    return own_settings.model_copy(
        update={"database_replica_urls": (SecretStr(replica_url(own_settings, standby.server)),)}
    )


@pytest.fixture
async def elsewhere(own_settings: Settings) -> AsyncIterator[Factory]:
    """Another process of the service, which writes without telling this one."""
    keys = keyring.load(own_settings)
    async with (
        Database.open(own_settings.address("quarry_app"), own_settings.limits, keyring=keys) as database,
        Database.open(own_settings.address("quarry_platform"), own_settings.limits) as platform,
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
