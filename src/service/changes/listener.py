"""Sends and receives hints, by NOTIFY and LISTEN on a dedicated connection. Transactions of requests send no notifications.

A hint tells the other processes that a tenant has new commits. Forged or lost hints do no harm: a hint only makes the relay
read the log earlier, and the relay also polls the log regularly. To check that notifications arrive, the listener sends some
to itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice
from typing import Any, Literal, Self
from uuid import UUID

import asyncpg
import structlog

from service.addresses import Address
from service.database import pooler
from service.database.database import Database
from service.errors import DatabaseError
from service.metrics import LISTENER

CHANNEL = "quarry_changes"
_SPACING = 0.01
"""Seconds that the listener waits before it sends a hint, so that one hint can report several commits in quick succession."""
_MOST_TENANTS = 300
"""The largest number of tenants in one hint. There has to be a limit, because a notification's payload has at most 7999 bytes."""
_ECHO_EVERY = 5.0
_PATIENCE = 2.0
_LONGEST_PAUSE = 10.0
_REFUSED_PAUSE = 60.0
_BY_POOLER = (
    "a pooler is in between, so changes of other processes are asked for: set CHANGES_LISTEN_URL to go round it"
)
_ID = re.compile(r"[A-Za-z0-9_-]{22}\Z")
"""A tenant's id in a hint: the 16 bytes of the UUID in URL-safe base64, without padding."""

State = Literal["connecting", "listening", "deaf", "refused"]

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.listener")


class Listener:
    """Sends and receives hints in a background task, over its own connection. Open it with `async with Listener.open(…)`."""

    def __init__(self, address: Address, on_hint: Callable[[UUID], None], on_connected: Callable[[], None]) -> None:
        self.state: State = "connecting"
        self.reason = ""
        """Why the listener can't receive hints, in the states `deaf` and `refused`; empty in the other states."""
        self._address = address
        self._on_hint, self._on_connected = on_hint, on_connected
        self._sender = secrets.token_urlsafe(9)
        self._pending: set[UUID] = set()
        self._news = asyncio.Event()
        self._echo = asyncio.Event()
        self._nonce = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, address: Address, *, on_hint: Callable[[UUID], None], on_connected: Callable[[], None]
    ) -> AsyncIterator[Self]:
        """Start the task, which listens and reconnects whenever the connection is lost; it is stopped after the block.

        `on_hint` is called for each tenant that another process sends a hint about. `on_connected` is called whenever the
        listener begins to listen on a new connection, because earlier hints have been missed.
        """
        listener = cls(address, on_hint, on_connected)
        task = asyncio.create_task(listener._go_on(), name="listener")
        try:
            yield listener
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def hint(self, tenant: UUID) -> None:
        """Make the listener's task send a hint about this tenant to the other processes."""
        self._pending.add(tenant)
        self._news.set()

    async def _go_on(self) -> None:
        failures = 0
        while True:
            try:
                async with self._connected() as connection:
                    if await pooler.is_between(connection):
                        self._turn("refused", _BY_POOLER)
                    else:
                        await self._listen(connection)
                        failures = 0
                        await self._serve(connection)
            except (
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
                TimeoutError,
            ) as error:
                self._turn("deaf", str(error) or type(error).__name__)
            except Exception:
                # Go on, because nothing restarts this task. Until it listens again, commits are found by polling only.
                self._turn("deaf", "unforeseen")
                log.exception("listener_failed")
            failures += 1
            longest = min(_LONGEST_PAUSE, 0.05 * 2 ** min(failures, 10))
            await asyncio.sleep(_REFUSED_PAUSE if self.state == "refused" else random.uniform(0.01, longest))

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        options = self._address.asyncpg_options(application_name="quarry listener")
        # statement_cache_size=0 makes asyncpg use unnamed statements. With names, a pooler could assign a session in which a
        # statement of the same name exists, and the query that detects the pooler would fail.
        connection = await asyncpg.connect(
            self._address.url, timeout=self._address.connect_timeout, command_timeout=_PATIENCE,
            statement_cache_size=0, **options,
        )  # fmt: skip
        try:
            yield connection
        finally:
            # Do not close gracefully: that would wait for the server, even if it does not respond. No data can be lost here.
            connection.terminate()

    async def _listen(self, connection: Any) -> None:
        await connection.add_listener(CHANNEL, self._heard)
        self._turn("listening", "")
        # Call this only after LISTEN. The log is then read once; every commit that is made later is announced by a hint.
        self._on_connected()

    async def _serve(self, connection: Any) -> None:
        """Send the pending hints. Every few seconds, also send a notification to the listener itself, and wait for it.

        Never returns. Raises an exception if the connection fails, or if that notification does not arrive in time.
        """
        loop = asyncio.get_running_loop()
        echo_at = loop.time()
        while True:
            if loop.time() >= echo_at:
                await self._listen_to_oneself(connection)
                echo_at = loop.time() + _ECHO_EVERY
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(echo_at - loop.time(), 0)):
                    await self._news.wait()
            if self._pending:
                await asyncio.sleep(_SPACING)
                self._news.clear()
                tenants = [self._pending.pop() for _ in range(min(len(self._pending), _MOST_TENANTS))]
                if self._pending:
                    self._news.set()
                await self._notify(connection, ",".join(map(_encoded, tenants)))

    async def _listen_to_oneself(self, connection: Any) -> None:
        self._nonce = secrets.token_urlsafe(9)
        self._echo.clear()
        await self._notify(connection, self._nonce)
        async with asyncio.timeout(_PATIENCE):
            await self._echo.wait()

    async def _notify(self, connection: Any, text: str) -> None:
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{self._sender} {text}")

    def _heard(self, _: object, __: int, ___: str, payload: str) -> None:
        """Handle a notification. The payload is not trusted, because every login of this database can send notifications."""
        sender, _, text = payload.partition(" ")
        if sender == self._sender:
            if text == self._nonce:
                self._echo.set()
            return
        for each in text.split(","):
            if _ID.match(each):
                self._on_hint(UUID(bytes=base64.urlsafe_b64decode(f"{each}==")))

    def _turn(self, state: State, reason: str) -> None:
        if state != self.state:
            self.state, self.reason = state, reason
            LISTENER.labels(event=state).inc()
            say = log.warning if state == "refused" else log.info
            say("listener", state=state, **({"reason": reason} if reason else {}))


async def announce(database: Database, tenants: Iterable[UUID]) -> None:
    """Send one hint about the tenants (at most 300). Commands use this, because they run no listener.

    Errors of the database are ignored, because the processes that serve also poll the log.
    """
    text = ",".join(map(_encoded, islice(tenants, _MOST_TENANTS)))
    with contextlib.suppress(DatabaseError):
        async with database.connection() as connection:
            await connection.execute("SELECT pg_notify($1, $2)", (CHANNEL, f"command {text}"))


def _encoded(tenant: UUID) -> str:
    return base64.urlsafe_b64encode(tenant.bytes).decode().rstrip("=")
