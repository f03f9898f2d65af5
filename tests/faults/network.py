"""The network between the service and PostgreSQL, which cuts or stalls connections wherever it likes, also inside a message."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Literal

_REACH = 8_000
"""A connection is hit within so many bytes: a log-in and a few transactions."""

Weather = Literal["fair", "cutting", "stalling"]


class Link:
    """One connection; how much it still carries in the present weather."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._spell = 0
        self._left = 0
        self.is_doomed = False
        """Whether it is lost after it has stood still."""

    def allowance(self, wanted: int) -> int:
        """How many bytes of so many get through."""
        network = self._network
        if network.weather == "fair":
            return wanted
        if self._spell != network.spell:
            self._spell = network.spell
            self._left = network.chance.randrange(_REACH)
            self.is_doomed = network.weather == "cutting" or network.chance.random() < 0.5
        passed = min(wanted, self._left)
        self._left -= passed
        return passed


class Network:
    """Carries bytes, in both directions, until `turn` says otherwise.

    "cutting" loses every connection after a random number of bytes, "stalling" holds it there until it is "fair" again;
    half of those that were held are lost then, the others go on as if nothing had been.
    """

    def __init__(self, host: str, port: int, seed: int) -> None:
        self.target = (host, port)
        self.port = 0
        self.chance = random.Random(seed)
        self.weather: Weather = "fair"
        self.spell = 0
        self.hit = 0
        """Connections that were cut or stalled so far."""
        self._is_fair = asyncio.Event()
        self._is_fair.set()
        self._links: set[asyncio.Task[None]] = set()

    def turn(self, weather: Weather) -> None:
        """Change the weather, for connections that there are and for new ones."""
        self.weather = weather
        self.spell += 1
        if weather == "fair":
            self._is_fair.set()
        else:
            self._is_fair.clear()

    def accept(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        """Carry for one more client."""
        task = asyncio.create_task(self._carry(client, answer))
        self._links.add(task)
        task.add_done_callback(self._links.discard)

    async def close(self) -> None:
        """Lose all connections."""
        for task in self._links:
            task.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _carry(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        ends = [answer]
        pumps: set[asyncio.Task[None]] = set()
        try:
            # Whoever comes while the server is away is turned away as by the server.
            with contextlib.suppress(OSError):
                server, request = await asyncio.open_connection(*self.target)
                ends.append(request)
                link = Link(self)
                pumps |= {asyncio.create_task(self._pump(client, request, link))}
                pumps |= {asyncio.create_task(self._pump(server, answer, link))}
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in ends:
                end.transport.abort()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, link: Link) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                passed = link.allowance(len(data))
                sink.write(data[:passed])
                await sink.drain()
                if passed < len(data):
                    self.hit += 1
                    if self.weather == "stalling":
                        await self._is_fair.wait()
                    if link.is_doomed:
                        return
                    sink.write(data[passed:])
                    await sink.drain()


@contextlib.asynccontextmanager
async def networked(host: str, port: int, seed: int) -> AsyncIterator[Network]:
    """A network to `host:port`, entered at a free port of its own."""
    network = Network(host, port, seed)
    listener = await asyncio.start_server(network.accept, "127.0.0.1", 0)
    network.port = listener.sockets[0].getsockname()[1]
    try:
        yield network
    finally:
        listener.close()
        await network.close()
