"""Committed writes per second: what tracking leaves of them, and what pg_notify in each transaction would.

pg_notify holds a lock until its commit is on the disk, so what it costs depends on how long a flush takes. Where that is next
to nothing, as on a disk that answers from a cache, both are measured with flushes made longer as well (commit_delay). A
writer's transaction is the service's: BEGIN with the binding, campaigns.update as a prepared statement, COMMIT with who did
it. pgbench writes, as writers in Python would be measured themselves.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path
from statistics import median
from subprocess import run
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from uuid import UUID

import asyncpg
import uvloop

from bench.installation import CONNECTION, Installation, Volume
from bench.report import Aim
from bench.rounds import Plan, Samples
from bench.tracking import Switch, heading, line, rounds, switched
from service.embedded.binaries import find_binaries
from service.operations import seeding
from service.repos.campaigns import Campaigns
from service.tenancy import binding
from service.tenancy.identity import Actor, Origin, TenantId

TENANTS = 200
_CAMPAIGNS = 100
"""Of each of them."""
_SECONDS = 2
"""Of a turn; what happens before _WARM is not counted."""
_WARM = 0.5
_SLOW = 2
"""Milliseconds that a flush is made to wait."""
_LEAST_ROUNDS = 3
_PATIENCE = 30.0
_IDS, _FIRST = "00000000-0000-4000-8000-000000", 100_001
"""What the ids of the tenants begin with, and the end of the first one."""
_CHANNEL = "bench"
_NOTIFY = f"""
CREATE FUNCTION app.bench_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('{_CHANNEL}', concat_ws(' ', TG_OP, NEW.tenant_id, NEW.id));
    RETURN NULL;
END
$$;
CREATE TRIGGER bench_notify AFTER INSERT OR UPDATE ON {{table}} FOR EACH ROW EXECUTE FUNCTION app.bench_notify();
"""


class Turn(NamedTuple):
    """Who writes where, with what beside it."""

    writers: int
    by: str = "tracking"
    is_hot: bool = False
    is_slow: bool = False


_TURNS = {
    "8": Turn(8), "8 untracked": Turn(8, "nothing"), "8 hot": Turn(8, is_hot=True),
    "32": Turn(32), "32 notified": Turn(32, "notify"), "32 hot": Turn(32, is_hot=True),
    "32 slow": Turn(32, is_slow=True), "32 notified slow": Turn(32, "notify", is_slow=True),
}  # fmt: skip
_AIMS = {
    "8 writers, with tracking / without": Aim("8", "8 untracked", False, 0.5),
    "32 writers, with tracking / with pg_notify instead": Aim("32", "32 notified", False, 3.0),
    f"the same, flushes made {_SLOW} ms longer": Aim("32 slow", "32 notified slow", False, 3.0),
    "8 writers, one tenant / many": Aim("8 hot", "8", False, None),
    "32 writers, one tenant / many": Aim("32 hot", "32", False, None),
}


class Rates:
    """Transactions per second, what a commit waits for, and pgbench's largest share of one core."""

    def __init__(self, durability: str) -> None:
        self.samples = Samples(tuple(_TURNS))
        self.durability = durability
        self.client = 0.0


def measure(installation: Installation, volume: Volume, plan: Plan, say: Callable[[str], None]) -> Rates | str:
    """The rates, or why there are none."""
    return uvloop.run(_measure(installation, volume, plan, say))


def report(rates: Rates | str) -> str:
    """The medians and their ratios."""
    if isinstance(rates, str):
        return f"\nCommitted writes were not measured: {rates}"
    count = len(next(iter(rates.samples.figures.values())))
    return "\n".join([
        heading(f"Committed writes, {TENANTS} tenants, {count} rounds of {_SECONDS} s", "tx/s"),
        *(line(name, rates.samples, aim) for name, aim in _AIMS.items()),
        f"    {rates.durability}",
        f"    driven by pgbench in one thread, which used at most {rates.client:.0%} of a core",
    ])  # fmt: skip


async def _measure(installation: Installation, volume: Volume, plan: Plan, say: Callable[[str], None]) -> Rates | str:
    async with switched(installation) as switch:
        names = ("fsync", "synchronous_commit", "wal_sync_method", "data_directory")
        settings = {name: await switch.administrator.fetchval(f"SHOW {name}") for name in names}
        device, kind = _mount(Path(settings.pop("data_directory")))
        if "off" in settings.values() or kind == "tmpfs":
            return f"commits don't wait for a disk ({settings}, data on {kind}); TMPDIR may be on one"
        words = ", ".join(f"{name} {value}" for name, value in settings.items())
        flush = _flush(installation.directory / "flushed")
        rates, number = Rates(f"{words}; data on {device} ({kind}), where a flush of 8 kB takes {flush:.2f} ms"), 0
        await _fill(installation, volume, switch.administrator)
        await switch.administrator.execute(_NOTIFY.format(table=switch.table))
        load, labels = _Load(installation, volume, switch), tuple(_TURNS)
        try:
            for number in rounds(plan, _LEAST_ROUNDS):
                for label in labels if number % 2 else reversed(labels):
                    ends, share = await load.run(_TURNS[label])
                    start = ends[0] + _WARM
                    count = sum(end > start for end in ends)
                    rates.samples.add(label, count / (ends[-1] - start), count)
                    rates.client = max(rates.client, share)
        finally:
            await load.slow_down(0)
            await switch.administrator.execute("DROP FUNCTION app.bench_notify() CASCADE")
    say(f"throughput: {number + 1} rounds of {_SECONDS} s for each of {len(_TURNS)}")
    return rates


def _mount(data: Path) -> tuple[str, str]:
    """The device and the kind of the file system that the data are on."""
    told = run(["df", "--output=source,fstype", data], check=True, capture_output=True, text=True)
    device, kind = told.stdout.split()[-2:]
    return device, kind


def _flush(path: Path) -> float:
    """The median of the milliseconds in which a page is written and gets to the disk."""
    times = [perf_counter()]
    with path.open("wb", buffering=0) as file:
        for _ in range(100):
            os.pwrite(file.fileno(), bytes(8192), 0)
            os.fdatasync(file.fileno())
            times.append(perf_counter())
    return median(later - earlier for earlier, later in pairwise(times)) * 1e3


async def _fill(installation: Installation, volume: Volume, administrator: Any) -> None:
    """More load tenants, whose ids a script can count up."""
    await administrator.execute(
        "INSERT INTO app.tenants (id, name, domain) "
        "SELECT ($1 || ($2 + n))::uuid, 'Many ' || n, 'load-' || ($3 + n + 1) || '.example' "
        "FROM generate_series(0, $4 - 1) AS n ON CONFLICT DO NOTHING",
        _IDS, _FIRST, volume.tenants, TENANTS,
    )  # fmt: skip
    parameters = {"tenants": volume.tenants + TENANTS, "users_per_tenant": 2, "campaigns_per_tenant": _CAMPAIGNS}
    settings = installation.settings.model_copy(update={"environment": "test"})
    await seeding.seed(settings, "load", lambda _: None, parameters)
    await administrator.execute("VACUUM ANALYZE")


class _Load:
    """pgbench against the installation, and who listens."""

    def __init__(self, installation: Installation, volume: Volume, switch: Switch) -> None:
        self.installation, self.switch, self.heard = installation, switch, 0
        self.scripts = {is_hot: installation.directory / f"write-{is_hot}.sql" for is_hot in (False, True)}
        self.scripts[False].write_text(_script(f"{_IDS}:tenant", _CAMPAIGNS))
        self.scripts[True].write_text(_script(str(installation.members[0].tenant), volume.campaigns_per_tenant))

    async def run(self, turn: Turn) -> tuple[list[float], float]:
        """When each transaction ended, in order, and pgbench's share of a core."""
        is_tracked, is_notified = turn.by == "tracking", turn.by == "notify"
        await self.switch.set(is_tracked, bench_notify=is_notified)
        await self.slow_down(_SLOW if turn.is_slow else 0)
        before, self.heard = await self.switch.commits(), 0
        listener = await asyncpg.connect(self.installation.url, **CONNECTION)
        try:
            if is_notified:
                await listener.add_listener(_CHANNEL, self._hear)
            ends, share = await self._pgbench(turn)
            # By its answer everything has come that was sent before.
            await listener.fetchval("SELECT 1")
            await asyncio.sleep(0)
        finally:
            await listener.close()
        found, written = (await self.switch.commits() - before, self.heard), len(ends)
        if found != (written * is_tracked, written * is_notified):
            raise RuntimeError(f"{turn}: {written} transactions, but numbered and heard were {found}")
        return ends, share

    async def slow_down(self, milliseconds: int) -> None:
        """Whoever flushes waits so long before, and lets others join, however few write; for later sessions."""
        name = urlsplit(self.installation.url).path.removeprefix("/")
        for setting in (f"commit_delay = {milliseconds * 1000}", "commit_siblings = 0"):
            await self.switch.administrator.execute(f"ALTER DATABASE {name} SET {setting}")

    async def _pgbench(self, turn: Turn) -> tuple[list[float], float]:
        errors = self.installation.directory / "pgbench.log"
        arguments = (
            "--no-vacuum", "--protocol=simple", "--jobs=1", f"--client={turn.writers}", f"--time={_SECONDS}",
            f"--file={self.scripts[turn.is_hot]}", "--define=prepared=0", "--log", f"--log-prefix={errors}",
        )  # fmt: skip
        before = os.times()
        with errors.open("wb") as sink:
            child = await asyncio.create_subprocess_exec(
                find_binaries() / "pgbench", *arguments, env=_environment(self.installation.url),
                stdout=asyncio.subprocess.DEVNULL, stderr=sink,
            )  # fmt: skip
            async with asyncio.timeout(_PATIENCE):
                status = await child.wait()
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        if status:
            said = [text for text in errors.read_text().splitlines() if not text.startswith("INFO:")]
            raise RuntimeError("pgbench gave up:\n" + "\n".join(said[-20:]))
        # Client, its transaction's number, microseconds, script, and the end in seconds and microseconds.
        log = errors.with_name(f"{errors.name}.{child.pid}")
        rows = [text.split() for text in log.read_text().splitlines()]
        return sorted(int(row[4]) + int(row[5]) / 1e6 for row in rows), used / (after.elapsed - before.elapsed)

    def _hear(self, *_: object) -> None:
        self.heard += 1


def _environment(url: str) -> dict[str, str]:
    """Where and as whom pgbench connects, with the same session settings as everybody."""
    parts = urlsplit(url)
    names = ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE")
    values = (parts.hostname, parts.port, parts.username, parts.password, parts.path.removeprefix("/"))
    settings = {name: value.replace(" ", "") for name, value in CONNECTION["server_settings"].items()}
    options = {"PGSSLMODE": "disable", "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in settings.items())}
    return {**os.environ, **options, **{name: unquote(str(value)) for name, value in zip(names, values, strict=True)}}


def _script(tenant: str, campaigns: int) -> str:
    r"""The service's messages of a transaction on a random campaign; `\;` keeps a message together."""
    update = Campaigns.update.statement.variants[0]
    given = {"given": "ARRAY['budget_minor']", "budget_minor": ":budget", "tenant_id": f"'{tenant}'"}
    given["id"] = f"md5('{tenant}' || 'campaign:campaign')::uuid"
    values = ", ".join(given.get(name, "NULL") for name in update.parameters)
    nobody, origin = UUID(int=0), Origin(ip=IPv4Address("192.0.2.1"), request_id="a-request-of-the-bench")
    begin = binding.begin(TenantId(nobody), origin, read_only=False, isolation="read committed", statement_timeout=None)
    commit = binding.attribution(Actor(UUID(int=1), UUID(int=2))) + "COMMIT"
    messages = (begin.replace(str(nobody), tenant), f"EXECUTE write({values})", commit)
    return rf"""
\if :prepared
\else
PREPARE write AS {update.text};
\set prepared 1
\endif
\set tenant random({_FIRST}, {_FIRST + TENANTS - 1})
\set campaign random(1, {campaigns})
\set budget random(1, 1000000000)
""" + "".join(message.replace(";", r"\;") + ";\n" for message in messages)
