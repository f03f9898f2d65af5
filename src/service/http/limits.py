"""Rate limits: how often one caller may do what costs or gives something away.

Counts are kept in Redis if it is configured, so that all processes share them. While it is unreachable or slow, each process
counts by itself, from zero: a limit is then somewhat higher, and no request fails or waits long because of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import IPv6Address, ip_address
from typing import Any, Literal, Self, TypeVar, get_args

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import BlockingConnectionPool

from service.cache.redis_circuit import RedisCircuit, Unreachable
from service.errors import RateLimited
from service.metrics import RATE_LIMITED
from service.settings.http import RateLimitSettings

LimitName = Literal[
    "sign_in_address",  # key: the client's address
    "sign_in_account",  # key: tenant, email, the client's network; a success forgives
    "sign_in_strangers",  # key: tenant, email; not enforced for an address from which the user recently had a session
    "current_password",  # key: tenant, caller; a success forgives
    "failures_tenant",  # key: tenant; failures of addresses that nobody has
    "codes_phone",  # key: tenant, phone
    "codes_tenant",  # key: tenant
    "guesses",  # key: tenant, phone
    "passwords",  # key: tenant, caller
    "seeds",  # key: the client's address
    "operator",  # key: the client's address; wrong tokens alone
]

_BY_ADDRESS: frozenset[LimitName] = frozenset({"sign_in_address", "seeds", "operator"})
_SWEEP_EVERY = 10.0

R = TypeVar("R")


class Limits:
    """Open it with `async with Limits.open(settings, secret)`: it owns a task, and the connections to Redis."""

    def __init__(self, settings: RateLimitSettings, secret: bytes, redis: RedisCircuit | None) -> None:
        """`secret` hides the keys that are counted; it is the same in all processes that count together."""
        self._secret = secret
        self._items: dict[LimitName, RateLimitItem] = {
            name: parse(rate)
            for name in get_args(LimitName)
            if (rate := getattr(settings, f"rate_limit_{name}")) != "off"
        }
        # The moving window is exact: it never admits more, and knows when there is room again.
        self._memory = MemoryStorage()
        self._own = MovingWindowRateLimiter(self._memory)
        self._redis = redis
        self._shared = None if redis is None else MovingWindowRateLimiter(_storage(redis.pool))

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: RateLimitSettings, secret: bytes) -> AsyncIterator[Self]:
        """Start counting. Redis is first spoken to by the first count."""
        redis = RedisCircuit.of(settings)
        limits = cls(settings, secret, redis)
        # The library sweeps at every hit, in a thread per key, and fails over keys that are cleared meanwhile. It leaves
        # that to a task which is there already.
        limits._memory.timer = sweeper = asyncio.create_task(limits._sweep(), name="limits")
        try:
            yield limits
        finally:
            sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeper
            if redis is not None:
                await redis.aclose()

    async def hit(self, name: LimitName, *key: str) -> None:
        """Count one for `key`. Raises RateLimited, without counting, if the limit has been reached."""
        item = self._items.get(name)
        if item is None:
            return
        identity = self._identity(name, key)

        async def count(limiter: MovingWindowRateLimiter) -> int:
            """Seconds until there is room, 0 when there is."""
            if await limiter.hit(item, name, identity):
                return 0
            stats = await limiter.get_window_stats(item, name, identity)
            # Forgiven or moved on since.
            if stats.remaining > 0:
                return 1
            # The hosts that share a Redis may differ about the time.
            return min(max(math.ceil(stats.reset_time - time.time()), 1), item.get_expiry())

        if retry_after := await self._ask(count):
            RATE_LIMITED.labels(limit=name).inc()
            raise RateLimited(retry_after)

    async def admits(self, name: LimitName, *key: str) -> bool:
        """Count one for `key`, if there is room."""
        try:
            await self.hit(name, *key)
        except RateLimited:
            return False
        return True

    async def forgive(self, name: LimitName, *key: str) -> None:
        """Start counting again for `key`."""
        item = self._items.get(name)
        if item is None:
            return
        identity = self._identity(name, key)
        # What was counted here while Redis was away is forgiven too.
        await self._own.clear(item, name, identity)
        await self._ask(lambda limiter: limiter.clear(item, name, identity))

    def _identity(self, name: LimitName, key: tuple[str, ...]) -> str:
        """The key as it is kept: an HMAC, because it may be personal, and phones could be guessed from a plain hash."""
        digest = hmac.new(self._secret, digestmod="sha256")
        for part in map(household, key) if name in _BY_ADDRESS else key:
            encoded = part.encode("utf-8", "surrogatepass")
            # With its length, so that ("ab", "c") is not ("a", "bc").
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.hexdigest()

    async def _ask(self, operation: Callable[[MovingWindowRateLimiter], Awaitable[R]]) -> R:
        """Run the operation on the shared counts if Redis answers, otherwise on those of this process."""
        shared = self._shared
        if self._redis is not None and shared is not None:
            with contextlib.suppress(Unreachable):
                return await self._redis.ask(lambda: operation(shared))
        return await operation(self._own)

    async def _sweep(self) -> None:
        """Forget, every now and then, what has left its window."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            now = time.time()
            for count, key in enumerate(list(self._memory.events)):
                if count % 1000 == 0:
                    await asyncio.sleep(0)
                entries = self._memory.events.get(key, [])
                while entries and entries[-1].expiry <= now:
                    entries.pop()
                if not entries:
                    await self._memory.clear(key)


def _storage(pool: BlockingConnectionPool) -> RedisStorage:
    options: dict[str, Any] = {"connection_pool": pool}
    return RedisStorage("async+redis://", implementation="redispy", key_prefix="quarry:limits", **options)


def household(address: str) -> str:
    """What one client holds at least: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped or ip.packed[:8].hex())
