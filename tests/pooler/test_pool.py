"""The service's own pool behind PgBouncer: found out, told apart, and what counts there instead of start-up parameters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from arranging.bouncer import Bouncer
from arranging.factories import Factory
from service.database import pooler
from service.database.database import Database
from service.database.pool import GREETING
from service.errors import NotFound, OperatorError, TenantUnbound
from service.personal import keyring
from service.settings.settings import Settings
from service.work import Work


@pytest.fixture
async def behind(pooled: Settings) -> AsyncIterator[Database]:
    """The pool of the serving role, as the service opens it."""
    async with Database.open(
        pooled.address("quarry_app"), pooled.limits, keyring=keyring.load(pooled), greeting=GREETING
    ) as opened:
        yield opened


async def test_a_pooler_is_found_out_and_nothing_is_prepared(behind: Database, database: Database) -> None:
    assert (behind.pool.info.has_pooler, behind.pool.info.keeps_statements) == (True, False)
    assert (database.pool.info.has_pooler, database.pool.info.keeps_statements) == (False, True)
    async with behind.connection() as connection:
        for number in range(3):
            assert await connection.fetchval("SELECT $1::int", (number,)) == number
        assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements", ()) == 0


@pytest.mark.parametrize(("given", "is_kept"), [("quarry", False), ("PGBOUNCER", True)])
async def test_a_pooler_that_gives_statements_names_of_its_own_keeps_them(
    pooled: Settings, given: str, is_kept: bool
) -> None:
    connection = await asyncpg.connect(pooled.serving_url(), statement_cache_size=0)
    try:
        renaming = Renaming(connection, given)
        assert await pooler.keeps_statements(renaming) is is_kept
    finally:
        await connection.close()


class Renaming:
    """A connection whose statements get other names on their way, as from PgBouncer 1.21 with max_prepared_statements."""

    def __init__(self, connection: Any, prefix: str) -> None:
        self._connection, self._prefix = connection, prefix
        self.transaction, self.fetchval, self.execute = connection.transaction, connection.fetchval, connection.execute

    async def prepare(self, text: str, name: str) -> Any:
        return await self._connection.prepare(text, name=name.replace("quarry", self._prefix))


async def test_sessions_begin_with_what_the_role_has(behind: Database) -> None:
    async with behind.connection() as connection:
        assert await connection.fetchval("SHOW search_path", ()) == "quarry, pg_temp"
        assert await connection.fetchval("SHOW timezone", ()) == "UTC"
        assert await connection.fetchval("SHOW statement_timeout", ()) == "30s"
        assert await connection.fetchval("SHOW lock_timeout", ()) == "5s"
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout", ()) == "1min"


async def test_a_role_without_its_search_path_is_refused_with_what_to_do(
    pooled: Settings, bouncer: Bouncer, superuser: Any
) -> None:
    superuser.execute(f"ALTER ROLE quarry_app IN DATABASE {superuser.info.dbname} RESET search_path")
    superuser.commit()
    bouncer.command("RECONNECT")
    with pytest.raises(OperatorError, match="the role's own settings count, and search_path is") as caught:
        async with Database.open(pooled.address("quarry_app"), pooled.limits):
            pass
    assert "quarry db create" in caught.value.remedy


async def test_another_login_can_not_become_the_role(pooled: Settings, bouncer: Bouncer, superuser: Any) -> None:
    url = bouncer.url(user="postgres", database=superuser.info.dbname)
    address = replace(pooled.address("quarry_app"), url=url, role="quarry_app")
    with pytest.raises(OperatorError, match="behind a pooler this login can't become quarry_app") as caught:
        async with Database.open(address, pooled.limits):
            pass
    assert "DATABASE_URL" in caught.value.remedy


async def test_more_work_than_sessions_stays_with_its_tenants(behind: Database, new: Factory) -> None:
    tenants = [await new.tenant(name) for name in ("acme", "globex")]

    async def write(number: int) -> None:
        tenant = tenants[number % 2]
        async with Work(behind, tenant.id) as work:
            await work.campaigns.create(name=f"{tenant.id} {number}", owner_id=tenant.owner.id)
            await asyncio.sleep(0)
            found = await work.connection.fetch("SELECT DISTINCT tenant_id FROM campaigns", ())
            assert [row["tenant_id"] for row in found] == [tenant.id]

    await asyncio.gather(*(write(number) for number in range(40)))
    for tenant in tenants:
        assert await Work.run(behind, lambda work: work.campaigns.count(), tenant.id, read_only=True) == 20


async def test_whoever_comes_next_in_a_session_is_bound_to_nothing(behind: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    for _ in range(4):
        async with Work(behind, acme.id) as work:
            await work.campaigns.count()
        with pytest.raises(TenantUnbound):
            async with Work(behind, None) as work:
                await work.connection.fetch("SELECT FROM campaigns", ())


async def test_another_tenants_row_is_not_there(behind: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    async with Work(behind, acme.id) as work:
        campaign = await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
    assert work.number is not None
    async with Work(behind, globex.id, read_only=True) as other:
        with pytest.raises(NotFound):
            await other.campaigns.find(campaign.id)


async def test_another_server_behind_the_pooler_is_another_life_before_anything_is_written(
    behind: Database, new: Factory, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    async with Work(behind, acme.id) as work:
        before = await work.installation.enter_epoch()
    superuser.execute("UPDATE app.installation SET timeline = timeline + 1")
    superuser.commit()
    async with Work(behind, acme.id) as work:
        # The connection is the same, so only the transaction itself could notice.
        place = await work.connection.fetchval("SELECT epoch FROM app.installation", ())
    assert place == before + 1
