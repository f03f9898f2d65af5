"""The cache: results of statements, valid until a table or row that they were read from is changed.

An entry contains the commit numbers of the snapshot in which it was read. Whenever an entry is used, watermarks.py compares these
numbers with the commits in the log, and decides whether the entry is still valid. So no message is needed to invalidate an entry.
Entries are kept in the process, and also in Redis if the settings name a Redis server. An entry from Redis is checked in the same
way, so it may be out of date. If Redis is slow or down, the database is read.
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
"""The approximate memory of a row (_ROW_BYTES) and of a value (_VALUE_BYTES). For text and binary values, the length is added."""
_TEXTS = frozenset({str, bytes})
_MOST_WRITES = 100
"""How many entries may be written to Redis at the same time. While so many are written, new ones are kept in the process only."""
_MOST_JOINED = 2
"""How often a caller waits for another caller's read of the same question, before it reads the database itself. Without this
limit, if the database fails, the callers would try one after the other, and the last caller would wait for all others."""

Rows = Sequence[Mapping[str, Any]]
Fill = Callable[[], Awaitable[tuple[Stamp, Rows]]]

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.cache")


@dataclass(frozen=True, slots=True)
class Question:
    """The SQL text of a statement with its parameter values, for one tenant. A cache entry is the result of a Question.

    `tags` are the tables and rows that the statement reads. A change of one of these makes the entry invalid.
    """

    tenant: UUID
    text: str
    values: tuple[object, ...]
    tags: tuple[Tag, ...]
    is_shared: bool
    """Whether the statement also reads shared data."""
    lifetime: float | None = None
    """The maximum age of the result in seconds. None means CACHE_TTL; only then the result is also stored in Redis."""

    @property
    def key(self) -> tuple[UUID, str, tuple[object, ...]]:
        """The key of the result in the cache of this process."""
        return self.tenant, self.text, self.values

    @property
    def name(self) -> str:
        """The key of the result in Redis. It contains a hash of the SQL text, so releases with other SQL can share a Redis."""
        digest = hashlib.sha256(pack([self.text, self.values])).hexdigest()
        return f"{_PREFIX}:{{{self.tenant.hex}}}:{digest}"


@dataclass(frozen=True, slots=True)
class _Entry:
    stamp: Stamp
    rows: Rows
    size: int
    expires_at: float


class Cache:
    """The cache of one process. Open it with `async with Cache.open(settings, watermarks)`."""

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
        """Open the cache. Connections to Redis are not opened here, but when they are first needed."""
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
        """Whether Redis answers; None if the settings name no Redis server."""
        redis = self._redis
        if redis is None:
            return None
        try:
            await redis.ask(redis.ping)
        except Unreachable:
            return False
        return True

    async def read(self, question: Question, fill: Fill, *, at_least: int = 0) -> Rows:
        """The rows that the statement of `question` returns, from the cache or the database.

        The rows are at most a second behind the database, and show the tenant's commits up to number `at_least`. If no entry is
        valid, `fill` is called, which reads the database. Callers with the same question at the same time share that call.
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
        # If another caller is already reading the same question, wait for its result. If that read fails or its result is not
        # valid here, the first of the waiting callers reads the database, and the others wait for this next read.
        for _ in range(_MOST_JOINED):
            if (flight := self._flights.get(key)) is None:
                break
            # Errors of the other caller's read are not raised here: after an error, the result of the future is None.
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

    def held(self, question: Question) -> Rows | None:
        """The rows that the cache of this process has for `question`; None if it has none that are valid now."""
        now, key = time.monotonic(), question.key
        entry = self._entries.get(key)
        if entry is None or not self._holds(question, entry, 0, now):
            return None
        self._entries.move_to_end(key)
        self.watermarks.use(question.tenant, now)
        return entry.rows

    def _holds(self, question: Question, entry: _Entry, at_least: int, now: float) -> bool:
        return entry.expires_at > now and self.watermarks.holds(
            question.tenant, entry.stamp, question.tags, is_shared=question.is_shared, at_least=at_least, now=now
        )

    async def _from_database(self, question: Question, fill: Fill) -> _Entry:
        stamp, rows = await fill()
        CACHE.labels(outcome="miss").inc()
        lifetime = self._lifetime if question.lifetime is None else question.lifetime
        entry = _Entry(stamp, rows, size_of(rows), time.monotonic() + lifetime)
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
        """The valid entry for `question` in Redis, which this or another process has stored; None if there is no such entry."""
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
        entry = _Entry(stamp, rows, size_of(rows), now + self._lifetime - age)
        if called != name or not self._holds(question, entry, at_least, now):
            return None
        CACHE.labels(outcome="shared").inc()
        self._keep(question, entry)
        return entry

    async def _to_redis(self, redis: RedisCircuit, question: Question, stamp: Stamp, rows: Rows) -> None:
        name, columns = question.name, list(rows[0]) if rows else []
        # The entry contains its own key (`name`), by which `_from_redis` notices an entry that is stored under a wrong key.
        packed = pack(
            [name, stamp.epoch, stamp.number, stamp.shared, time.time(), columns, [list(row.values()) for row in rows]]
        )  # fmt: skip
        if len(packed) > self._most_bytes // 8:
            return
        with contextlib.suppress(Unreachable):
            await redis.ask(lambda: redis.client.set(name, packed, px=int(self._lifetime * 1000)))


class Reading:
    """The access of one transaction to the cache. All its results have to show the tenant's commits up to number `at_least`."""

    def __init__(self, cache: Cache, tenant: UUID, at_least: int) -> None:
        self.tenant = tenant
        self._cache, self._at_least = cache, at_least
        self._passes_by = False
        self._pinned: Stamp | None = None
        # What has been read through the cache, whether all of it was there, and the epoch and numbers that `place` has returned.
        self.uses: list[tuple[Question, Rows]] = []
        self.is_from_cache = True
        self.placed: tuple[int, int, int] | None = None

    async def read(self, question: Question, fill: Fill) -> Rows:
        """Like Cache.read. But after a call of `pass_by`, always call `fill` and return its rows, without using the cache."""
        if self._passes_by:
            _, rows = await fill()
            return rows
        rows = await self._cache.read(question, fill, at_least=self._at_least)
        self.uses.append((question, rows))
        return rows

    def note_database_read(self) -> None:
        """Note that the database has been read, also if that was to fill the cache."""
        self.is_from_cache = False

    def require(self, number: int) -> None:
        """From now on, all results of `read` have to show the tenant's commits up to `number`."""
        self._at_least = max(self._at_least, number)

    def pass_by(self) -> None:
        """From now on, read the database only: a cached result may be older than the commit numbers read there."""
        self._passes_by, self.is_from_cache = True, False

    def pin(self, epoch: int, number: int, shared: int) -> None:
        """Note that this transaction reads from a replica. It has the commits up to these numbers, and perhaps no later ones."""
        self.is_from_cache = False
        self._pinned = Stamp(epoch, number, shared, -math.inf)

    def read_at(self, asked_at: float) -> float:
        """The value of Stamp.read_at for a result that was requested at `asked_at`. For a replica -inf: its data may be older."""
        return asked_at if self._pinned is None else self._pinned.read_at

    def place(self) -> tuple[int, int] | None:
        """The numbers of the last commits of the tenant and of shared data; None if they are unknown or not recent enough.

        If this transaction reads from a replica: the numbers given to `pin`; None if they are of another epoch than the current.
        """
        if (pinned := self._pinned) is not None:
            return (pinned.number, pinned.shared) if pinned.epoch == self._cache.watermarks.epoch else None
        now = time.monotonic()
        self._cache.watermarks.use(self.tenant, now)
        watermarks = self._cache.watermarks
        numbers = watermarks.place(self.tenant, at_least=self._at_least, now=now)
        self.placed = None if numbers is None else (watermarks.epoch, *numbers)
        return numbers


def size_of(rows: Rows) -> int:
    """The approximate memory of the rows in bytes."""
    values = len(rows) * len(rows[0]) if rows else 0
    texts = [value for row in rows for value in row.values() if type(value) in _TEXTS]
    return _ROW_BYTES * (1 + len(rows)) + _VALUE_BYTES * values + sum(map(len, texts))
