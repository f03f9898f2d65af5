"""A circuit breaker for Redis: timeouts are short, and after a failure no command is sent for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis

from service.settings.cache import RedisSettings

_PATIENCE = 0.25
"""Timeout in seconds for connecting, and for each read from the connection. A whole command has twice this time."""
_PAUSE = 3.0
"""How many seconds Redis is not used after a failure. Then one caller tries it again."""
_CONNECTIONS = 10

R = TypeVar("R")

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.redis")


class Unreachable(Exception):
    """Redis failed or did not answer in time; or no command is sent, because it failed a moment ago."""


class RedisCircuit:
    """Connections to Redis, opened when they are first needed; close them with `aclose`."""

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
            # The wait for a free connection needs no timeout of its own: `ask` has one for the whole call.
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
        """The result of `operation`. Raises Unreachable if it fails for any reason, or if Redis is not to be tried now."""
        if not self._may_try():
            raise Unreachable
        is_trial = self._is_lost
        try:
            # The connection's timeouts apply to each read, so a server that sends slowly could take longer in total.
            async with asyncio.timeout(2 * _PATIENCE):
                answer = await operation()
        except Exception as error:
            self._next_try = time.monotonic() + _PAUSE
            if not self._is_lost:
                self._is_lost = True
                log.warning("redis_lost", reason=str(error) or type(error).__name__)
                # Close the idle connections too: they are to the same lost server, and each would fail when it is next used.
                await self.pool.disconnect(inuse_connections=False)
            raise Unreachable from error
        # Only a command sent after the failure (a trial) shows that Redis is back. This answer may be to an earlier command.
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
        # This caller tries Redis. The others do without it until the pause is over, or this attempt succeeds.
        self._next_try = now + _PAUSE
        return True
