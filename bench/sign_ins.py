"""What signing in costs everybody else: GETs at a steady pace, alone and beside clients that sign in without pause.

The GETs come at random moments, far fewer than the service could answer, and each is timed from the moment it comes: while the
service stands still, they go on coming, and wait. A closed loop would send less just then, and a saturated one would measure
the queue for the cores, which the generator shares.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection
from statistics import quantiles
from time import perf_counter
from typing import Any

import uvloop

from bench.http import requests
from bench.installation import Installation, Member
from bench.rounds import Samples
from bench.serving import Service, served

RATE = 200
"""GETs per second."""
CONNECTIONS = 4
"""For the GETs."""
CLIENTS = 8
"""They sign in, each as a user of its own."""
ALONE, BESIDE = TURNS = ("alone", "beside")
_SECONDS = 1.5
_PATIENCE = 30.0
_PASSWORD = "a password for measurements"
_UNLIMITED = {"RATE_LIMIT_SIGN_IN_ADDRESS": "off", "RATE_LIMIT_SIGN_IN_ACCOUNT": "off"}


class Waits:
    """Seconds until one service had answered."""

    def __init__(self) -> None:
        self.gets: dict[str, list[float]] = {turn: [] for turn in TURNS}
        self.p99 = Samples(TURNS)
        self.sign_ins: list[float] = []
        self.sign_ins_per_second: list[float] = []

    def add(self, turn: str, gets: list[float], sign_ins: list[float], seconds: float) -> None:
        """What one turn of so many seconds has shown."""
        self.gets[turn] += gets
        self.p99.add(turn, percentile(gets, 99), len(gets))
        if turn == BESIDE:
            self.sign_ins += sign_ins
            self.sign_ins_per_second.append(len(sign_ins) / seconds)


def percentile(values: Sequence[float], percent: int) -> float:
    """What so many in a hundred of the values stay below."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def measure(
    installation: Installation, rounds: int, others: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, Waits]:
    """The waits by service; `others` are further source trees of Quarry by label."""
    environments: dict[str, dict[str, str]] = {"quarry": {}}
    environments |= {f"quarry:{label}": {"PYTHONPATH": path} for label, path in others.items()}
    with ExitStack() as stack:
        services = {
            label: stack.enter_context(served(installation, label, {**_UNLIMITED, **environment}))
            for label, environment in environments.items()
        }
        sign_ins = {
            label: [_user(service, member, number) for member in installation.members[:CLIENTS]]
            for number, (label, service) in enumerate(services.items())
        }
        gets = [text.encode() for text in requests(installation)["find"]]
        # What the measurements before this one have left must not be collected while answers are timed.
        gc.collect()
        gc.freeze()
        waits = uvloop.run(_measure(services, gets, sign_ins, rounds))
    say(f"sign-ins: {rounds} rounds of {_SECONDS} s alone and beside for each of {len(services)} services")
    return waits


def _user(service: Service, owner: Member, number: int) -> bytes:
    """The request that signs in a new user of the owner's tenant, hashed by the service itself."""
    connection = HTTPConnection("127.0.0.1", service.port, timeout=_PATIENCE)
    email = f"service-{number}@load.example"

    def ask(method: str, path: str, content: object = None) -> Any:
        body = None if content is None else json.dumps(content)
        headers = {"Authorization": f"Bearer {owner.token}", "Content-Type": "application/json"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:500]!r}")
        return json.loads(text)

    ask("POST", "/v1/users", {"email": email, "display_name": "Signs in", "password": _PASSWORD})
    body = json.dumps({"tenant": ask("GET", "/v1/tenant")["domain"], "email": email, "password": _PASSWORD})
    connection.close()
    return (
        f"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Connection(asyncio.Protocol):
    """One request at a time over a kept connection."""

    def __init__(self) -> None:
        self.received = b""
        self.answer: asyncio.Future[float] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(RuntimeError(f"the service closed a connection: {error}"))

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0]):
            return
        if self.answer is not None and not self.answer.done():
            if head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 201 ")):
                self.answer.set_result(perf_counter())
            else:
                self.answer.set_exception(RuntimeError(f"refused: {self.received[:500]!r}"))

    async def ask(self, request: bytes) -> float:
        """When the answer was complete. Raises RuntimeError after anything but 200 and 201."""
        self.received, self.answer = b"", asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer


async def _measure(
    services: Mapping[str, Service], gets: Sequence[bytes], sign_ins: Mapping[str, Sequence[bytes]], rounds: int
) -> dict[str, Waits]:
    waits = {label: Waits() for label in services}
    endless = itertools.cycle(gets)
    for number in range(-1, rounds):
        for label, service in services.items():
            for turn in TURNS if number % 2 else reversed(TURNS):
                started = perf_counter()
                async with asyncio.timeout(_PATIENCE):
                    heard = await _turn(service.port, endless, sign_ins[label] if turn == BESIDE else ())
                # The first round warms up.
                if number >= 0:
                    waits[label].add(turn, *heard, perf_counter() - started)
    return waits


async def _turn(port: int, gets: Iterator[bytes], sign_ins: Sequence[bytes]) -> tuple[list[float], list[float]]:
    """The waits of the GETs and of the sign-ins."""
    loop = asyncio.get_running_loop()
    pairs = [await loop.create_connection(Connection, "127.0.0.1", port) for _ in range(CONNECTIONS + len(sign_ins))]
    connections = [connection for _, connection in pairs]
    until = perf_counter() + _SECONDS
    steady: list[float] = []
    others: list[float] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_steadily(connections[:CONNECTIONS], gets, until, steady))
            for connection, request in zip(connections[CONNECTIONS:], sign_ins, strict=True):
                group.create_task(_again(connection, request, until, others))
    finally:
        for transport, _ in pairs:
            transport.close()
    return steady, others


async def _steadily(connections: Sequence[Connection], gets: Iterator[bytes], until: float, waits: list[float]) -> None:
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)

    async def ask(request: bytes, came: float) -> None:
        connection = await free.get()
        waits.append(await connection.ask(request) - came)
        free.put_nowait(connection)

    due = perf_counter()
    async with asyncio.TaskGroup() as group:
        while (due := due + random.expovariate(RATE)) < until:
            # Timers are late by up to a millisecond, which is not the service's.
            await asyncio.sleep(max(0.0, due - perf_counter()))
            group.create_task(ask(next(gets), perf_counter()))


async def _again(connection: Connection, request: bytes, until: float, waits: list[float]) -> None:
    while (came := perf_counter()) < until:
        waits.append(await connection.ask(request) - came)
