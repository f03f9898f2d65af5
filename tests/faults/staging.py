"""What a run under load is made of: tenants, clients that write and read, subscribers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from arranging.accounts import NewTenant
from arranging.factories import Factory
from arranging.subscribers import Subscriber
from faults.load import Load
from service.database.database import Database
from service.personal import keyring
from service.settings.settings import Settings
from service.work import Work

_PATIENCE = 90.0


async def prepared(settings: Settings, seed: int, tenants: int) -> tuple[dict[NewTenant, str], int]:
    """Tenants with the token of each, and the epoch of the log; whoever made them has left."""
    async with (
        Database.open(settings.address("quarry_app"), settings.limits, keyring=keyring.load(settings)) as database,
        Database.open(settings.address("quarry_platform"), settings.limits) as platform,
    ):
        new = Factory(database, platform)
        made = [await new.tenant(f"s{seed}t{n}") for n in range(tenants)]
        async with Work(database, None) as work:
            epoch = await work.installation.enter_epoch()
        return {tenant: await new.token(tenant) for tenant in made}, epoch


def through(settings: Settings, port: int) -> Settings:
    """The same database by another port: of a network in front of it, or of a copy."""
    changed = {}
    for name in ("database_url", "database_migration_url", "database_platform_url"):
        parts = urlsplit(getattr(settings, name).get_secret_value())
        netloc = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
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
