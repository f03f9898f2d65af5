"""Forgetting what has ended: in every tenant, once at a time, whoever begins."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.database.database import Database
from service.operations import purging
from service.operations.health import DatabaseHealth
from service.schema import own_schemas
from service.settings.settings import Settings
from service.work import Work

IDLE = timedelta(hours=1)


@pytest.fixture
def serve_health(database: Database) -> Any:
    """What health says of the database."""
    return DatabaseHealth(database, 60.0).report


async def add_codes(database: Database, superuser: Any, tenant: NewTenant, count: int) -> None:
    async with Work(database, tenant.id) as work:
        for n in range(count):
            await work.otps.create(phone=f"+1415555{n:04}", code="123456", lifetime=timedelta(minutes=5))
    superuser.execute(
        "UPDATE quarry.otps SET created_at = now() - interval '3 days', expires_at = now() - interval '2 days'"
    )
    superuser.commit()


async def codes(superuser: Any) -> int:
    superuser.commit()
    (count,) = superuser.execute("SELECT count(*) FROM quarry.otps").fetchone()
    return int(count)


async def test_what_has_ended_is_forgotten_in_every_tenant(
    database: Database, new: Factory, superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "_TENANTS", 2)
    told: dict[object, int] = {}
    tenants = [await new.tenant(f"tenant{n}") for n in range(5)]
    for n, tenant in enumerate(tenants):
        await add_codes(database, superuser, tenant, n)
    assert await codes(superuser) == 10
    assert (
        await purging.purge_all(database, IDLE, lambda tenant, purged: told.update({tenant: purged.rows}))
    ).rows == 10
    assert told == {tenant.id: n for n, tenant in enumerate(tenants) if n}
    assert await codes(superuser) == 0


async def test_a_tenant_is_left_to_whoever_is_at_it(database: Database, new: Factory, superuser: Any) -> None:
    acme = await new.tenant("acme")
    await add_codes(database, superuser, acme, 3)
    async with Work(database, acme.id) as work:
        assert await work.tenants.lock_purge(acme.id)
        assert (await purging.purge(database, acme.id, IDLE)).rows == 0
    assert (await purging.purge(database, acme.id, IDLE)).rows == 3


async def test_of_many_instances_one_is_told_that_a_purge_is_due(database: Database) -> None:
    told = await asyncio.gather(*(purging.is_due(database) for _ in range(8)))
    assert sorted(told) == [False] * 7 + [True]
    assert not await purging.is_due(database)


async def test_a_purge_is_due_again_after_its_time(database: Database, superuser: Any) -> None:
    assert await purging.is_due(database)
    superuser.execute("UPDATE app.installation SET purged_at = now() - interval '61 minutes'")
    superuser.commit()
    assert await purging.is_due(database)


NOTES = """
CREATE TABLE quarry.notes (
    tenant_id uuid NOT NULL DEFAULT app.current_tenant(), id uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL, brand_id uuid, deleted_at timestamptz,
    PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, user_id) REFERENCES quarry.users (tenant_id, id),
    FOREIGN KEY (tenant_id, brand_id) REFERENCES quarry.brands (tenant_id, id));
ALTER TABLE quarry.notes ENABLE ROW LEVEL SECURITY; ALTER TABLE quarry.notes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON quarry.notes USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
ALTER TABLE quarry.notes OWNER TO quarry_owner;
"""
LONG_AGO = "now() - interval '1 year'"


async def test_table_of_a_domain_of_one_s_own_neither_stops_the_purge_nor_is_forgotten(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    author, other = await new.user(acme.id), await new.user(globex.id)
    superuser.execute(NOTES)
    superuser.execute(
        "INSERT INTO quarry.notes (tenant_id, user_id, deleted_at) VALUES (%s, %s, NULL), (%s, %s, '2020-01-01')",
        (acme.id, author.id, globex.id, other.id),
    )
    superuser.execute("SET search_path = quarry")
    superuser.execute(f"UPDATE quarry.users SET deleted_at = {LONG_AGO} WHERE role <> 'owner'")
    superuser.commit()
    assert await purging.purge_all(database, IDLE) == purging.Purged(rows=2, failures=0)
    assert superuser.execute("SELECT tenant_id FROM quarry.notes").fetchall() == [(acme.id,)]
    assert superuser.execute("SELECT id FROM quarry.users WHERE deleted_at IS NOT NULL").fetchall() == [(author.id,)]


async def test_table_that_can_not_be_purged_is_told_of_and_stops_no_other(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    author = await new.user(acme.id)
    superuser.execute(NOTES)
    superuser.execute("INSERT INTO quarry.notes (tenant_id, user_id, deleted_at) VALUES (%s, %s, '2020-01-01')",
                      (acme.id, acme.owner.id))  # fmt: skip
    superuser.execute("ALTER TABLE quarry.notes DROP CONSTRAINT notes_pkey, DROP COLUMN id")
    superuser.execute("SET search_path = quarry")
    superuser.execute(f"UPDATE quarry.users SET deleted_at = {LONG_AGO} WHERE role <> 'owner'")
    superuser.commit()
    assert await purging.purge_all(database, IDLE) == purging.Purged(rows=1, failures=1)
    assert superuser.execute("SELECT FROM quarry.users WHERE id = %s", (author.id,)).fetchall() == []


async def test_schema_that_is_behind_keeps_nobody_else_s_rows(
    database: Database, new: Factory, superuser: Any, settings: Settings
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    await new.user(acme.id)
    await own_schemas.build(settings.address("quarry_owner"), "quarry", "of_globex", print)
    superuser.execute("INSERT INTO app.schemas (tenant_id, name) VALUES (%s, 'of_globex')", (globex.id,))
    superuser.execute("DROP FUNCTION of_globex.has_ended_rows(uuid, interval, text[])")
    superuser.execute("SET search_path = quarry")
    superuser.execute(f"UPDATE quarry.users SET deleted_at = {LONG_AGO} WHERE role <> 'owner'")
    superuser.commit()
    assert (await purging.purge_all(database, IDLE)).rows == 1


async def test_keys_that_ended_long_ago_are_forgotten_and_their_makers_too(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    maker = await new.user(acme.id, role="admin")
    async with Work(database, acme.id) as work:
        for number in (1, 2):
            await work.api_keys.create(
                name="K",
                role="admin",
                key_hash=bytes([number]) * 32,
                key_mac=bytes(32),
                created_by=maker.id,
                expires_at=None,
            )
    superuser.execute("SET search_path = quarry")
    superuser.execute(f"UPDATE quarry.users SET deleted_at = {LONG_AGO} WHERE role <> 'owner'")
    superuser.execute(f"UPDATE quarry.api_keys SET revoked_at = {LONG_AGO} WHERE key_hash = %s", (b"\x01" * 32,))
    superuser.commit()
    assert (await purging.purge_all(database, IDLE)).rows == 1
    superuser.execute(f"UPDATE quarry.api_keys SET expires_at = {LONG_AGO}")
    superuser.commit()
    assert (await purging.purge_all(database, IDLE)).rows == 2


async def test_failure_in_one_tenant_keeps_nothing_else_from_being_forgotten(
    database: Database, new: Factory, superuser: Any, serve_health: Any
) -> None:
    first, second = sorted([await new.tenant("acme"), await new.tenant("globex")], key=lambda each: each.id)
    for tenant in (first, second):
        await add_codes(database, superuser, tenant, 2)
    brand = await new.brand(first)
    superuser.execute("SET search_path = quarry")
    superuser.execute(f"UPDATE quarry.brands SET deleted_at = {LONG_AGO} WHERE id = %s", (brand.id,))
    superuser.execute(
        "CREATE FUNCTION quarry.fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''broken''; END';"
        "CREATE TRIGGER fail BEFORE DELETE ON quarry.brands FOR EACH ROW EXECUTE FUNCTION quarry.fail()"
    )
    superuser.commit()
    assert await purging.purge_all(database, IDLE) == purging.Purged(rows=4, failures=1)
    assert (await serve_health())["purge"] == {"ok": False, "failures": 1, "seconds_ago": None}
    superuser.execute("DROP TRIGGER fail ON quarry.brands")
    superuser.commit()
    assert await purging.purge_all(database, IDLE) == purging.Purged(rows=1, failures=0)
    assert (await serve_health())["purge"]["ok"]


async def test_tenant_with_a_schema_of_its_own_is_purged_too(
    database: Database, new: Factory, superuser: Any, settings: Settings
) -> None:
    await own_schemas.build(settings.address("quarry_owner"), "quarry", "acme", lambda _: None)
    acme = await new.tenant("acme", schema="acme")
    async with Work(database, acme.id) as work:
        await work.otps.create(phone="+14155550000", code="123456", lifetime=timedelta(minutes=5))
    assert (await purging.purge_all(database, IDLE)).rows == 0
    superuser.execute(
        "UPDATE acme.otps SET created_at = now() - interval '3 days', expires_at = now() - interval '2 days'"
    )
    superuser.commit()
    assert (await purging.purge_all(database, IDLE)).rows == 1
