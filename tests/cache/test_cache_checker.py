"""The cache against the rows: nothing older than two seconds, and nothing older than an own commit, whatever fails."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any

import pytest
from pydantic import SecretStr

from arranging.caching import outcomes
from arranging.factories import Factory
from arranging.staleness import BOUND, NOBODY, Process, Rows
from changes.followers import until
from service.database.database import Database
from service.settings.settings import Settings
from service.work import Work

_PROCESSES = 3
_READS_PER_WRITE = 40


FAULTS = ("pause", "flush", "kill", "deaf")


async def befall(fault: str, rows: Rows, process: Process, redis: Any, every: int) -> None:
    """Let something fail for a while, and mend it."""
    match fault:
        case "pause":
            redis.pause()
        case "flush":
            redis.flush()
        case "kill":
            redis.stop()
        case "deaf":
            await process.stop_following()
    # Whoever hears nothing has to notice by itself.
    await rows.reach(rows.record.reads + every, monotonic() + (BOUND + 1.0 if fault == "deaf" else 0.0))
    redis.restore()
    if fault == "deaf":
        await process.follow()
    await rows.reach(rows.record.reads + every)


async def check(
    settings: Settings, new: Factory, database: Database, platform: Database, redis: Any,
    *, readers: int, writers: int, faults: int, every: int,
) -> str:  # fmt: skip
    """Readers and writers of three processes that share a Redis, and of one without a cache."""
    tenants = {}
    for name in ("acme", "globex"):
        tenant = await new.tenant(name)
        tenants[tenant] = [(await new.campaign(tenant)).id for _ in range(8)]
    async with Work(platform, None) as work:
        niche = await work.connection.fetchval("INSERT INTO app.niches (name) VALUES ('travel') RETURNING id", ())
    rows, before = Rows(tenants, niche), outcomes()
    shared = settings.model_copy(update={"redis_url": SecretStr(redis.url)})
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(Process.open(shared, n)) for n in range(_PROCESSES)]
        # The first one never writes: only time tells it that it is deaf.
        writing = [(each.database, each.name) for each in processes[1:]] + [(database, NOBODY)]
        async with asyncio.TaskGroup() as tasks:
            for n in range(readers):
                tasks.create_task(rows.read(processes[n % _PROCESSES], n))
            for n in range(writers):
                tasks.create_task(rows.write(*writing[n % len(writing)], _READS_PER_WRITE, n))
            tasks.create_task(rows.write_shared(platform, every // 4))
            for n in range(faults):
                await befall(FAULTS[n % len(FAULTS)], rows, processes[0], redis, every)
            rows.done.set()
        record = rows.record
        assert record.wrong == []
        for process in processes:
            await until(lambda process=process: not_stale(rows, process))
    counted = outcomes() - before
    # The cache was at work: most was answered without asking, and some of it by another process's entry.
    cached = counted["hit"] + counted["joined"] + counted["shared"]
    assert cached > counted["miss"]
    assert counted["shared"] > 0
    return (
        f"{record.reads} versions read by {readers} readers of {_PROCESSES} processes beside {record.writes} commits,"
        f" {faults} faults; {dict(counted)}, hit rate {cached / (cached + counted['miss']):.2f}; staler than 2 s: 0, than"
        f" an own commit or a number asked for: 0, for ever: 0; read while behind: {len(record.behind)}, by"
        f" {max(record.behind, default=0):.2f} s at most"
    )


async def not_stale(rows: Rows, process: Process) -> bool:
    return not await rows.stale(process)


async def test_nothing_cached_is_stale_whatever_fails(
    settings: Settings, new: Factory, database: Database, platform: Database, redis: Any
) -> None:
    await check(settings, new, database, platform, redis, readers=16, writers=4, faults=len(FAULTS), every=1000)


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
async def test_the_same_at_length(
    settings: Settings, new: Factory, database: Database, platform: Database, redis: Any
) -> None:
    said = await check(settings, new, database, platform, redis, readers=16, writers=4, faults=40, every=5_000)
    print(f"\ncache: {said}")
