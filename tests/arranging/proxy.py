"""A TCP proxy between the service and PostgreSQL that can lose what it carries: faults without mocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable


class Proxy:
    """Carries bytes until `on_request` says that the connection is lost.

    `on_request(bytes)` sees everything that the client sends: None carries on, "drop" loses the connection before the
    server has seen it, "deaf" lets the server have it and loses the connection before the client has the answer,
    "hang" lets nothing through any more.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.port = 0
        self.on_request: Callable[[bytes], str | None] = lambda _: None
        self._tasks: set[asyncio.Task[None]] = set()

    async def _carry(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        try:
            server, request = await asyncio.open_connection(*self.target)
        except OSError:
            # Whoever comes while the server is away is turned away as by the server.
            answer.transport.abort()
            return
        fate: list[str] = []

        async def forward() -> None:
            with contextlib.suppress(OSError):
                await carry_requests()

        async def carry_requests() -> None:
            while data := await client.read(65536):
                verdict = self.on_request(data)
                if verdict == "drop":
                    return
                if verdict is not None:
                    fate.append(verdict)
                if "hang" in fate:
                    continue
                request.write(data)
                await request.drain()

        async def back() -> None:
            with contextlib.suppress(OSError):
                await carry_answers()

        async def carry_answers() -> None:
            while data := await server.read(65536):
                if "deaf" in fate:
                    return
                if "hang" in fate:
                    continue
                answer.write(data)
                await answer.drain()

        await asyncio.wait(
            {asyncio.create_task(forward()), asyncio.create_task(back())}, return_when=asyncio.FIRST_COMPLETED
        )
        for writer in (request, answer):
            writer.transport.abort()


@contextlib.asynccontextmanager
async def proxied(host: str, port: int) -> AsyncIterator[Proxy]:
    """A proxy to `host:port` on a free port of its own."""
    proxy = Proxy(host, port)
    listener = await asyncio.start_server(proxy._carry, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
