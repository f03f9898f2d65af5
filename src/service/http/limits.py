"""Rate limits: how often a client may do something that is expensive, or that helps to guess a secret.

Counts are kept in Redis if it is configured, so that all processes share them. While Redis is unreachable or slow, each process
counts by itself, starting from zero: clients may then do somewhat more, but no request fails or waits long.
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

# The name of each limit, with the key that its uses are counted by.
LimitName = Literal[
    "sign_in_address",  # key: the client's address
    "sign_in_account",  # key: tenant, email, the client's network; a successful sign-in resets the count
    "sign_in_strangers",  # key: tenant, email; not enforced for an IP address from which the user has a stored session
    "current_password",  # key: tenant, caller; the right password resets the count
    "failures_tenant",  # key: tenant; counts the recorded failures with an email that no user has
    "codes_phone",  # key: tenant, phone
    "codes_tenant",  # key: tenant
    "guesses",  # key: tenant, phone
    "passwords",  # key: tenant, caller
    "seeds",  # key: the client's address
    "operator",  # key: the client's address; only wrong tokens are counted
]

_BY_ADDRESS: frozenset[LimitName] = frozenset({"sign_in_address", "seeds", "operator"})
_SWEEP_EVERY = 10.0

R = TypeVar("R")


class Limits:
    """Counts uses and enforces the limits. Open it with `async with Limits.open(settings, secret)`: it runs a task."""

    def __init__(self, settings: RateLimitSettings, secret: bytes, redis: RedisCircuit | None) -> None:
        """`secret` is the key of the HMACs under which counts are stored; processes that share counts need the same secret."""
        self._secret = secret
        self._items: dict[LimitName, RateLimitItem] = {
            name: parse(rate)
            for name in get_args(LimitName)
            if (rate := getattr(settings, f"rate_limit_{name}")) != "off"
        }
        # A moving window is exact: it never admits more than the limit, and tells when the next request will be admitted.
        self._memory = MemoryStorage()
        self._own = MovingWindowRateLimiter(self._memory)
        self._redis = redis
        self._shared = None if redis is None else MovingWindowRateLimiter(_storage(redis.pool))

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: RateLimitSettings, secret: bytes) -> AsyncIterator[Self]:
        """Start counting. The first count opens the connection to Redis."""
        redis = RedisCircuit.of(settings)
        limits = cls(settings, secret, redis)
        # At every hit, the library starts a task that deletes expired entries, unless `timer` is a running task. The
        # library's task uses a thread for each key, and fails if a key is cleared meanwhile. So `timer` is set to our own task.
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
        """Count one use for `key`. If the limit has been reached, raises RateLimited and does not count."""
        item = self._items.get(name)
        if item is None:
            return
        identity = self._identity(name, key)

        async def count(limiter: MovingWindowRateLimiter) -> int:
            """Count the use and return 0. If the limit has been reached, return the seconds until a use is admitted again."""
            if await limiter.hit(item, name, identity):
                return 0
            stats = await limiter.get_window_stats(item, name, identity)
            # After the refusal, the count has been reset or the window has moved. So the client may try again soon.
            if stats.remaining > 0:
                return 1
            # The clocks of hosts that share a Redis may differ, so the result is kept within the window's length.
            return min(max(math.ceil(stats.reset_time - time.time()), 1), item.get_expiry())

        if retry_after := await self._ask(count):
            RATE_LIMITED.labels(limit=name).inc()
            raise RateLimited(retry_after)

    async def admits(self, name: LimitName, *key: str) -> bool:
        """Like `hit`, but return False instead of raising RateLimited."""
        try:
            await self.hit(name, *key)
        except RateLimited:
            return False
        return True

    async def forgive(self, name: LimitName, *key: str) -> None:
        """Reset the count of `key` to zero."""
        item = self._items.get(name)
        if item is None:
            return
        identity = self._identity(name, key)
        # The count that this process kept while Redis was unreachable is reset too.
        await self._own.clear(item, name, identity)
        await self._ask(lambda limiter: limiter.clear(item, name, identity))

    def _identity(self, name: LimitName, key: tuple[str, ...]) -> str:
        """The key as stored: an HMAC, because a key may be personal data, and a phone could be guessed from a plain hash."""
        digest = hmac.new(self._secret, digestmod="sha256")
        for part in map(household, key) if name in _BY_ADDRESS else key:
            encoded = part.encode("utf-8", "surrogatepass")
            # The length is included, so that ("ab", "c") and ("a", "bc") have different HMACs.
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
        """Every _SWEEP_EVERY seconds, delete the entries that have left their window."""
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
    """The network that one client is assumed to control: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped or ip.packed[:8].hex())
