"""Connections that are held between two uses: used again at once, in order of arrival, and never when they are lost."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from changes.followers import until
from service.database import held
from service.database.database import Database
from service.database.retries import repeated
from service.errors import Unavailable
from service.settings.settings import Settings

END_ALL = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND usename = 'quarry_app'"""


async def pid(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT pg_backend_pid()", ()) or 0)


async def test_a_connection_is_used_again_without_asyncpg_s_pool(database: Database) -> None:
    first = await pid(database)
    idle = database.pool.raw.get_idle_size()
    assert await pid(database) == first
    assert database.pool.raw.get_idle_size() == idle
    assert database.pool.idle > idle


async def test_a_connection_that_is_not_needed_goes_back(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_TICK", 0.05)
    await pid(database)
    size = database.pool.raw.get_size()
    await until(lambda: database.pool.raw.get_idle_size() == size)
    assert await pid(database)


async def test_who_waits_is_served_before_who_comes_later(settings: Settings) -> None:
    limits = dataclasses.replace(settings.limits, minimum=1, maximum=1)
    served: list[str] = []

    async def use(name: str) -> None:
        async with database.connection():
            served.append(name)
            await asyncio.sleep(0)

    async with Database.open(settings.address("quarry_app"), limits) as database, asyncio.TaskGroup() as tasks:
        async with database.connection():
            for name in ("first", "second", "third"):
                tasks.create_task(use(name))
                await asyncio.sleep(0)
        tasks.create_task(use("last"))
    assert served == ["first", "second", "third", "last"]


async def test_a_connection_of_who_gives_up_goes_to_the_next(settings: Settings) -> None:
    limits = dataclasses.replace(settings.limits, minimum=1, maximum=1)
    async with Database.open(settings.address("quarry_app"), limits) as database:
        async with database.connection():
            first, second = (asyncio.create_task(pid(database)) for _ in range(2))
            await asyncio.sleep(0)
        # The first has been served by now, and does not know it yet.
        first.cancel()
        async with asyncio.timeout(30):
            assert await second
    assert first.cancelled()


async def test_a_release_that_is_cancelled_leaves_its_place(settings: Settings) -> None:
    limits = dataclasses.replace(settings.limits, minimum=1, maximum=1)
    async with Database.open(settings.address("quarry_app"), limits) as database:
        used = await database.pool.acquire()
        await database.pool.renew()
        release = asyncio.create_task(database.pool.release(used))
        await asyncio.sleep(0)
        release.cancel()
        await asyncio.wait({release})
        async with asyncio.timeout(30):
            assert await pid(database)


async def test_a_connection_that_is_lost_while_it_is_handed_on_is_replaced(settings: Settings) -> None:
    limits = dataclasses.replace(settings.limits, minimum=1, maximum=1)
    async with Database.open(settings.address("quarry_app"), limits) as database:
        used = await database.pool.acquire()
        waiting = asyncio.create_task(pid(database))
        await asyncio.sleep(0)
        raw = used.raw
        await database.pool.release(used)
        # It belongs to the one that waits by now, who does not know it yet.
        raw.terminate()
        async with asyncio.timeout(30):
            assert await waiting


async def test_a_transaction_on_a_lost_connection_is_unavailable(database: Database) -> None:
    async with database.connection() as connection:
        await database.pool.raw.release(connection.raw)
        with pytest.raises(Unavailable):
            await connection.begin("BEGIN")


async def test_a_lost_connection_is_not_used(database: Database, superuser: Any) -> None:
    lost = await pid(database)
    superuser.execute(END_ALL)
    superuser.commit()
    # Until its end has arrived here, the lost one may be handed out, and is then told to be unavailable.
    found = await repeated(lambda _: pid(database), attempts=10, deadline=30.0)
    assert found != lost


async def test_all_are_replaced_when_the_pool_is_renewed(database: Database) -> None:
    async with database.connection() as used:
        in_use = await used.fetchval("SELECT pg_backend_pid()", ())
        free = await pid(database)
        await database.pool.renew()
    async with database.connection() as one, database.connection() as other:
        pids = {await each.fetchval("SELECT pg_backend_pid()", ()) for each in (one, other)}
    assert not pids & {in_use, free}
