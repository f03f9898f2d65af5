"""Feed: opens and closes everything in this process that follows commits: relay, listener, consumers and subscriptions."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, Self
from uuid import UUID

from service.addresses import PoolLimits
from service.cache.watermarks import Watermarks
from service.changes.consumers import Consumer, Consumers
from service.changes.listener import Listener
from service.changes.relay import Relay
from service.changes.subscription import Admission, Prove, Subscription
from service.database.database import Database
from service.database.pool import GREETING
from service.engine import EngineWork
from service.errors import RateLimited, Unavailable
from service.metrics import STREAMS, STREAMS_CLOSED
from service.repos.log import StreamPlace
from service.settings.changes import ChangesSettings
from service.tenancy.identity import TenantId

_RETRY_AFTER = 10
_LOST_AFTER = 10.0
"""The health check `changes` fails if the log could not be polled for this many seconds although some tenant is followed."""


class Feed:
    """Holds the relay, the listener, the consumers and all subscriptions of this process.

    Open it with `async with Feed.open(…)`.
    """

    def __init__(self, database: Database, relay: Relay, listener: Listener, settings: ChangesSettings) -> None:
        self.database = database
        """The database for requests. Each commit made with it is reported to the relay, the listener and the consumers."""
        self._relay, self._listener = relay, listener
        self._heartbeat = settings.changes_heartbeat
        self._most = settings.changes_streams_per_tenant
        self._subscriptions: set[Subscription] = set()
        self._is_closing = False

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        settings: ChangesSettings,
        database: Database,
        watermarks: Watermarks,
        consumers: Sequence[Consumer],
        kind: type[EngineWork] = EngineWork,
    ) -> AsyncIterator[Self]:
        """Start relay, listener and consumers; they are stopped after the block.

        The relay gets a small pool of its own. So it does not have to wait for connections that requests use (`database`).
        """
        limits = settings.limits
        own = PoolLimits(
            minimum=1, maximum=3, idle_timeout=limits.idle_timeout, acquire_timeout=limits.acquire_timeout,
            connect_timeout=limits.connect_timeout, connect_attempts=limits.connect_attempts,
        )  # fmt: skip
        async with contextlib.AsyncExitStack() as stack:
            relay_database = await stack.enter_async_context(
                Database.open(
                    settings.address("quarry_app"), own, schema=settings.database_schema, name="quarry relay",
                    observe=database.pool.observe, greeting=GREETING,
                )
            )  # fmt: skip
            has_redis = settings.has_redis
            relay = await stack.enter_async_context(Relay.open(relay_database, watermarks, reaches_back=has_redis))
            listener = await stack.enter_async_context(
                Listener.open(settings.listening_address(), on_hint=relay.hint, on_connected=relay.hint_all)
            )

            def told(tenant: UUID, number: int) -> None:
                relay.committed(tenant, number)
                listener.hint(tenant)

            running = await stack.enter_async_context(
                Consumers.open(replace(database, on_numbered=told), consumers, settings.changes_max_age, kind)
            )
            feed = cls(running.database, relay, listener, settings)
            try:
                yield feed
            finally:
                feed.close()

    @contextlib.asynccontextmanager
    async def subscription(
        self, tenant: TenantId, *, place: StreamPlace, admission: Admission, prove: Prove
    ) -> AsyncIterator[Subscription]:
        """A new subscription to the tenant's commits. Subscription explains the arguments.

        Raises RateLimited if the tenant has too many subscriptions in this process. Raises Unavailable if the log can't be
        read, or if the process is stopping.
        """
        if self._is_closing:
            raise Unavailable
        async with contextlib.AsyncExitStack() as stack:
            try:
                ring = await stack.enter_async_context(self._relay.ring(tenant))
            except TimeoutError as error:
                raise Unavailable from error
            if ring.subscribers > self._most:
                raise RateLimited(_RETRY_AFTER)
            subscription = Subscription(
                self.database, tenant, ring, place=place, admission=admission, prove=prove, heartbeat=self._heartbeat
            )
            self._subscriptions.add(subscription)
            STREAMS.inc()
            try:
                yield subscription
            finally:
                self._subscriptions.discard(subscription)
                STREAMS.dec()
                STREAMS_CLOSED.labels(reason=subscription.reason).inc()

    def close(self) -> None:
        """End all streams, and refuse new ones, because the process stops. The clients can reconnect to another process."""
        self._is_closing = True
        for subscription in tuple(self._subscriptions):
            subscription.close("stopping")

    def report(self) -> dict[str, Any]:
        """The result of the health check `changes`.

        `seconds` is the time since the last successful poll of the log began (0 if no tenant is followed). `listener` is the
        listener's state; in the state `refused`, `reason` explains it. `streams` is the number of subscriptions.
        """
        behind = monotonic() - self._relay.confirmed_at
        is_following = bool(self._relay.watermarks.followed(monotonic()))
        return {
            "ok": not is_following or behind < _LOST_AFTER,
            "seconds": round(behind, 1) if is_following else 0.0,
            "listener": self._listener.state,
            **({"reason": self._listener.reason} if self._listener.state == "refused" else {}),
            "streams": len(self._subscriptions),
            "epoch": self._relay.watermarks.epoch,
        }
