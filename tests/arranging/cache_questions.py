"""Questions to a cache that has no database behind it, and what answers them instead."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr

from changes.followers import until
from service.cache.cache import Cache, Question, Rows
from service.cache.watermarks import Stamp, Watermarks
from service.settings.settings import Settings

ACME, GLOBEX = uuid4(), uuid4()
ROW = uuid4()


class Source:
    """What answers questions: how often it was asked, at which number it answers, and whether it answers yet."""

    def __init__(self) -> None:
        self.asked: Counter[Question] = Counter()
        self.at_once = self.most_at_once = 0
        self.number, self.epoch = 10, 1
        self.rows: Rows = [{"id": 1}]
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def read(self, cache: Cache, question: Question, *, at_least: int = 0) -> Rows:
        async def fill() -> tuple[Stamp, Rows]:
            self.asked[question] += 1
            stamp, rows = Stamp(self.epoch, self.number, 0, time.monotonic()), self.rows
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(0)
            await self.may_answer.wait()
            self.at_once -= 1
            if self.error is not None:
                raise self.error
            return stamp, rows

        return await cache.read(question, fill, at_least=at_least)


def question(value: object = 1, *, tenant: UUID = ACME, lifetime: float | None = None) -> Question:
    return Question(tenant, "SELECT 1", (value,), (("things", None),), is_shared=False, lifetime=lifetime)


def marks_of(*tenants: UUID) -> Watermarks:
    """Tenants known up to number 10, for as long as a test lasts."""
    made = Watermarks()
    made.enter(1)
    for tenant in tenants:
        made.use(tenant, time.monotonic())
        made.begin(tenant, 10, asked_at=time.monotonic())
    return made


@contextlib.asynccontextmanager
async def opened(**values: Any) -> AsyncIterator[Cache]:
    async with Cache.open(Settings(_env_file=None, **values), marks_of(ACME, GLOBEX)) as cache:
        yield cache


async def together(source: Source, cache: Cache, count: int, **how: Any) -> list[asyncio.Task[Rows]]:
    """Callers of one question, of whom the first has asked; nobody is answered yet."""
    source.may_answer.clear()
    tasks = [asyncio.create_task(source.read(cache, question(), **how)) for _ in range(count)]
    await until(lambda: source.asked[question()])
    return tasks


async def answers(*tasks: asyncio.Task[Rows]) -> list[Any]:
    """What the callers get, errors among it; a failure when one of them is never answered."""
    async with asyncio.timeout(30):
        return await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Reader:
    """A process that has the tenant's commits up to a number; `asked` is how often it has asked its database."""

    cache: Cache
    number: int
    asked: int = 0

    async def read(
        self, question: Question, rows: Rows = ({"id": 1},), *, at_least: int = 0, meanwhile: Callable[[], Any] = int
    ) -> Rows:
        """The answer; the database says `rows` if it is asked, and `meanwhile` is called then."""

        async def fill() -> tuple[Stamp, Rows]:
            self.asked += 1
            if isinstance(waiting := meanwhile(), Awaitable):
                await waiting
            return Stamp(1, self.number, 0, time.monotonic()), rows

        return await self.cache.read(question, fill, at_least=at_least)

    async def leave(self, question: Question, rows: Rows = ({"id": 1},)) -> None:
        """Read, and wait until Redis has the answer."""
        await self.read(question, rows)
        await asyncio.gather(*self.cache._writes)


@contextlib.asynccontextmanager
async def reader(url: SecretStr, tenant: UUID, *, number: int = 10, **values: Any) -> AsyncIterator[Reader]:
    marks = Watermarks()
    marks.enter(1)
    async with Cache.open(Settings(_env_file=None, redis_url=url, **values), marks) as cache:
        marks.use(tenant, time.monotonic())
        marks.begin(tenant, number, asked_at=time.monotonic())
        yield Reader(cache, number)
