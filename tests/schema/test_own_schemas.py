"""Schemas of their own: built as the shared one is, found by every statement, migrated with it, and nobody else's."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import yoyo

from arranging import dumps
from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.addresses import Address
from service.database.database import Database
from service.embedded.server import Server
from service.errors import OperatorError
from service.schema import migration_files, migrations, own_schemas
from service.schema.migration_errors import MigrationError
from service.schema.own_schemas import OwnSchemaFailed
from service.settings.settings import Settings
from service.tenancy import guard
from service.work import Work

_TABLES = """
SELECT schemaname || '.' || tablename FROM pg_tables
 WHERE schemaname IN ('quarry', 'acme') AND EXISTS (
       SELECT FROM pg_attribute WHERE attrelid = format('%I.%I', schemaname, tablename)::regclass AND attname = 'tenant_id')
"""


def quietly(_: str) -> None:
    """Nobody reads the progress."""


@pytest.fixture
async def acme(owner: Address, new: Factory) -> NewTenant:
    """A tenant with the schema `acme`, from before its first row on."""
    await own_schemas.build(owner, "quarry", "acme", quietly)
    return await new.tenant("acme", schema="acme")


def rows(superuser: psycopg.Connection[Any], schema: str) -> dict[str, int]:
    """How many rows each table of a schema has, where there are any."""
    names = [name for (name,) in superuser.execute(_TABLES).fetchall() if name.startswith(f"{schema}.")]
    assert len(names) > 10
    counts = {name: superuser.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}  # type: ignore[index]
    superuser.rollback()
    return {name.partition(".")[2]: count for name, count in counts.items() if count}


async def test_it_is_what_the_shared_one_is(server: Server, owner: Address, superuser: Any) -> None:
    await own_schemas.build(owner, "quarry", "acme", quietly)
    shared, own = (dumps.schema(server, superuser.info.dbname, name) for name in ("quarry", "acme"))
    assert own.replace("acme", "quarry") == shared


async def test_a_tenant_s_rows_are_in_its_schema_and_those_of_others_are_not(
    acme: NewTenant, new: Factory, superuser: Any
) -> None:
    globex = await new.tenant("globex")
    await new.campaign(acme)
    await new.campaign(globex)
    await new.campaign(globex)
    assert rows(superuser, "acme") == {"users": 1, "campaigns": 1}
    assert rows(superuser, "quarry") == {"users": 1, "campaigns": 2}


async def test_the_next_transaction_on_the_connection_is_led_elsewhere(
    acme: NewTenant, new: Factory, settings: Settings
) -> None:
    globex = await new.tenant("globex")
    await new.campaign(acme, "Own")
    await new.campaign(globex, "Shared")
    async with Database.open(settings.address("quarry_app"), settings.limits) as database:
        found = []
        for tenant in (acme, globex) * 3:
            async with Work(database, tenant.id, read_only=True) as work:
                found += [campaign.name for campaign in await work.campaigns.page()]
    assert found == ["Own", "Shared"] * 3


async def test_another_tenant_sees_nothing_there_even_if_it_were_led_there(
    acme: NewTenant, new: Factory, database: Database
) -> None:
    await new.campaign(acme)
    globex = await new.tenant("globex")
    async with Work(database, globex.id, read_only=True) as work:
        await work.connection.execute("SET LOCAL search_path = acme, pg_temp")
        assert await work.connection.fetchval("SELECT count(*) FROM campaigns", ()) == 0


@pytest.mark.usefixtures("acme")
async def test_the_guard_looks_at_every_schema(database: Database, superuser: Any) -> None:
    async with database.connection() as connection:
        assert await guard.inspect(connection) == []
        superuser.execute("ALTER TABLE acme.users NO FORCE ROW LEVEL SECURITY")
        superuser.commit()
        assert [str(each) for each in await guard.inspect(connection)] == ["policies_not_forced: acme.users"]


@pytest.mark.parametrize(
    "name", ["quarry", "app", "public", "pg_own", "information_schema", "Acme", "a b", "", "a" * 64]
)
async def test_a_name_that_can_t_be_one_is_refused(owner: Address, name: str) -> None:
    with pytest.raises(OperatorError, match="can't be a schema"):
        await own_schemas.build(owner, "quarry", name, quietly)


@pytest.mark.usefixtures("acme")
async def test_a_schema_belongs_to_one_tenant(owner: Address) -> None:
    with pytest.raises(OperatorError, match="the schema acme is another tenant's"):
        await own_schemas.build(owner, "quarry", "acme", quietly)


async def test_one_that_holds_something_else_is_refused(owner: Address, superuser: Any) -> None:
    superuser.execute("CREATE SCHEMA theirs AUTHORIZATION quarry_owner; CREATE TABLE theirs.orders ()")
    superuser.commit()
    with pytest.raises(OperatorError, match="the schema theirs is there and holds something else"):
        await own_schemas.build(owner, "quarry", "theirs", quietly)


@pytest.mark.usefixtures("acme")
async def test_one_that_somebody_has_dropped_keeps_nobody_else_waiting(
    owner: Address, new: Factory, folders: tuple[Path, Path], superuser: Any
) -> None:
    await own_schemas.build(owner, "quarry", "zeta", quietly)
    await new.tenant("zeta", schema="zeta")
    superuser.execute("DROP SCHEMA acme CASCADE")
    superuser.commit()
    (folders[1] / "0098.add-it.sql").write_text("CREATE TABLE it ();")
    with pytest.raises(OwnSchemaFailed, match="in acme: the schema acme does not exist"):
        own_schemas.up(owner, "quarry", quietly, folders)
    assert "0098.add-it" in {each.id for each in migrations.status(owner, "zeta", folders) if each.applied_at}


async def test_one_that_was_left_half_built_is_gone_on_with(owner: Address, superuser: Any) -> None:
    await own_schemas.build(owner, "quarry", "acme", quietly)
    migrations.take_back(owner, "acme", ["0013.serve-operators"], quietly, beside=True)
    said: list[str] = []
    await own_schemas.build(owner, "quarry", "acme", said.append)
    assert said == ["applying 0013.serve-operators in acme"]


@pytest.mark.usefixtures("acme")
async def test_a_migration_is_applied_to_all_and_taken_back_from_all(
    owner: Address, folders: tuple[Path, Path]
) -> None:
    (folders[1] / "0098.add-it.sql").write_text("CREATE TABLE it ();")
    (folders[1] / "0098.add-it.rollback.sql").write_text("DROP TABLE it;")
    assert own_schemas.up(owner, "quarry", quietly, folders) == ["0098.add-it", "acme/0098.add-it"]
    assert own_schemas.up(owner, "quarry", quietly, folders) == []
    chosen = migrations.last(owner, "quarry", 1, folders)
    assert own_schemas.down(owner, "quarry", chosen, quietly, folders) == [
        "acme/0098.add-it",
        "0098.add-it",
    ]


@pytest.mark.usefixtures("acme")
async def test_what_exists_once_is_applied_once(owner: Address, folders: tuple[Path, Path]) -> None:
    (folders[0] / "0098.add-it.sql").write_text("CREATE TABLE app.it ();")
    (folders[0] / "0098.add-it.rollback.sql").write_text("DROP TABLE app.it;")
    assert own_schemas.up(owner, "quarry", quietly, folders) == ["0098.add-it"]
    chosen = migrations.last(owner, "quarry", 1, folders)
    assert own_schemas.down(owner, "quarry", chosen, quietly, folders) == ["0098.add-it"]


@pytest.mark.usefixtures("acme")
async def test_a_failure_in_one_keeps_nobody_else_waiting_and_is_gone_on_with(
    owner: Address, new: Factory, folders: tuple[Path, Path], superuser: Any
) -> None:
    await own_schemas.build(owner, "quarry", "zeta", quietly)
    await new.tenant("zeta", schema="zeta")
    superuser.execute("CREATE TABLE acme.it ()")
    superuser.commit()
    (folders[1] / "0098.add-it.sql").write_text("CREATE TABLE it ();")
    (folders[1] / "0098.add-it.rollback.sql").write_text("DROP TABLE it;")
    (folders[1] / "0099.add-more.sql").write_text("-- depends: 0098.add-it\nCREATE TABLE more ();")
    with pytest.raises(MigrationError, match=r"in acme: 0098\.add-it\.sql:1: relation \"it\" already exists"):
        own_schemas.up(owner, "quarry", quietly, folders)
    superuser.execute("DROP TABLE acme.it")
    superuser.commit()
    assert own_schemas.up(owner, "quarry", quietly, folders) == ["acme/0098.add-it", "acme/0099.add-more"]


@pytest.mark.usefixtures("acme")
async def test_looking_through_them_keeps_no_lock_there(database: Database) -> None:
    async with Work(database, None, read_only=True) as work:
        waits = [each.waits for each in await work.tenants.to_seal(UUID(int=0), limit=10)]
        due = [each.is_due for each in await work.tenants.to_purge(UUID(int=0), idle=timedelta(hours=1), limit=10)]
        locked = await work.connection.fetch(
            "SELECT relation::regclass::text FROM pg_locks WHERE pid = pg_backend_pid() AND relation IS NOT NULL", ()
        )
    assert (waits, due) == ([False], [False])
    assert [name for (name,) in locked if name.startswith("acme.")] == []


@pytest.mark.usefixtures("acme")
async def test_one_with_nothing_to_do_takes_no_turn_and_files_are_read_once(
    owner: Address, superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever took a turn there would wait for this living process.
    superuser.execute("INSERT INTO acme.yoyo_lock VALUES (1, now(), %s)", (os.getppid(),))
    superuser.commit()
    read, reads = yoyo.read_migrations, list[tuple[str, ...]]()
    monkeypatch.setattr(yoyo, "read_migrations", lambda *folders: reads.append(folders) or read(*folders))
    with psycopg.connect(owner.url):
        assert own_schemas.up(owner, "quarry", quietly) == []
        assert {each.is_settled for each in own_schemas.status(owner, "quarry")} == {True}
    assert len(reads) == 2


@pytest.mark.usefixtures("acme")
async def test_the_status_tells_of_the_tables_of_tenants_alone(owner: Address) -> None:
    found = [each.id for each in own_schemas.status(owner, "quarry")]
    own = [id.partition("/")[2] for id in found if id.startswith("acme/")]
    assert own == [path.stem for path in migration_files.ordered() if path.parent.name == "tenant"]


@pytest.mark.usefixtures("acme")
async def test_taking_back_what_knows_of_schemas_is_refused_while_there_are_some(owner: Address) -> None:
    with pytest.raises(MigrationError, match="there are tenants with a schema of their own"):
        migrations.take_back(owner, "quarry", ["0010.own-schemas"], quietly)
