"""A backup, restored: every row, a new epoch, and writes that go on, while what was there is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from arranging.accounts import NewTenant
from arranging.factories import Factory
from backups.conftest import Desk
from service.database.database import Database
from service.database.pool import GREETING
from service.errors import OperatorError, Unavailable
from service.personal import keyring
from service.schema import own_schemas
from service.settings.settings import Settings
from service.statements.outcomes import changed_row
from service.work import Work


async def rename(database: Database, tenant: NewTenant, name: str) -> int:
    """Commit something; answers its number."""
    async with Work(database, tenant.id) as work:
        changed_row(await work.users.update(tenant.owner.id, given=["display_name"], display_name=name))
    assert work.number is not None
    return work.number


async def renamed(database: Database, tenant: NewTenant, name: str) -> int | None:
    """The number, or None where the connection was lost."""
    with suppress(Unavailable):
        return await rename(database, tenant, name)
    return None


async def epoch(database: Database) -> int:
    async with Work(database, None, read_only=True) as work:
        return (await work.installation.find()).epoch


async def test_every_row_of_every_table_comes_back(filled: Desk) -> None:
    before = await filled.digests()
    assert all(before[name] for name in before if "yoyo" not in name)
    backup = await filled.take()
    await filled.ask("DELETE FROM quarry.campaign_influencers")
    await filled.restore(backup)
    assert await filled.digests() == before


async def test_what_was_there_is_kept_under_the_name_that_is_told(filled: Desk) -> None:
    backup = await filled.take()
    await filled.ask("DELETE FROM quarry.campaign_influencers")
    before = await filled.digests()
    restored = await filled.restore(backup)
    assert restored.kept is not None
    assert await filled.besides() == [restored.kept]
    assert await filled.digests(restored.kept) == before


async def test_a_backup_is_proved_in_a_database_that_is_gone_afterwards(filled: Desk) -> None:
    before = await filled.digests()
    await filled.verify(await filled.take())
    assert (await filled.digests(), await filled.besides()) == (before, [])


async def test_rows_are_counted_in_the_snapshot_of_the_dump(desk: Desk, new: Factory, database: Database) -> None:
    acme = await new.tenant("acme")

    async def write() -> None:
        while True:
            await new.campaign(acme)

    writing = asyncio.create_task(write())
    backup = await desk.take()
    writing.cancel()
    await asyncio.wait([writing])
    counted = {table.name: table.rows for table in backup.manifest.tables}
    assert counted["quarry.campaigns"] < await desk.ask("SELECT count(*) FROM quarry.campaigns")
    await desk.verify(backup)


async def test_writes_go_on_with_dense_numbers_in_another_epoch(
    desk: Desk, new: Factory, database: Database, settings: Settings
) -> None:
    acme = await new.tenant("acme")
    numbers = [await rename(database, acme, f"Jo {n}") for n in range(3)]
    before = await epoch(database)
    backup = await desk.take()
    restored = await desk.restore(backup)
    address, keys = settings.address("quarry_app"), keyring.load(settings)
    async with Database.open(address, settings.limits, greeting=GREETING, keyring=keys) as opened:
        assert await epoch(opened) == restored.epoch > before
        assert [await rename(opened, acme, f"Mo {n}") for n in range(3)] == [numbers[-1] + n for n in (1, 2, 3)]
        async with Work(opened, acme.id, read_only=True) as work:
            page = await work.log.read_on(0, most=100, limit=1000)
    assert [commit.number for commit in page.commits] == list(range(1, numbers[-1] + 4))


async def test_the_log_is_moved_to_where_no_transaction_id_is_given(desk: Desk, new: Factory) -> None:
    await new.tenant("acme")
    await desk.restore(await desk.take())
    assert await desk.ask("SELECT bool_and(xid >= '9223372036854775808'::xid8) FROM app.commits")
    assert await desk.ask(
        "SELECT count(*) = 0 FROM app.commits AS c LEFT JOIN app.changes AS n USING (tenant_id, xid) WHERE n.xid IS NULL"
    )


async def test_a_backup_that_is_restored_twice_begins_two_epochs(desk: Desk) -> None:
    backup = await desk.take()
    first = await desk.restore(backup)
    second = await desk.restore(backup)
    assert second.epoch == first.epoch + 1


async def test_places_of_consumers_are_of_another_epoch_afterwards(
    desk: Desk, new: Factory, database: Database, settings: Settings
) -> None:
    acme = await new.tenant("acme")
    await rename(database, acme, "Jo")
    statement = (
        "INSERT INTO app.cursors (tenant_id, consumer, epoch, number) SELECT $1, 'mail', epoch, 1 FROM app.installation"
    )
    await desk.ask(statement, acme.id)
    await desk.restore(await desk.take())
    assert await desk.ask("SELECT c.epoch < i.epoch FROM app.cursors AS c CROSS JOIN app.installation AS i")


async def test_a_pool_that_is_open_goes_on_in_the_restored_database(
    desk: Desk, new: Factory, database: Database
) -> None:
    acme = await new.tenant("acme")
    number = await rename(database, acme, "Jo")
    backup = await desk.take()
    await rename(database, acme, "Lost")
    await desk.restore(backup)
    async with asyncio.timeout(30):
        # Work whose connection was ended is told so; what comes after it gets another one.
        while (again := await renamed(database, acme, "Mo")) is None:
            pass
    assert again == number + 1


async def test_another_database_is_made_and_the_served_one_left_alone(filled: Desk) -> None:
    before = await filled.digests()
    backup = await filled.take()
    await filled.ask("DELETE FROM quarry.campaign_influencers")
    changed = await filled.digests()
    restored = await filled.restore(backup, f"{filled.name}_copy")
    assert (restored.database, restored.kept) == (f"{filled.name}_copy", None)
    assert await filled.digests(restored.database) == before
    assert await filled.digests() == changed


@pytest.mark.parametrize("name", ["", "x" * 64])
async def test_a_name_that_no_database_can_have_is_told(desk: Desk, name: str) -> None:
    backup = await desk.take()
    with pytest.raises(OperatorError, match="is not a valid database name"):
        await desk.restore(backup, name)
    assert await desk.besides() == []


@pytest.fixture
async def maker(filled: Desk) -> AsyncIterator[Settings]:
    """Settings whose migration login is a managed server's: CREATEROLE and CREATEDB, no superuser."""
    root = filled.settings
    await filled.ask("CREATE ROLE maker LOGIN CREATEROLE CREATEDB PASSWORD 'pw'")
    await filled.ask("DO $$ BEGIN GRANT quarry_owner, quarry_app, quarry_platform TO maker; END $$")
    await filled.ask(f'ALTER DATABASE "{filled.name}" OWNER TO maker')
    parts = urlsplit(root.administration().url)
    url = parts._replace(netloc=f"maker:pw@{parts.hostname}:{parts.port}").geturl()
    yield root.model_copy(update={"database_migration_url": SecretStr(url)})
    filled.settings = root
    for name in (filled.name, *await filled.besides()):
        await filled.ask(f'ALTER DATABASE "{name}" OWNER TO CURRENT_USER')
        await filled.ask("DROP OWNED BY maker", database=name)
    await filled.ask("DROP ROLE maker")


async def test_an_ordinary_login_restores_too(filled: Desk, maker: Settings) -> None:
    before, backup = await filled.digests(), await filled.take()
    root, filled.settings = filled.settings, maker
    restored = await filled.restore(backup)
    filled.settings = root
    assert restored.kept is not None
    assert await filled.digests() == before
    assert await filled.ask("SELECT count(*) FROM pg_class WHERE relowner = 'maker'::regrole") == 0


async def test_only_one_restore_runs_at_a_time(desk: Desk) -> None:
    backup = await desk.take()
    ended = await asyncio.gather(desk.restore(backup), desk.restore(backup), return_exceptions=True)
    refused = [each for each in ended if isinstance(each, BaseException)]
    assert len(refused) == 1
    with pytest.raises(OperatorError, match="another backup is being restored"):
        raise refused[0]


async def test_a_schema_of_a_tenant_s_own_comes_back(filled: Desk) -> None:
    settings = filled.settings
    await own_schemas.build(settings.address("quarry_owner"), "quarry", "acme", lambda _: None)
    async with (
        Database.open(settings.address("quarry_app"), settings.limits, keyring=keyring.load(settings)) as database,
        Database.open(settings.address("quarry_platform"), settings.limits) as platform,
    ):
        tenant = await Factory(database, platform).tenant("acme", schema="acme")
    backup = await filled.take()
    assert ("acme.users", 1) in [(table.name, table.rows) for table in backup.manifest.tables]
    await filled.ask("DELETE FROM acme.users")
    await filled.restore(backup)
    async with Database.open(
        settings.address("quarry_app"), settings.limits, keyring=keyring.load(settings)
    ) as database:
        await rename(database, tenant, "Renamed")
    assert await filled.ask("SELECT display_name FROM acme.users") == "Renamed"
