"""Savepoints."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import Conflict, DatabaseError, TooManySavepoints
from service.work import Work


async def names(database: Database, tenant: object) -> list[str]:
    async with Work(database, tenant.id) as work:
        return sorted(campaign.name for campaign in await work.campaigns.page())


async def test_a_savepoint_that_raises_is_undone_and_the_rest_is_kept(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        await work.campaigns.create(name="Kept", owner_id=acme.owner.id)
        with pytest.raises(ZeroDivisionError):
            async with work.savepoint("notes"):
                await work.campaigns.create(name="Undone", owner_id=acme.owner.id)
                raise ZeroDivisionError
    assert await names(database, acme) == ["Kept"]


async def test_a_failed_statement_in_a_savepoint_does_not_spoil_the_transaction(
    database: Database, new: Factory
) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        with pytest.raises(Conflict):
            async with work.savepoint("twin"):
                await work.users.create(id=uuid4(), email=acme.owner.email, display_name="Twin", password_hash="-")
        await work.campaigns.create(name="Kept", owner_id=acme.owner.id)
    assert await names(database, acme) == ["Kept"]


async def test_savepoints_nest_also_under_one_name(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work, work.savepoint("step"):
        await work.campaigns.create(name="Outer", owner_id=acme.owner.id)
        with pytest.raises(ZeroDivisionError):
            async with work.savepoint("step"):
                await work.campaigns.create(name="Inner", owner_id=acme.owner.id)
                raise ZeroDivisionError
    assert await names(database, acme) == ["Outer"]


async def test_an_outer_savepoint_undoes_the_inner_ones(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        with pytest.raises(ZeroDivisionError):
            async with work.savepoint("outer"):
                async with work.savepoint("inner"):
                    await work.campaigns.create(name="Inner", owner_id=acme.owner.id)
                raise ZeroDivisionError
    assert await names(database, acme) == []


async def test_an_undone_savepoint_is_gone(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(DatabaseError, match="3B001"):
        async with Work(database, acme.id) as work:
            with pytest.raises(ZeroDivisionError):
                async with work.savepoint("mark"):
                    raise ZeroDivisionError
            await work.connection.execute("RELEASE mark_0")


async def test_a_transaction_has_at_most_sixty_savepoints(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        for _ in range(60):
            async with work.savepoint("step"):
                pass
        with pytest.raises(TooManySavepoints):
            async with work.savepoint("step"):
                pass
        await work.campaigns.create(name="Still here", owner_id=acme.owner.id)
    assert await names(database, acme) == ["Still here"]


@pytest.mark.parametrize("name", ["", "Notes", "a-b", "x; DROP TABLE users", "x" * 41])
async def test_a_savepoints_name_is_a_plain_word(database: Database, new: Factory, name: str) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        with pytest.raises(ValueError, match="lower-case word"):
            async with work.savepoint(name):
                pass


async def test_a_statement_cancelled_in_a_savepoint_is_undone_alone(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        with pytest.raises(TimeoutError):
            async with work.savepoint("slow"), asyncio.timeout(0.05):
                await work.campaigns.create(name="Undone", owner_id=acme.owner.id)
                await work.connection.fetch("SELECT pg_sleep(30)", ())
        await work.campaigns.create(name="Kept", owner_id=acme.owner.id)
    assert await names(database, acme) == ["Kept"]
