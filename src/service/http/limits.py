"""Rate limits: how often a client may do something that is expensive, or that helps to guess a secret.

Counts are kept in Redis if it is configured, so that all processes share them. While Redis is unreachable or slow, each process
counts by itself, starting from zero: clients may then do somewhat more, but no request fails or waits long.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
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

# The names of the limits. Each limit counts uses separately for each key; the comments say what the key consists of.
LimitName = Literal[
    "sign_in_address",  # key: the client's address
    "sign_in_account",  # key: tenant, email, the client's network; a successful sign-in resets the count
    "sign_in_strangers",  # key: tenant, email; does not stop clients at an IP address from which the user has signed in before
    "current_password",  # key: tenant, caller; the right password resets the count
    "failures_tenant",  # key: tenant; counts records of failed sign-ins with an email address that no user has
    "codes_phone",  # key: tenant, phone; counts one-time codes that are sent
    "codes_tenant",  # key: tenant; counts one-time codes that are sent
    "guesses",  # key: tenant, phone; counts guesses at a one-time code
    "passwords",  # key: tenant, caller; counts new passwords
    "seeds",  # key: the client's address
    "operator",  # key: the client's address; only wrong tokens are counted
]

_BY_ADDRESS: frozenset[LimitName] = frozenset({"sign_in_address", "seeds", "operator"})
_SWEEP_EVERY = 10.0

R = TypeVar("R")


class Limits:
    """Counts uses and enforces the limits. `async with Limits.open(settings, secret)` opens it: a task runs until the end."""

    def __init__(self, settings: RateLimitSettings, secret: bytes, redis: RedisCircuit | None) -> None:
        """`secret` is the key of the HMACs under which counts are stored. Processes that share a Redis need the same secret."""
        self._secret = secret
        self._items: dict[LimitName, RateLimitItem] = {
            name: parse(rate)
            for name in get_args(LimitName)
            if (rate := getattr(settings, f"rate_limit_{name}")) != "off"
        }
        # With a moving window, no period of the window's length has more uses than the limit, and it is known when the next use
        # will be admitted.
        self._memory = MemoryStorage()
        self._own = MovingWindowRateLimiter(self._memory)
        self._redis = redis
        self._shared = None if redis is None else MovingWindowRateLimiter(_storage(redis.pool))

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: RateLimitSettings, secret: bytes) -> AsyncIterator[Self]:
        """Start the task. A connection to Redis is opened when a use is first counted, not here."""
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
        """Count one use for `key`. If the limit has been reached, raises RateLimited, and the use is not counted."""
        item = self._items.get(name)
        if item is None:
            return
        identity = self._identity(name, key)

        async def count(limiter: MovingWindowRateLimiter) -> int:
            """Count the use and return 0. If the limit has been reached, return the seconds until a use is admitted again."""
            if await limiter.hit(item, name, identity):
                return 0
            stats = await limiter.get_window_stats(item, name, identity)
            # Uses are admitted again: since `hit` refused, the count was reset or the window has moved on.
            if stats.remaining > 0:
                return 1
            # The clocks of hosts that share a Redis may differ, so the difference of times may be wrong. The result is at least
            # one second and at most the window's length.
            return min(max(math.ceil(stats.reset_time - time.time()), 1), item.get_expiry())

        if retry_after := await self._ask(count):
            RATE_LIMITED.labels(limit=name).inc()
            raise RateLimited(retry_after)

    async def admits(self, name: LimitName, *key: str) -> bool:
        """Like `hit`, but returns whether the use is admitted, instead of raising RateLimited."""
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
        # Besides the count in Redis, reset the count that this process has kept while Redis was unreachable.
        await self._own.clear(item, name, identity)
        await self._ask(lambda limiter: limiter.clear(item, name, identity))

    def _identity(self, name: LimitName, key: tuple[str, ...]) -> str:
        """The name under which a key's count is stored. It is an HMAC, because the key may be personal data: from a plain hash, a
        phone number could be guessed.
        """
        digest = hmac.new(self._secret, digestmod="sha256")
        for part in map(household, key) if name in _BY_ADDRESS else key:
            encoded = part.encode("utf-8", "surrogatepass")
            # The length is included, so that ("ab", "c") and ("a", "bc") have different HMACs.
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.hexdigest()

    async def _ask(self, operation: Callable[[MovingWindowRateLimiter], Awaitable[R]]) -> R:
        """Run the operation on the counts in Redis, or on those of this process if Redis is not configured or does not answer."""
        shared = self._shared
        if self._redis is not None and shared is not None:
            with contextlib.suppress(Unreachable):
                return await self._redis.ask(lambda: operation(shared))
        return await operation(self._own)

    async def _sweep(self) -> None:
        """Every _SWEEP_EVERY seconds, delete from this process's memory the uses that are older than the window."""
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


@functools.lru_cache(maxsize=10_000)
def household(address: str) -> str:
    """The network that one client is assumed to control: an IPv4 address itself, or the /64 network of an IPv6 address.

    A text that is no IP address is returned unchanged.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped or ip.packed[:8].hex())
