"""Reads that are sent as one message: they are bound to their tenant alone, and leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from arranging.accounts import OWN_SCHEMAS, NewTenant
from arranging.factories import Factory
from changes.followers import until
from service.database.database import Database
from service.errors import TenantUnbound
from service.repos.campaigns import Campaign
from service.settings.settings import Settings
from service.statements.reads import ReadCall
from service.tenancy.direct import DirectReads
from service.work import Work

pytestmark = pytest.mark.skipif(OWN_SCHEMAS, reason="a tenant with a schema of its own is not served so")

SLEEP = "/* a.test */ SELECT entered.tenant_id, pg_sleep($2)::text FROM app.entered($1) AS entered (tenant_id)"


@pytest.fixture
async def one(settings: Settings) -> AsyncIterator[Database]:
    """A database with a pool of one connection."""
    limits = settings.limits.__class__(minimum=1, maximum=1)
    async with Database.open(settings.address("quarry_app"), limits) as database:
        yield database


async def listed(database: Database, tenant: NewTenant) -> list[Campaign]:
    async with Work(database, tenant.id, read_only=True, is_direct=True) as work:
        return await work.campaigns.page()


async def test_a_read_shows_the_rows_of_its_tenant_alone(
    one: Database, new: Factory, acme: NewTenant, globex: NewTenant
) -> None:
    campaign = await new.campaign(acme)
    for _ in range(3):
        assert [each.id for each in await listed(one, acme)] == [campaign.id]
        assert await listed(one, globex) == []


async def test_no_tenant_stays_on_the_connection(one: Database, new: Factory, acme: NewTenant) -> None:
    await new.campaign(acme)
    assert await listed(one, acme)
    async with one.connection() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT current_setting('app.tenant_id', true)", ()) in (None, "")
        with pytest.raises(TenantUnbound):
            await connection.fetch("SELECT id FROM campaigns", ())


async def test_no_transaction_is_begun_unless_a_statement_needs_one(one: Database, acme: NewTenant) -> None:
    async with Work(one, acme.id, read_only=True, is_direct=True) as work:
        asked: Any = work.campaigns.page()
        assert isinstance(asked, ReadCall)
        assert asked.is_direct
        await asked
        with pytest.raises(RuntimeError):
            assert work.connection
        await work.campaigns.page(q="a")  # planned for its values
        assert work.connection.is_in_transaction()
        assert not asked.is_direct


@pytest.mark.parametrize("change", ["ANALYZE quarry.campaigns", "CREATE INDEX odd ON quarry.campaigns (version)"])
async def test_a_plan_that_was_thrown_away_does_no_harm(
    one: Database, new: Factory, acme: NewTenant, superuser: Any, change: str
) -> None:
    await new.campaign(acme)
    assert len(await listed(one, acme)) == 1
    superuser.execute(change)
    superuser.commit()
    assert len(await listed(one, acme)) == 1


async def test_a_statement_is_prepared_once_for_each_connection(one: Database, new: Factory, acme: NewTenant) -> None:
    for _ in range(3):
        await listed(one, acme)
    async with one.connection() as connection:
        rows = await connection.fetch("SELECT statement FROM pg_prepared_statements", ())
    assert len([row for row in rows if row["statement"].startswith("/* campaigns.page */")]) == 1


async def test_a_read_that_is_cancelled_leaves_nothing_behind(
    one: Database, database: Database, acme: NewTenant
) -> None:
    async def is_running() -> bool:
        async with database.connection() as connection:
            return bool(
                await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", ())
            )

    direct = DirectReads(one.pool, acme.id)
    await direct.fetch(SLEEP, (acme.id, 0.0))
    task = asyncio.create_task(direct.fetch(SLEEP, (acme.id, 30.0)))
    await until(is_running)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await listed(one, acme) == []
    await until(lambda: one.pool.idle == 1)
