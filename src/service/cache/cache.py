"""The cache: results of statements, valid until a table or row that they were read from is changed.

An entry has the commit numbers of the snapshot that it was read in; watermarks.py decides whether it is still valid. So there
is no invalidation message that could be missed: every entry, whatever its age and origin, is checked against the current log.
Entries are kept in the process, and also in Redis if the settings name one. Redis may be slow, down or out of date: its
entries are checked in the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

import structlog

from service.cache.packing import pack, unpack
from service.cache.redis_circuit import RedisCircuit, Unreachable
from service.cache.watermarks import Stamp, Tag, Watermarks
from service.metrics import CACHE
from service.settings.cache import CacheSettings

_PREFIX = "quarry:cache"
_ROW_BYTES = 300
_VALUE_BYTES = 56
"""Approximate memory in bytes of a row, and of a value without the length of its text."""
_TEXTS = frozenset({str, bytes})
_MOST_WRITES = 100
"""How many entries may be being written to Redis at a time; further ones are kept in the process only."""
_MOST_JOINED = 2
"""How many reads by others a caller waits for before its own; else all callers would query a failing database one by one."""

Rows = Sequence[Mapping[str, Any]]
Fill = Callable[[], Awaitable[tuple[Stamp, Rows]]]

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.cache")


@dataclass(frozen=True, slots=True)
class Question:
    """A statement with its values, for one tenant. An entry is its result. `tags` are the tables and rows that it reads."""

    tenant: UUID
    text: str
    values: tuple[object, ...]
    tags: tuple[Tag, ...]
    is_shared: bool
    """Whether the shared reference data was read too."""
    lifetime: float | None = None
    """Seconds; None for the cache's default. A result with a lifetime of its own is not stored in Redis."""

    @property
    def key(self) -> tuple[UUID, str, tuple[object, ...]]:
        """The key of its entry in this process."""
        return self.tenant, self.text, self.values

    @property
    def name(self) -> str:
        """The key of its entry in Redis. Another text has another key, so different releases may run side by side."""
        digest = hashlib.sha256(pack([self.text, self.values])).hexdigest()
        return f"{_PREFIX}:{{{self.tenant.hex}}}:{digest}"


@dataclass(frozen=True, slots=True)
class _Entry:
    stamp: Stamp
    rows: Rows
    size: int
    expires_at: float


class Cache:
    """Open it with `async with Cache.open(settings, watermarks)`."""

    def __init__(self, settings: CacheSettings, watermarks: Watermarks, redis: RedisCircuit | None = None) -> None:
        self.watermarks = watermarks
        self._lifetime = settings.cache_ttl
        self._most_entries, self._most_bytes = settings.cache_max_entries, settings.cache_max_bytes
        self._redis = redis
        self._entries: OrderedDict[tuple[object, ...], _Entry] = OrderedDict()
        self._bytes = 0
        self._flights: dict[tuple[object, ...], asyncio.Future[_Entry | None]] = {}
        self._writes: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: CacheSettings, watermarks: Watermarks) -> AsyncIterator[Self]:
        """Open the cache. It connects to Redis only when it first needs it."""
        redis = RedisCircuit.of(settings)
        cache = cls(settings, watermarks, redis)
        try:
            yield cache
        finally:
            for task in cache._writes:
                task.cancel()
            await asyncio.gather(*cache._writes, return_exceptions=True)
            if redis is not None:
                await redis.aclose()

    async def is_redis_up(self) -> bool | None:
        """Whether Redis answers; None when none is used."""
        redis = self._redis
        if redis is None:
            return None
        try:
            await redis.ask(redis.ping)
        except Unreachable:
            return False
        return True

    async def read(self, question: Question, fill: Fill, *, at_least: int = 0) -> Rows:
        """The rows that answer `question`. They are at most a second old, and include commit `at_least`.

        `fill` reads them from the database. Callers with the same question at the same time wait for one `fill`.
        """
        now = time.monotonic()
        key = question.key
        self.watermarks.use(question.tenant, now)
        entry = self._entries.get(key)
        if entry is not None:
            if self._holds(question, entry, at_least, now):
                self._entries.move_to_end(key)
                CACHE.labels(outcome="hit").inc()
                return entry.rows
            CACHE.labels(outcome="stale").inc()
        # Wait for another caller's read of the same question. If it fails or its entry is stale, one of the waiting callers
        # starts the next read and the others wait for that.
        for _ in range(_MOST_JOINED):
            if (flight := self._flights.get(key)) is None:
                break
            # The future never fails: a reader that fails sets it to None.
            entry = await asyncio.shield(flight)
            if entry is not None and self._holds(question, entry, at_least, time.monotonic()):
                CACHE.labels(outcome="joined").inc()
                return entry.rows
        own: asyncio.Future[_Entry | None] = asyncio.get_running_loop().create_future()
        self._flights.setdefault(key, own)
        try:
            entry = await self._from_redis(question, at_least) or await self._from_database(question, fill)
            own.set_result(entry)
            return entry.rows
        finally:
            if not own.done():
                own.set_result(None)
            if self._flights.get(key) is own:
                del self._flights[key]

    def _holds(self, question: Question, entry: _Entry, at_least: int, now: float) -> bool:
        return entry.expires_at > now and self.watermarks.holds(
            question.tenant, entry.stamp, question.tags, is_shared=question.is_shared, at_least=at_least, now=now
        )

    async def _from_database(self, question: Question, fill: Fill) -> _Entry:
        stamp, rows = await fill()
        CACHE.labels(outcome="miss").inc()
        lifetime = self._lifetime if question.lifetime is None else question.lifetime
        entry = _Entry(stamp, rows, _size(rows), time.monotonic() + lifetime)
        if self.watermarks.learn(question.tenant, stamp):
            self._keep(question, entry)
            if self._redis is not None and question.lifetime is None and len(self._writes) < _MOST_WRITES:
                task = asyncio.create_task(self._to_redis(self._redis, question, stamp, rows))
                self._writes.add(task)
                task.add_done_callback(self._writes.discard)
        return entry

    def _keep(self, question: Question, entry: _Entry) -> None:
        if entry.size > self._most_bytes // 8:
            return
        key = question.key
        former = self._entries.pop(key, None)
        self._entries[key] = entry
        self._bytes += entry.size - (0 if former is None else former.size)
        while self._bytes > self._most_bytes or len(self._entries) > self._most_entries:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.size

    async def _from_redis(self, question: Question, at_least: int) -> _Entry | None:
        """The entry that another process, or this one earlier, has stored in Redis, if it is still valid."""
        redis = self._redis
        if redis is None or question.lifetime is not None or self.watermarks.known(question.tenant) is None:
            return None
        name = question.name
        try:
            data = await redis.ask(lambda: redis.client.get(name))
            if not isinstance(data, bytes):
                return None
            called, epoch, number, shared, made_at, columns, values = unpack(data)
            rows = [dict(zip(columns, row, strict=True)) for row in values]
            age = max(time.time() - made_at, 0.0)
            stamp = Stamp(int(epoch), int(number), int(shared), -math.inf)
        except Unreachable:
            return None
        except (ValueError, TypeError, OverflowError) as error:
            log.warning("cache_entry_unreadable", reason=str(error))
            return None
        now = time.monotonic()
        entry = _Entry(stamp, rows, _size(rows), now + self._lifetime - age)
        if called != name or not self._holds(question, entry, at_least, now):
            return None
        CACHE.labels(outcome="shared").inc()
        self._keep(question, entry)
        return entry

    async def _to_redis(self, redis: RedisCircuit, question: Question, stamp: Stamp, rows: Rows) -> None:
        name, columns = question.name, list(rows[0]) if rows else []
        # The entry contains its own key, so that an entry stored under a wrong key is noticed.
        packed = pack(
            [name, stamp.epoch, stamp.number, stamp.shared, time.time(), columns, [list(row.values()) for row in rows]]
        )  # fmt: skip
        if len(packed) > self._most_bytes // 8:
            return
        with contextlib.suppress(Unreachable):
            await redis.ask(lambda: redis.client.set(name, packed, px=int(self._lifetime * 1000)))


class Reading:
    """The cache for one transaction: for its tenant, with all commits up to a certain number included in what is read."""

    def __init__(self, cache: Cache, tenant: UUID, at_least: int) -> None:
        self.tenant = tenant
        self._cache, self._at_least = cache, at_least
        self._passes_by = False
        self._pinned: Stamp | None = None

    async def read(self, question: Question, fill: Fill) -> Rows:
        """See Cache.read."""
        if self._passes_by:
            _, rows = await fill()
            return rows
        return await self._cache.read(question, fill, at_least=self._at_least)

    def require(self, number: int) -> None:
        """From now on everything that is read has to include commit `number`."""
        self._at_least = max(self._at_least, number)

    def pass_by(self) -> None:
        """From now on bypass the cache: the database has returned numbers that the cache may not know yet."""
        self._passes_by = True

    def pin(self, epoch: int, number: int, shared: int) -> None:
        """From now on reads come from a replica. It has replayed the log up to these numbers, and perhaps no further."""
        self._pinned = Stamp(epoch, number, shared, -math.inf)

    def read_at(self, asked_at: float) -> float:
        """The monotonic time at which a result was current: `asked_at`, or -inf for a replica, where it is unknown."""
        return asked_at if self._pinned is None else self._pinned.read_at

    def place(self) -> tuple[int, int] | None:
        """The tenant's and the shared commit number; None if they are unknown or have not been confirmed for a second."""
        if (pinned := self._pinned) is not None:
            return (pinned.number, pinned.shared) if pinned.epoch == self._cache.watermarks.epoch else None
        now = time.monotonic()
        self._cache.watermarks.use(self.tenant, now)
        return self._cache.watermarks.place(self.tenant, at_least=self._at_least, now=now)


def _size(rows: Rows) -> int:
    """About how many bytes the rows take."""
    values = len(rows) * len(rows[0]) if rows else 0
    texts = [value for row in rows for value in row.values() if type(value) in _TEXTS]
    return _ROW_BYTES * (1 + len(rows)) + _VALUE_BYTES * values + sum(map(len, texts))
