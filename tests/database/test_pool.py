"""The pool: as large as the load, small again afterwards, and whole after every backend has been ended."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest
from prometheus_client import REGISTRY

from arranging.factories import Factory
from changes.followers import until
from service.database.database import Database
from service.errors import PoolExhausted, Unavailable
from service.settings.settings import Settings
from service.work import Work

END_ALL = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND usename = 'quarry_app'"""


async def test_it_grows_with_the_load_and_shrinks_after_it(settings: Settings) -> None:
    limits = dataclasses.replace(settings.limits, minimum=1, maximum=5, idle_timeout=0.2)
    async with Database.open(settings.address("quarry_app"), limits) as database:
        assert database.pool.raw.get_size() == 1
        async with AsyncExitStack() as held:
            for _ in range(5):
                await held.enter_async_context(database.connection())
            assert database.pool.raw.get_size() == 5
        await until(lambda: database.pool.raw.get_size() <= 1)
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT 1", ()) == 1


async def test_whoever_waits_too_long_is_told_and_the_wait_is_measured(settings: Settings) -> None:
    limits = dataclasses.replace(settings.limits, minimum=1, maximum=1, acquire_timeout=0.1)
    before = waits()
    async with Database.open(settings.address("quarry_app"), limits) as database, database.connection():
        with pytest.raises(PoolExhausted):
            await database.pool.acquire()
    assert waits() == before + 1


def waits() -> float:
    """How often work had its connection after some time."""
    return REGISTRY.get_sample_value("quarry_pool_wait_seconds_count") or 0.0


async def test_a_storm_of_ended_backends_is_survived(database: Database, new: Factory, superuser: Any) -> None:
    acme = await new.tenant("acme")
    outcomes: Counter[str] = Counter()
    is_over = asyncio.Event()

    async def read() -> None:
        while not is_over.is_set():
            try:
                await Work.run(database, lambda work: work.campaigns.count(), acme.id, read_only=True)
                outcomes["read"] += 1
            except Unavailable:
                outcomes["unavailable"] += 1

    async with asyncio.TaskGroup() as readers:
        for _ in range(8):
            readers.create_task(read())
        for _ in range(20):
            known = outcomes["read"]
            await until(lambda known=known: outcomes["read"] > known)
            superuser.execute(END_ALL)
            superuser.commit()
        is_over.set()
    assert outcomes["read"] >= 20
    async with Work(database, acme.id) as work:
        assert await work.campaigns.count() == 0
