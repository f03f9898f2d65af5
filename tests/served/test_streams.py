"""Change streams over a socket: they end with the process, which does not wait for their readers to leave."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from arranging.serving import Service, serving
from service.settings.settings import Settings

PATIENCE = 30.0


@pytest.fixture
def service(settings: Settings, tmp_path: Path) -> Iterator[Service]:
    """One that would wait for its answers to end for longer than this test may take."""
    with serving(settings, tmp_path, SHUTDOWN_TIMEOUT="5m") as running:
        yield running


@pytest.fixture
async def client(service: Service, new: Factory, acme: NewTenant) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {await new.token(acme)}"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30) as opened:
        yield opened


async def begun(client: httpx.AsyncClient, stack: AsyncExitStack) -> AsyncIterator[str]:
    """The lines of a stream, after its `ready`."""
    answer = await stack.enter_async_context(client.stream("GET", "/v1/changes/stream"))
    lines = answer.aiter_lines()
    while await anext(lines) != "event: ready":
        pass
    return lines


async def rest(lines: AsyncIterator[str]) -> list[str]:
    return [line async for line in lines if line.startswith("event: ")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_open_streams_at_once_and_the_service_well(
    service: Service, client: httpx.AsyncClient, number: signal.Signals
) -> None:
    async with AsyncExitStack() as stack:
        opened = [await begun(client, stack) for _ in range(5)]
        os.kill(service.pid, number)
        async with asyncio.timeout(PATIENCE):
            # An answer that is cut off would raise here.
            assert await asyncio.gather(*map(rest, opened)) == [[]] * 5
            # Looked at without taking it from whoever started the process.
            ended = await asyncio.to_thread(os.waitid, os.P_PID, service.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert (ended.si_code, ended.si_status) == (os.CLD_EXITED, 0), service.log.read_text()
    assert "Traceback" not in service.log.read_text()


async def test_what_is_committed_is_sent_at_once(service: Service, client: httpx.AsyncClient) -> None:
    async with AsyncExitStack() as stack:
        lines = await begun(client, stack)
        written = await client.post("/v1/campaigns", json={"name": "Summer"})
        async with asyncio.timeout(PATIENCE):
            while await anext(lines) != f"id: {written.headers['consistency']}":
                pass
