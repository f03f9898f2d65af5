"""Followers of the log as a process has them, each with connections of its own, and what else their tests need."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest
import structlog

from arranging.accounts import NewTenant
from arranging.proxy import Proxy, proxied
from service.addresses import Address, PoolLimits
from service.cache.watermarks import Stamp, Tag, Watermarks
from service.changes.listener import CHANNEL, Listener
from service.changes.relay import Relay
from service.changes.ring import Ring
from service.database.database import Database
from service.database.pool import GREETING
from service.repos.log import LoggedCommit
from service.settings.settings import Settings
from service.work import Work

T = TypeVar("T")

_PATIENCE = 30.0
NEVER = 3600.0
"""Seconds; for what is not to happen during a test."""


async def until(condition: Callable[[], T | Awaitable[T]]) -> T:
    """What a function answers once that is true, or a failure after half a minute."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            answer = condition()
            found = await answer if isinstance(answer, Awaitable) else answer
            if found:
                return found
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def relaying(
    settings: Settings, *, reaches_back: bool = False, address: Address | None = None, **options: Any
) -> AsyncIterator[Relay]:
    """A relay with its own pool, as Feed opens it."""
    limits = PoolLimits(minimum=1, maximum=3, connect_timeout=2.0, acquire_timeout=2.0)
    async with (
        Database.open(
            address or settings.address("quarry_app"), limits, name="quarry relay", greeting=GREETING, **options
        ) as database,
        Relay.open(database, Watermarks(), reaches_back=reaches_back) as relay,
    ):
        yield relay


@dataclass
class Ear:
    """A listener, and what it was told."""

    heard: list[UUID] = field(default_factory=list)
    connected: int = 0
    listener: Listener = field(init=False)

    def connect(self) -> None:
        self.connected += 1


@contextlib.asynccontextmanager
async def listening(address: Address) -> AsyncIterator[Ear]:
    """A listener that has had its first connection, if it can have one."""
    ear = Ear()
    async with Listener.open(address, on_hint=ear.heard.append, on_connected=ear.connect) as ear.listener:
        await until(lambda: ear.listener.state != "connecting")
        yield ear


@contextlib.asynccontextmanager
async def overhearing(settings: Settings) -> AsyncIterator[list[tuple[int, str]]]:
    """Every notification of the channel as anybody gets it who may connect: the sender's backend, and the text."""
    overheard: list[tuple[int, str]] = []
    connection = await asyncpg.connect(settings.address("quarry_app").url)
    await connection.add_listener(CHANNEL, lambda _, pid, __, payload: overheard.append((pid, payload)))
    try:
        yield overheard
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def behind_proxy(address: Address) -> AsyncIterator[tuple[Proxy, Address]]:
    """The address behind a proxy that can lose connections."""
    parts = urlsplit(address.url)
    before = asyncio.all_tasks()
    async with proxied(parts.hostname or "", parts.port or 0) as proxy:
        netloc = f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"
        yield proxy, Address(urlunsplit(parts._replace(netloc=netloc)), connect_timeout=2.0)
    await until(lambda: asyncio.all_tasks() <= before)


@contextlib.contextmanager
def pooled(address: Address, directory: Path, port: int, *, connections: int) -> Iterator[Address]:
    """The address behind a PgBouncer that hands out its connections for a transaction at a time."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("there is no pgbouncer here: apt-get install pgbouncer")
    parts = urlsplit(address.url)
    database = parts.path.strip("/")
    directory.chmod(0o755)
    users, options = directory / "users.txt", directory / "pgbouncer.ini"
    users.write_text(f'"{parts.username}" "{unquote(parts.password or "")}"\n')
    options.write_text(
        f"[databases]\n{database} = host={parts.hostname} port={parts.port} dbname={database}"
        f" connect_query='SET search_path = quarry, pg_temp'\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\n"
        f"auth_file = {users}\npool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 100\n"
        "ignore_startup_parameters = search_path, timezone, statement_timeout, lock_timeout,"
        " idle_in_transaction_session_timeout\n"
    )
    for file in (users, options):
        file.chmod(0o644)
    # It refuses to run as root.
    as_nobody = ["-u", "nobody"] if Path("/proc/self").stat().st_uid == 0 else []
    process = subprocess.Popen([program, "-q", *as_nobody, str(options)], stderr=subprocess.DEVNULL)
    try:
        yield Address(urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}")))
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def unreachable(superuser: Any) -> Iterator[None]:
    """The serving role loses all its connections to this database, and gets none, for the length of the block."""
    superuser.autocommit = True
    superuser.execute(f"REVOKE CONNECT ON DATABASE {superuser.info.dbname} FROM PUBLIC, quarry_app")
    superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'quarry_app'")
    try:
        yield
    finally:
        superuser.execute(f"GRANT CONNECT ON DATABASE {superuser.info.dbname} TO quarry_app")


def follow(relay: Relay, tenant: NewTenant) -> None:
    """Follow a tenant's watermarks alone, as reads from the cache do."""
    relay.watermarks.use(tenant.id, monotonic())


def holds(relay: Relay, tenant: NewTenant, number: int, *tags: Tag) -> bool:
    """Whether what was read with that number holds, as of the last time that the log answered."""
    known = relay.watermarks._tenants[tenant.id]
    stamp = Stamp(relay.watermarks.epoch, number, 0, -1e9)
    return relay.watermarks.holds(tenant.id, stamp, tags, is_shared=False, at_least=0, now=known.confirmed_at)


async def change(database: Database, tenant: NewTenant, *, times: int = 1) -> int:
    """Commits, one after the other; answers the number of the last one."""
    for _ in range(times):
        async with Work(database, tenant.id) as work:
            await work.campaigns.create(name="Summer", owner_id=tenant.owner.id)
    assert work.number is not None
    return work.number


async def logged(database: Database, tenant: NewTenant, after: int = 0) -> list[LoggedCommit]:
    """What the log says of all commits after a number."""
    commits: list[LoggedCommit] = []
    while True:
        async with Work(database, tenant.id, read_only=True) as work:
            page = await work.log.read_on(commits[-1].number if commits else after, most=100_000, limit=1000)
        commits += page.commits
        if not page.more:
            return commits


def prune(superuser: Any, tenant: NewTenant) -> int:
    """Forget the tenant's log up to now; answers how many commits that were."""
    age(superuser, tenant)
    superuser.execute("SELECT set_config('app.tenant_id', %s, false)", [str(tenant.id)])
    return int(superuser.execute("SELECT app.prune_log(%s, 10000)", [tenant.id]).fetchone()[0])


def age(superuser: Any, tenant: NewTenant) -> None:
    """Let everything that the tenant has committed have been a year ago."""
    superuser.execute("UPDATE app.commits SET at = at - interval '1 year' WHERE tenant_id = %s", [tenant.id])


@contextlib.contextmanager
def logging() -> Iterator[list[Any]]:
    """What is logged from `info` on, which the tests are otherwise spared."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("info"))
    with structlog.testing.capture_logs() as captured:
        yield captured


def numbers(ring: Ring, after: int) -> list[int]:
    """The numbers of all frames after one, however many are handed over at a time."""
    found: list[int] = []
    while frames := ring.after(found[-1] if found else after):
        found += [frame.number for frame in frames]
    return found
