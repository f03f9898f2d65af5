"""Clients that hold connections, heads and bodies for as long as they are let, told over raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from arranging.serving import Service, serving
from service.settings.settings import Settings

BOUNDS = {
    "REQUEST_HEAD_TIMEOUT": "700ms", "REQUEST_BODY_TIMEOUT": "700ms", "MAX_CONNECTIONS": "12",
    "MAX_CONNECTIONS_PER_ADDRESS": "8",
}  # fmt: skip
HEAD = b"GET /livez HTTP/1.1\r\nHost: a\r\n"

POST = b"POST /v1/sessions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n"


@pytest.fixture
async def service(settings: Settings, acme: NewTenant, tmp_path: Path) -> AsyncIterator[Service]:
    with serving(settings, tmp_path, **BOUNDS) as running:
        yield running


class Raw:
    """A connection without a client's manners."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def to(cls, service: Service) -> AsyncIterator[Raw]:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(service.url).port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def flood(self, piece: bytes, times: int) -> int:
        """Send until the other side closes; answers the bytes that it took."""
        taken = 0
        try:
            for _ in range(times):
                await self.send(piece)
                taken += len(piece)
        except ConnectionError:
            pass
        return taken

    async def answer(self) -> tuple[int, dict[str, object]]:
        """Status and body of the answer; the connection is closed after it."""
        head, _, body = (await self.rest()).partition(b"\r\n\r\n")
        assert b"connection: close" in head, head
        return int(head.split()[1]), json.loads(body)

    async def rest(self) -> bytes:
        """All that comes until the connection is closed."""
        return await asyncio.wait_for(self._reader.read(), 20)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD + b"X: ", b"x" * 65_536),
        (HEAD, b"".join(b"X-%d: 1\r\n" % n for n in range(1_000))),
        (b"GET /", b"x" * 65_536),
    ],
    ids=["one header", "many headers", "target"],
)
async def test_endless_head_is_refused_after_some_kilobytes(service: Service, start: bytes, piece: bytes) -> None:
    before = service.resident()
    async with Raw.to(service) as raw:
        await raw.send(start)
        # What has been sent when the other side closes is in the buffers of both sockets.
        assert await raw.flood(piece, 3_000) < 20 * 1024 * 1024
    assert service.resident() - before < 20 * 1024 * 1024


@pytest.mark.parametrize(
    ("sent", "status"),
    [(HEAD + b"X: " + b"x" * 40_000 + b"\r\n\r\n", 431), (HEAD + b"X: 1\r\n" * 200 + b"\r\n", 431),
     (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414), (b"NO HTTP AT ALL\r\n\r\n", 400)],
    ids=["size", "count", "target", "not HTTP"],
)  # fmt: skip
async def test_head_beyond_the_bounds_gets_a_problem_document(service: Service, sent: bytes, status: int) -> None:
    async with Raw.to(service) as raw:
        await raw.send(sent)
        answered, document = await raw.answer()
    assert (answered, document["status"]) == (status, status)


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /li", HEAD, POST + b"{"],
    ids=["silent", "half a line", "half a head", "half a body"],
)  # fmt: skip
async def test_request_that_does_not_arrive_is_given_up(service: Service, sent: bytes) -> None:
    async with Raw.to(service) as raw:
        await raw.send(sent)
        assert (await raw.answer())[0] == 408


async def test_head_that_comes_a_byte_at_a_time_is_given_up_all_the_same(service: Service) -> None:
    async with Raw.to(service) as raw:

        async def drip() -> None:
            with contextlib.suppress(ConnectionError):
                for byte in HEAD * 100:
                    await raw.send(bytes([byte]))
                    await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert (await raw.answer())[0] == 408
        dripping.cancel()


@pytest.mark.parametrize(
    ("sent", "then"),
    [(HEAD + b"\r\n", b"\r\n"), (POST.replace(b"sessions", b"campaigns"), b"x" * 50),
     (POST.replace(b"sessions", b"campaigns"), b"x")],
    ids=["end of a line", "body after the answer", "part of a body after the answer"],
)  # fmt: skip
async def test_connection_that_has_its_answer_is_not_held(service: Service, sent: bytes, then: bytes) -> None:
    async with Raw.to(service) as raw:
        await raw.send(sent)
        await asyncio.sleep(0.2)
        await raw.send(then)
        assert (await raw.rest()).count(b"HTTP/1.1 ") == 1


async def test_head_that_comes_in_two_pieces_with_a_large_body_is_read(service: Service) -> None:
    request = POST.replace(b"50", b"15000") + b"x" * 15_000
    large = request.replace(b"Host: a", b"Host: a\r\nX: " + b"x" * 20_000)
    async with Raw.to(service) as raw:
        await raw.send(large[:60])
        await asyncio.sleep(0.1)
        await raw.send(large[60:].replace(b"Content-Type", b"Connection: close\r\nContent-Type"))
        assert b"malformed" in await raw.rest()


async def test_trailers_are_bounded(service: Service) -> None:
    async with Raw.to(service) as raw:
        await raw.send(POST.replace(b"Content-Length: 50", b"Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\nX: ")
        assert await raw.flood(b"x" * 65_536, 1_000) < 20 * 1024 * 1024


async def test_address_has_so_many_connections_and_others_are_served_meanwhile(service: Service) -> None:
    async with AsyncExitStack() as held:
        for _ in range(8):
            await held.enter_async_context(Raw.to(service))
        async with Raw.to(service) as raw:
            status, document = await raw.answer()
        assert (status, document["detail"]) == (503, "Too many connections of your address are open.")
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(local_address="127.0.0.2")) as other:
            assert (await other.get(f"{service.url}/livez")).status_code == 200
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{service.url}/livez")).status_code == 200


async def test_connection_is_used_again_and_requests_in_a_row_are_answered(service: Service, new: Factory) -> None:
    async with Raw.to(service) as raw:
        await raw.send((HEAD + b"\r\n") * 3 + HEAD + b"Connection: close\r\n\r\n")
        assert (await raw.rest()).count(b"HTTP/1.1 200 OK") == 4
