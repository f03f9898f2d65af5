"""A circuit breaker for Redis: timeouts are short, and after a failure no command is sent to Redis for some seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis

from service.settings.cache import RedisSettings

_PATIENCE = 0.25
"""The timeout for connecting, and for each read from the connection, in seconds. A whole command may take twice as long."""
_PAUSE = 3.0
"""How many seconds Redis is not used after a failure. Then one caller tries Redis again."""
_CONNECTIONS = 10

R = TypeVar("R")

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.redis")


class Unreachable(Exception):
    """Redis failed or did not answer in time; or no command was sent, because Redis failed less than _PAUSE seconds ago."""


class RedisCircuit:
    """The circuit breaker, and its connections to Redis. They are opened when they are first needed, and closed by `aclose`."""

    def __init__(self, pool: BlockingConnectionPool) -> None:
        self.pool = pool
        self.client = Redis(connection_pool=pool)
        self._is_lost = False
        self._next_try = 0.0

    @classmethod
    def of(cls, settings: RedisSettings) -> RedisCircuit | None:
        """The circuit breaker for the Redis server that the settings name; None if they name no server."""
        options: dict[str, Any] = {
            "max_connections": _CONNECTIONS,
            # The wait for a free connection of the pool needs no timeout, because `ask` limits the time of the whole command.
            "timeout": None,
            "socket_connect_timeout": _PATIENCE,
            "socket_timeout": _PATIENCE,
        }
        if settings.redis_url is not None:
            return cls(BlockingConnectionPool.from_url(settings.redis_url.get_secret_value(), **options))
        if settings.redis_host is None:
            return None
        password = settings.redis_password
        return cls(
            BlockingConnectionPool(
                host=settings.redis_host, port=settings.redis_port, db=settings.redis_db,
                password=password.get_secret_value() if password else None, **options,
            )
        )  # fmt: skip

    async def ask(self, operation: Callable[[], Awaitable[R]]) -> R:
        """Call `operation`, which sends a command to Redis, and return its result. Raises Unreachable if it raises any exception.

        After a failure, Unreachable is raised for a while without calling `operation`.
        """
        if not self._may_try():
            raise Unreachable
        is_trial = self._is_lost
        try:
            # This timeout is for the whole command. Those of the connection are for each of its reads.
            async with asyncio.timeout(2 * _PATIENCE):
                answer = await operation()
        except Exception as error:
            self._next_try = time.monotonic() + _PAUSE
            if not self._is_lost:
                self._is_lost = True
                log.warning("redis_lost", reason=str(error) or type(error).__name__)
                # The idle connections are closed too: they lead to the same server, and each would fail when it is next used.
                await self.pool.disconnect(inuse_connections=False)
            raise Unreachable from error
        # Only a command sent after the failure (a trial) shows that Redis works again. This may be the answer to an earlier one.
        if is_trial:
            self._is_lost = False
            log.info("redis_recovered")
        return answer

    async def ping(self) -> None:
        """Send PING, to see whether Redis answers."""
        await self.client.ping()

    async def aclose(self) -> None:
        """Close the connections."""
        await self.pool.aclose()

    def _may_try(self) -> bool:
        if not self._is_lost:
            return True
        now = time.monotonic()
        if now < self._next_try:
            return False
        # This caller tries Redis. The other callers do not use Redis until this attempt succeeds, or another _PAUSE has passed.
        self._next_try = now + _PAUSE
        return True
