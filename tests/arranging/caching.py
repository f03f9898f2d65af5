"""Processes that read through the cache, each with connections, memory and knowledge of its own."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from prometheus_client import REGISTRY

from arranging.accounts import NewTenant
from changes.followers import until
from service.cache.cache import Cache
from service.cache.watermarks import Watermarks
from service.changes.feed import Feed
from service.database.database import Database
from service.database.pool import GREETING
from service.personal import keyring
from service.settings.settings import Settings
from service.statements.repository import attached
from service.work import Work

T = TypeVar("T")

CACHED: dict[str, Any] = {
    method.statement.label: method
    for repository in attached(Work).values()
    for method in vars(repository).values()
    if getattr(method, "cached", None) is not None
}
"""Every method whose answers are cached, by its statement's label."""


@dataclass
class Process:
    """One of them; `asked` counts the statements that it has sent."""

    database: Database
    cache: Cache
    asked: Counter[str]

    async def read(self, tenant: NewTenant, question: Callable[[Work], Awaitable[T]], *, at_least: int = 0) -> T:
        """What a piece of work that only reads is answered."""
        async with Work(self.database, tenant.id, read_only=True, at_least=at_least) as work:
            return await question(work)

    async def catch_up(self, tenant: NewTenant) -> None:
        """Wait until all is known that has been committed until now."""
        async with Work(self.database, tenant.id) as work:
            head, shared = await work.log.head(), (await work.installation.find()).shared_number

        def is_known() -> bool:
            now = monotonic()
            self.cache.watermarks.use(tenant.id, now)
            place = self.cache.watermarks.place(tenant.id, at_least=head, now=now)
            return place is not None and place[1] >= shared

        await until(is_known)


@contextlib.asynccontextmanager
async def process(settings: Settings, **changes: Any) -> AsyncIterator[Process]:
    """One, put together as the application does it."""
    settings = settings.model_copy(update=changes)
    asked: Counter[str] = Counter()
    watermarks = Watermarks()
    async with (
        Cache.open(settings, watermarks) as cache,
        Database.open(
            settings.address("quarry_app"), settings.limits, observe=lambda name, *_: asked.update([name]),
            keyring=keyring.load(settings), cache=cache, greeting=GREETING,
        ) as database,
        Feed.open(settings, database, watermarks, ()) as feed,
    ):  # fmt: skip
        yield Process(feed.database, cache, asked)


def outcomes() -> Counter[str]:
    """How the cached reads of this process were answered so far."""
    names = ("hit", "joined", "shared", "stale", "miss")
    return Counter({
        name: int(REGISTRY.get_sample_value("quarry_cache_reads_total", {"outcome": name}) or 0) for name in names
    })  # fmt: skip
