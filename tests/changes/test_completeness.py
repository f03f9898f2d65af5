"""Streams against the log and the tables: every commit reaches every subscriber, in order, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from arranging.proxy import Proxy, proxied
from arranging.restartable import Restartable, kill_a_backend
from arranging.serving import Service, serving
from arranging.subscribers import Subscriber
from service.database.database import Database
from service.errors import ServiceError
from service.personal import keyring
from service.settings.settings import Settings
from service.tables import SHOWN
from service.work import Work

_PATIENCE = 90.0


class Undo(Exception):
    pass


class Fleet:
    """Two processes of the service; one that is killed is replaced. Their listeners reach PostgreSQL by way of a proxy."""

    def __init__(self, settings: Settings, directory: Path, proxy: Proxy) -> None:
        self._settings, self._directory = settings, directory
        url = settings.serving_url()
        self._listen_url = url.replace(f":{url.rpartition(':')[2].partition('/')[0]}/", f":{proxy.port}/")
        self._running: list[tuple[Service, ExitStack]] = []
        self._made = 0

    @property
    def urls(self) -> list[str]:
        return [service.url for service, _ in self._running]

    def start(self) -> None:
        self._made += 1
        directory = self._directory / f"service-{self._made}"
        directory.mkdir()
        stack = ExitStack()
        service = stack.enter_context(
            serving(
                self._settings,
                directory,
                CHANGES_LISTEN_URL=self._listen_url,
                CHANGES_HEARTBEAT="1s",
                DATABASE_CONNECT_ATTEMPTS="10",
            )
        )
        self._running.append((service, stack))

    def kill_one(self) -> None:
        service, stack = self._running.pop(0)
        os.kill(service.pid, signal.SIGKILL)
        stack.close()
        self.start()

    def stop(self) -> None:
        for _, stack in self._running:
            stack.close()


class Load:
    """Writers of all kinds on many tenants, and what they know of what they did."""

    def __init__(self, database: Database, tenants: list[NewTenant], tokens: dict[NewTenant, str], seed: int) -> None:
        self.database, self.tenants, self.tokens = database, tenants, tokens
        self.seed = seed
        self.outcomes: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self.acknowledged: dict[NewTenant, list[int]] = {tenant: [] for tenant in tenants}
        self.named: dict[NewTenant, list[str]] = {tenant: [] for tenant in tenants}
        self.done = asyncio.Event()

    async def write(self, writer: int, transactions: int) -> None:
        """Transactions of one to six statements, with savepoints that are undone, some of them aborted."""
        chance = random.Random(self.seed * 1000 + writer)
        for n in range(transactions):
            tenant = chance.choice(self.tenants)
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._transaction(tenant, chance, f"{writer}.{n}")
            except Undo:
                self.outcomes["aborted"] += 1
            except ServiceError as error:
                self.outcomes[error.code] += 1
                await asyncio.sleep(0.05)

    async def _transaction(self, tenant: NewTenant, chance: random.Random, name: str) -> None:
        async with Work(self.database, tenant.id) as work:
            campaigns = [await work.campaigns.create(name=name, owner_id=tenant.owner.id)]
            for step in range(chance.choice((0, 0, 1, 2, 5))):
                if chance.random() < 0.3:
                    with contextlib.suppress(Undo):
                        async with work.savepoint("undone"):
                            await work.campaigns.create(name=f"{name} undone", owner_id=tenant.owner.id)
                            raise Undo
                elif chance.random() < 0.5:
                    await work.campaigns.update(campaigns[0].id, given=["description"], description=f"step {step}")
                else:
                    await work.contents.create(campaigns[0].id, kind="post", title=f"{name}.{step}")
            await asyncio.sleep(chance.choice((0, 0, 0, 0.01)))
            if chance.random() < 0.15:
                raise Undo
        self.outcomes["committed"] += 1
        if work.number is not None:
            self.acknowledged[tenant].append(work.number)

    async def write_over_http(self, client: httpx.AsyncClient, fleet: Fleet, writer: int) -> None:
        """One campaign after the other, each request repeated with its key until it is answered."""
        chance = random.Random(self.seed * 1000 + 500 + writer)
        n = 0
        while not self.done.is_set():
            n += 1
            tenant, name = chance.choice(self.tenants), f"http {writer}.{n}"
            headers = {"Authorization": f"Bearer {self.tokens[tenant]}", "Idempotency-Key": name.replace(" ", "-")}
            async with asyncio.timeout(_PATIENCE):
                while True:
                    try:
                        url = f"{chance.choice(fleet.urls)}/v1/campaigns"
                        answer = await client.post(url, json={"name": name}, headers=headers)
                    except httpx.TransportError:
                        self.repeated["connection lost"] += 1
                    else:
                        if answer.status_code == 201:
                            break
                        assert answer.status_code in (409, 503, 504), answer.text
                        self.repeated[answer.json()["code"]] += 1
                    await asyncio.sleep(0.05)
            self.named[tenant].append(name)
            self.acknowledged[tenant].append(int(answer.headers["consistency"].partition("-")[2]))


async def complete(
    own_server: Restartable,
    settings: Settings,
    directory: Path,
    *,
    tenants: int,
    writers: int,
    transactions: int,
    subscribers: int,
    followed: int,
    faults: int,
    seed: int,
) -> str:
    """Write, subscribe, break things; then compare. Answers what there was of everything."""
    chance = random.Random(seed)
    url = settings.address("quarry_app")
    host, port = own_server.server.host, own_server.server.port
    async with contextlib.AsyncExitStack() as stack:
        limits = settings.model_copy(update={"database_pool_max": writers}).limits
        database = await stack.enter_async_context(Database.open(url, limits, keyring=keyring.load(settings)))
        platform = await stack.enter_async_context(Database.open(settings.address("quarry_platform"), settings.limits))
        new = Factory(database, platform)
        made = [await new.tenant(f"s{seed}t{n}") for n in range(tenants)]
        tokens = {tenant: await new.token(tenant) for tenant in made}
        proxy = await stack.enter_async_context(proxied(host, port))
        fleet = Fleet(settings, directory, proxy)
        stack.callback(fleet.stop)
        await asyncio.to_thread(fleet.start)
        await asyncio.to_thread(fleet.start)
        limitless = httpx.Limits(max_connections=None)
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=20, limits=limitless))
        epoch = await _epoch(database)
        following = [
            (tenant, Subscriber(tokens[tenant], lambda: fleet.urls, random.Random(seed + n)))
            for n in range(subscribers)
            for tenant in chance.sample(made, followed)
        ]
        tasks = [asyncio.create_task(each.follow(client, f"{epoch}-0")) for _, each in following]
        load = Load(database, made, tokens, seed)
        over_http = [asyncio.create_task(load.write_over_http(client, fleet, n)) for n in range(2)]
        writing = [asyncio.create_task(load.write(n, transactions // writers)) for n in range(writers)]
        breaking = asyncio.create_task(_break(own_server, settings, fleet, proxy, faults, chance))
        await asyncio.gather(*writing)
        await breaking
        load.done.set()
        await asyncio.gather(*over_http)
        heads = await _heads(database, made)
        try:
            async with asyncio.timeout(_PATIENCE):
                while any(len(each.events) < heads[tenant] for tenant, each in following):
                    for task in tasks:
                        assert not task.done(), task.exception()
                    await asyncio.sleep(0.05)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return await _compared(database, load, following, heads)


async def _break(
    own_server: Restartable, settings: Settings, fleet: Fleet, proxy: Proxy, faults: int, chance: random.Random
) -> None:
    for n in range(faults):
        await asyncio.sleep(chance.uniform(0.3, 1.0))
        match n % 4:
            case 0:
                await kill_a_backend(settings)
            case 1:
                await asyncio.to_thread(fleet.kill_one)
            case 2:
                proxy.on_request = lambda _: "hang"
                await asyncio.sleep(1.0)
                proxy.on_request = lambda _: None
            case 3:
                await asyncio.to_thread(own_server.kill_postmaster)


async def _compared(
    database: Database, load: Load, following: list[tuple[NewTenant, Subscriber]], heads: dict[NewTenant, int]
) -> str:
    logs = {tenant: await _log(database, tenant) for tenant in load.tenants}
    versions = {tenant: await _versions(database, tenant) for tenant in load.tenants}
    for tenant, subscriber in following:
        assert not subscriber.resets
        assert sorted(subscriber.events) == list(range(1, heads[tenant] + 1)), "dense and complete"
        shown = {
            number: [(each["table"], each["op"], each["id"], each["columns"]) for each in event["changes"]]
            for number, event in subscriber.events.items()
        }
        assert shown == logs[tenant], "what the log says, and nothing of another tenant"
        raised = Counter(id for changes in shown.values() for table, _, id, _ in changes if table == "campaigns")
        assert raised == versions[tenant], "every change of every row"
    missing = sum(number > heads[tenant] for tenant, numbers in load.acknowledged.items() for number in numbers)
    assert missing == 0
    for tenant, names in load.named.items():
        there = await _names(database, tenant)
        assert all(there[name] == 1 for name in names), "repeated with its key: exactly one row"
    subscribers = [each for _, each in following]
    return (
        f"{sum(heads.values())} commits of {len(heads)} tenants ({dict(load.outcomes)}), {len(subscribers)} streams saw"
        f" {sum(each.seen for each in subscribers)} events ({sum(len(each.events) for each in subscribers)} distinct),"
        f" left {sum(each.disconnects for each in subscribers)} and were lost {sum(each.lost for each in subscribers)} times;"
        f" missing 0, out of order 0, of another tenant 0; acknowledged {sum(map(len, load.acknowledged.values()))}, missing"
        f" {missing}; {sum(map(len, load.named.values()))} keyed requests, repeated {dict(load.repeated)}, one row each"
    )


async def _epoch(database: Database) -> int:
    async with Work(database, None) as work:
        return await work.installation.enter_epoch()


async def _heads(database: Database, tenants: list[NewTenant]) -> dict[NewTenant, int]:
    heads = {}
    for tenant in tenants:
        async with Work(database, tenant.id, read_only=True) as work:
            heads[tenant] = await work.log.head()
    return heads


async def _log(database: Database, tenant: NewTenant) -> dict[int, list[tuple[str, str, str, list[str] | None]]]:
    async with Work(database, tenant.id, read_only=True) as work:
        rows = await work.connection.fetch(
            "SELECT c.number, h.table_name, h.operation, h.row_id, h.columns FROM app.commits AS c"
            " JOIN app.changes AS h USING (tenant_id, xid) WHERE tenant_id = $1 ORDER BY c.number, h.ordinal",
            (tenant.id,),
        )
    log: dict[int, list[tuple[str, str, str, list[str] | None]]] = {}
    for number, table, operation, row, columns in rows:
        log.setdefault(number, [])
        if table in SHOWN:
            log[number].append((table, operation, str(row), columns))
    return log


async def _versions(database: Database, tenant: NewTenant) -> Counter[str]:
    async with Work(database, tenant.id, read_only=True) as work:
        rows = await work.connection.fetch("SELECT id, version FROM campaigns WHERE tenant_id = $1", (tenant.id,))
    return Counter({str(id): version for id, version in rows})


async def _names(database: Database, tenant: NewTenant) -> Counter[str]:
    async with Work(database, tenant.id, read_only=True) as work:
        rows = await work.connection.fetch("SELECT name FROM campaigns WHERE tenant_id = $1", (tenant.id,))
    return Counter(name for (name,) in rows)


async def test_every_commit_reaches_every_subscriber_through_every_fault(
    own_server: Restartable, own_settings: Settings, tmp_path: Path
) -> None:
    await complete(
        own_server, own_settings, tmp_path,
        tenants=5, writers=4, transactions=400, subscribers=4, followed=2, faults=4, seed=1,
    )  # fmt: skip


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
@pytest.mark.parametrize("faults", [0, 24])
async def test_the_same_at_length(own_server: Restartable, own_settings: Settings, tmp_path: Path, faults: int) -> None:
    said = await complete(
        own_server, own_settings, tmp_path,
        tenants=50, writers=16, transactions=20_000, subscribers=20, followed=3, faults=faults, seed=10 + faults,
    )  # fmt: skip
    print(f"\nstreams, {faults} faults: {said}")
