"""The load generator, a process of its own: 16 keep-alive connections that always have a request under way.

Reads jobs from stdin, a JSON line each, and answers each with one; the first line holds the requests of every kind.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter
from typing import Any

import uvloop

CONNECTIONS = 16
_PATIENCE = 30.0
_OK = b"HTTP/1.1 200 "
_LENGTH = b"content-length: "


class Client(asyncio.Protocol):
    """One connection: the next request goes out when the answer before is complete."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.received = b""
        self.expected = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(f"the server closed a connection: {error}"))

    def data_received(self, data: bytes) -> None:
        self.received = self.received + data if self.received else data
        if not self.expected:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return
            start = self.received.find(_LENGTH) + len(_LENGTH)
            self.expected = end + 4 + int(self.received[start : self.received.index(b"\r\n", start)])
        if len(self.received) >= self.expected:
            answer, self.received, self.expected = self.received, b"", 0
            self.run.last = answer
            if not answer.startswith(_OK):
                self.done.set_exception(RuntimeError(f"not a 200: {answer[:500]!r}"))
                return
            self.run.answers += 1
            self._next()

    def _next(self) -> None:
        request = self.run.next()
        if request is None:
            self.done.set_result(None)
        else:
            self.transport.write(request)


class Run:
    """So many requests, in the list's order, or as many as there is time for."""

    def __init__(self, requests: list[bytes], count: int, seconds: float) -> None:
        self.requests, self.count = requests, count
        self.sent = self.answers = 0
        self.last = b""
        self.started = perf_counter()
        self.until = self.started + seconds

    def next(self) -> bytes | None:
        """The next request, None when it is enough."""
        if self.sent >= self.count or perf_counter() > self.until:
            return None
        self.sent += 1
        return self.requests[self.sent % len(self.requests)]

    async def against(self, port: int) -> dict[str, Any]:
        """Run it: how many answers in how many seconds, and the last answer's body."""
        loop = asyncio.get_running_loop()
        number = min(CONNECTIONS, self.count)
        pairs = [await loop.create_connection(lambda: Client(self), "127.0.0.1", port) for _ in range(number)]
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(*(client.done for _, client in pairs))
            taken = perf_counter() - self.started
        finally:
            for transport, _ in pairs:
                transport.close()
        return {"answers": self.answers, "seconds": taken, "body": self.last.partition(b"\r\n\r\n")[2].decode()}


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    kinds = {kind: [text.encode() for text in texts] for kind, texts in json.loads(await lines.readline()).items()}
    while job := await lines.readline():
        order = json.loads(job)
        run = Run(kinds[order["kind"]], order["count"], order["seconds"])
        print(json.dumps(await run.against(order["port"])), flush=True)


if __name__ == "__main__":
    uvloop.run(_serve())
