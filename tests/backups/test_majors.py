"""Between servers: another cluster, another major, and never an older one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from arranging.factories import Factory
from backups.conftest import Desk
from conftest import MAJOR
from service.backups import restoring, taking, tools
from service.database.database import Database
from service.database.pool import GREETING
from service.embedded.binaries import find_binaries
from service.errors import OperatorError
from service.personal import keyring
from service.settings.settings import Settings
from service.work import Work


@dataclass
class Servers:
    """Two servers with one directory of backups; the older one has rows in every table."""

    old: Desk
    new: Desk


@pytest.fixture
async def servers(desk: Desk, elsewhere: Settings) -> AsyncIterator[Servers]:
    """What restores keep on the other server is dropped."""
    other = Desk(desk.directory, elsewhere)
    servers = Servers(other, desk) if MAJOR > 16 else Servers(desk, other)
    if not await servers.old.ask("SELECT count(*) FROM app.tenants"):
        await servers.old.fill()
    yield servers
    connection = await asyncpg.connect(elsewhere.administration().aimed("postgres").url)
    for name in await other.besides():
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


async def test_a_backup_of_an_older_server_is_restored_on_a_newer_one(servers: Servers) -> None:
    before = await servers.old.digests()
    backup = await servers.old.take()
    await servers.new.verify(backup)
    await servers.new.restore(backup)
    assert await servers.new.digests() == before


async def test_a_backup_of_a_newer_server_is_refused_on_an_older_one(servers: Servers) -> None:
    backup = await servers.new.take()
    with pytest.raises(OperatorError, match="and this server is PostgreSQL") as caught:
        await servers.old.restore(backup)
    assert "or newer" in caught.value.remedy
    assert await servers.old.besides() == []


@asynccontextmanager
async def opened(desk: Desk) -> AsyncIterator[tuple[Database, Factory]]:
    """The serving role's pool, and what makes rows through it."""
    settings = desk.settings
    async with (
        Database.open(
            settings.address("quarry_app"), settings.limits, greeting=GREETING, keyring=keyring.load(settings)
        ) as database,
        Database.open(settings.address("quarry_platform"), settings.limits) as platform,
    ):
        yield database, Factory(database, platform)


async def test_transaction_ids_of_another_cluster_do_not_meet_those_of_this_one(servers: Servers) -> None:
    former = "SELECT bool_and(xid >= '9223372036854775808'::xid8) FROM app.commits WHERE tenant_id = $1"
    async with opened(servers.old) as (_, new):
        acme = await new.tenant("acme")
        await new.campaign(acme)
    assert not await servers.old.ask(former, acme.id)
    await servers.new.restore(await servers.old.take())
    assert await servers.new.ask(former, acme.id)
    head = await servers.new.ask("SELECT head FROM app.heads WHERE tenant_id = $1", acme.id)
    async with opened(servers.new) as (database, _), Work(database, acme.id) as work:
        await work.campaigns.create(name="Autumn", owner_id=acme.owner.id)
    assert work.number == head + 1


async def test_what_a_newer_tool_has_dumped_is_restored_on_the_older_server(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that has nothing but the newest programs.
    monkeypatch.setattr(tools, "_INSTALLATIONS", ())
    old, newest = servers.old, [find_binaries(18)]
    before = await old.digests()
    backup = await taking.take(old.settings, old.directory, newest, old.said.append)
    assert backup.manifest.tool.startswith("18.")
    target = await restoring.examine(old.settings, backup, unsigned=True)
    await restoring.restore(old.settings, backup, target, newest, old.said.append)
    assert await old.digests() == before
