"""Change streams: how long a commit takes to reach a thousand idle subscribers of one process, beside one that never reads.

A delivery is timed from the moment at which the writer had its answer, in the process that also plays all subscribers, so
its own work for them is in it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import resource
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import uvloop

from bench.installation import Installation, Member
from bench.serving import Service, served
from bench.sign_ins import percentile

SUBSCRIBERS = 1000
_COMMITS = 40
_PATIENCE = 60.0
_AIM = 0.050
_EVENT = re.compile(rb"id: \d+-(\d+)\nevent: commit\n")
_READY = b"event: ready\n"


@dataclass
class Deliveries:
    """Seconds from the writer's answer to each subscriber; bytes that a subscriber costs the process."""

    spread: list[float] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    beside_stuck: list[float] = field(default_factory=list)
    bytes_each: float = 0.0


class Subscriber(asyncio.Protocol):
    """One stream over a raw connection; tells when it is ready and when an event arrives."""

    def __init__(self, arrived: Callable[[int], None]) -> None:
        self.ready = asyncio.get_running_loop().create_future()
        self._arrived = arrived
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        is_first, data = not self._rest, self._rest + data
        if not self.ready.done():
            if is_first and not data.startswith(b"HTTP/1.1 200"):
                self.ready.set_exception(RuntimeError(f"refused: {data[:300]!r}"))
            elif _READY in data:
                self.ready.set_result(None)
        last = 0
        for match in _EVENT.finditer(data):
            self._arrived(int(match[1]))
            last = match.end()
        self._rest = data[max(last, len(data) - 64) :]


def measure(installation: Installation, say: Callable[[str], None]) -> Deliveries:
    """Connect them all, commit, and look at the clock."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    deliveries = Deliveries()
    for shape, members in (("spread", installation.members), ("together", installation.members[:1])):
        with served(installation, f"quarry:{shape}", {}) as service:
            gc.collect()
            uvloop.run(
                _measure(service, members, getattr(deliveries, shape), deliveries, has_stuck=shape == "together")
            )
        say(f"streams: {SUBSCRIBERS} subscribers of {len(members)} tenants, {_COMMITS} commits")
    return deliveries


async def _measure(
    service: Service, members: tuple[Member, ...], into: list[float], deliveries: Deliveries, *, has_stuck: bool
) -> None:
    loop = asyncio.get_running_loop()
    arrivals: dict[tuple[int, int], list[float]] = {}
    before = _resident(service)
    subscribers = []
    for n in range(SUBSCRIBERS):
        at = n % len(members)

        def arrived(number: int, at: int = at) -> None:
            arrivals.setdefault((at, number), []).append(perf_counter())

        _, subscriber = await loop.create_connection(
            lambda arrived=arrived: Subscriber(arrived), "127.0.0.1", service.port
        )
        subscriber.transport.write(_get(members[at]))
        subscribers.append(subscriber)
        if n % 50 == 49:
            await asyncio.gather(*(each.ready for each in subscribers))
    async with asyncio.timeout(_PATIENCE):
        await asyncio.gather(*(each.ready for each in subscribers))
    deliveries.bytes_each = max(deliveries.bytes_each, (_resident(service) - before) / SUBSCRIBERS)
    expected = SUBSCRIBERS // len(members)
    await _commits(service, members, arrivals, expected, into)
    if has_stuck:
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", service.port))
        stuck.sendall(_get(members[0], since="0"))
        await _commits(service, members, arrivals, expected, deliveries.beside_stuck)
        stuck.close()
    for each in subscribers:
        each.transport.close()


async def _commits(
    service: Service,
    members: tuple[Member, ...],
    arrivals: dict[tuple[int, int], list[float]],
    expected: int,
    into: list[float],
) -> None:
    for n in range(_COMMITS):
        at = n % len(members)
        number = await _post(service, members[at], f"commit {n}")
        answered = perf_counter()
        async with asyncio.timeout(_PATIENCE):
            while len(arrivals.get((at, number), ())) < expected:
                await asyncio.sleep(0.002)
        # The first commits warm up.
        if n >= 4:
            into += [max(each - answered, 0.0) for each in arrivals[at, number]]
        await asyncio.sleep(0.02)


async def _post(service: Service, member: Member, name: str) -> int:
    """Create a campaign; answers its commit's number."""
    body = json.dumps({"name": name}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(
        b"POST /v1/campaigns HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
        + f"Authorization: Bearer {member.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    answer = await reader.read()
    writer.close()
    match = re.search(rb"consistency: \d+-(\d+)", answer, re.IGNORECASE)
    if match is None:
        raise RuntimeError(f"refused: {answer[:300]!r}")
    return int(match[1])


def _get(member: Member, since: str = "") -> bytes:
    resumed = f"Last-Event-ID: 1-{since}\r\n" if since else ""
    return (
        f"GET /v1/changes/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {member.token}\r\n{resumed}\r\n"
    ).encode()


def _resident(service: Service) -> int:
    status = Path(f"/proc/{service.pid}/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+)", status)
    return 0 if match is None else int(match[1]) * 1024


def report(deliveries: Deliveries) -> str:
    """The table."""
    lines = [
        f"{f'One commit to {SUBSCRIBERS} idle subscribers of one process, ms after the answer':<62} median      p99   aim"
    ]
    rows = (
        ("of 20 tenants, so 50 of each commit", deliveries.spread),
        ("of one tenant", deliveries.together),
        ("  beside a socket that is never read", deliveries.beside_stuck),
    )
    for label, values in rows:
        verdict = "met" if median(values) <= _AIM else "missed"
        lines.append(
            f"  {label:<60} {median(values) * 1000:>6.1f} {percentile(values, 99) * 1000:>8.1f}"
            f"   at most {_AIM * 1000:.0f}: {verdict}"
        )
    lines.append(f"  memory per subscriber: {deliveries.bytes_each / 1024:.1f} KiB")
    return "\n".join(lines) + "\n"
