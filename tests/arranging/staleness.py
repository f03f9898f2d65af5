"""Readers and writers of cached rows, and what they have to agree upon: no row is older than it may be."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from arranging.accounts import NewTenant
from service.cache.cache import Cache
from service.cache.watermarks import Watermarks
from service.changes.relay import Relay
from service.database.database import Database
from service.database.pool import GREETING
from service.settings.settings import Settings
from service.work import Work

BOUND = 2.0
"""Seconds that an answer may be behind: the lease, and a busy machine."""
NOBODY = -1
"""Who writes without a cache, as psql does."""


class Written(NamedTuple):
    """A version that was committed, and by when; `number` is its tenant's."""

    version: int
    by: float
    process: int
    number: int


class Process:
    """What follows and caches in one process: pool, cache, watermarks, relay."""

    def __init__(self, settings: Settings, name: int, database: Database, watermarks: Watermarks) -> None:
        self.name, self.database = name, database
        self._settings, self._watermarks = settings, watermarks
        self._following = AsyncExitStack()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: Settings, name: int) -> AsyncIterator[Process]:
        watermarks = Watermarks()
        async with (
            Cache.open(settings, watermarks) as cache,
            Database.open(
                settings.address("quarry_app"), settings.limits, name=f"process {name}", cache=cache, greeting=GREETING
            ) as database,
        ):
            process = cls(settings, name, database, watermarks)
            await process.follow()
            try:
                yield process
            finally:
                await process.stop_following()

    async def follow(self) -> None:
        """Start the relay."""
        database = await self._following.enter_async_context(
            Database.open(self._settings.address("quarry_app"), self._settings.limits, name="relay", greeting=GREETING)
        )
        relay = await self._following.enter_async_context(Relay.open(database, self._watermarks, reaches_back=True))
        self.database = replace(self.database, on_numbered=relay.committed)

    async def stop_following(self) -> None:
        """Lose the relay; own commits are noted all the same, as a relay that hangs would."""
        self.database = replace(self.database, on_numbered=self._watermarks.committed)
        await self._following.aclose()


@dataclass
class Record:
    """All that was written and read of every row, judged as it comes."""

    written: dict[UUID, list[Written]] = field(default_factory=lambda: defaultdict(list))
    writes: int = 0
    reads: int = 0
    behind: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def wrote(self, row: UUID, version: int, process: int, number: int) -> None:
        self.written[row].append(Written(version, monotonic(), process, number))
        self.writes += 1

    def read(self, row: UUID, version: int, since: float, process: int, at_least: int = 0) -> None:
        """A row as a read that began at `since` found it."""
        self.reads += 1
        for written in reversed(self.written[row]):
            if written.version <= version:
                break
            if written.by > since:
                continue
            behind = since - written.by
            self.behind.append(behind)
            if behind > BOUND or written.process == process or 0 < written.number <= at_least:
                self.wrong.append(f"{row} at {version}, not {written.version}, {behind:.2f} s after, in {process}")

    def latest(self) -> dict[UUID, int]:
        return {row: max((each.version for each in written), default=0) for row, written in self.written.items()}


@dataclass
class Rows:
    """Rows of several tenants, and one that all of them share."""

    tenants: dict[NewTenant, list[UUID]]
    niche: UUID
    record: Record = field(default_factory=Record)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, database: Database, process: int, every: int, seed: int) -> None:
        """Change one campaign after the other, after every so many reads, until told to stop."""
        chance = random.Random(seed)
        for n in itertools.count(1):
            await self.reach(self.record.reads + every)
            if self.done.is_set():
                return
            tenant = chance.choice(list(self.tenants))
            row = chance.choice(self.tenants[tenant])
            async with Work(database, tenant.id) as work:
                outcome = await work.campaigns.update(row, given=["budget_minor"], budget_minor=seed * 1_000_000 + n)
                assert outcome is not None
                # Read in work that has written: never from the cache.
                assert (await work.campaigns.find(row)).version == outcome.version
            assert work.number is not None
            self.record.wrote(row, outcome.version, process, work.number)

    async def write_shared(self, platform: Database, every: int) -> None:
        """Change the niche, after every so many reads."""
        for n in itertools.count(1):
            await self.reach(self.record.reads + every)
            if self.done.is_set():
                return
            text = "UPDATE app.niches SET icon = $2 WHERE id = $1 RETURNING version"
            async with Work(platform, None) as work:
                version = await work.connection.fetchval(text, (self.niche, f"icon {n}"))
            self.record.wrote(self.niche, version, NOBODY, 0)

    async def read(self, process: Process, seed: int) -> None:
        """Ask for rows, lists and the niche until told to stop; now and then with the number of a known commit.

        The first process never does: by its relay alone it hears of commits.
        """
        chance = random.Random(seed)
        while not self.done.is_set():
            tenant = chance.choice(list(self.tenants))
            row = chance.choice(self.tenants[tenant])
            at_least = max((each.number for each in self.record.written[row][-1:]), default=0)
            is_told = process.name > 0 and chance.random() < 0.1
            await self._read(process, tenant, row, chance.random(), at_least if is_told else 0)
            # What is answered from memory waits for nothing.
            await asyncio.sleep(0)

    async def _read(self, process: Process, tenant: NewTenant, row: UUID, what: float, at_least: int) -> None:
        async def find(work: Work) -> Iterable[tuple[UUID, int]]:
            if what < 0.7:
                return [(row, (await work.campaigns.find(row)).version)]
            if what < 0.9:
                return [(each.id, each.version) for each in await work.campaigns.page()]
            return [(self.niche, (await work.niches.find(self.niche)).version)]

        since = monotonic()
        for id, version in await Work.run(process.database, find, tenant.id, read_only=True, at_least=at_least):
            self.record.read(id, version, since, process.name, at_least)
        if self.record.wrong:
            self.done.set()

    async def reach(self, reads: int, at: float = 0.0) -> None:
        """Wait for so many reads and a time, or the end."""
        while (self.record.reads < reads or monotonic() < at) and not self.done.is_set():
            await asyncio.sleep(0.01)

    async def stale(self, process: Process) -> list[UUID]:
        """Which rows the process answers with an older version than the last."""
        latest, found = self.record.latest(), []
        for tenant, rows in self.tenants.items():
            for row in rows:
                async with Work(process.database, tenant.id, read_only=True) as work:
                    is_late = (await work.campaigns.find(row)).version < latest.get(row, 0)
                    listed = {each.id: each.version for each in await work.campaigns.page()}
                    niche = (await work.niches.find(self.niche)).version
                found += [row] if is_late or listed[row] < latest.get(row, 0) else []
                found += [self.niche] if niche < latest.get(self.niche, 0) else []
        return found
