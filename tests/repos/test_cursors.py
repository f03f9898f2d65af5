"""Cursors: how far consumers have read, through the repository, as the serving role."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.database.database import Database
from service.repos.cursors import ConsumerLag, Cursor
from service.repos.log import StreamPlace
from service.work import Work

HOUR = timedelta(hours=1)
NOW = timedelta()


async def place(database: Database, tenant: NewTenant) -> StreamPlace:
    async with Work(database, tenant.id, read_only=True) as work:
        return await work.log.place()


async def read_up(database: Database, tenant: NewTenant, *, short_of: int = 0, life: int = 0) -> None:
    """Let the consumer have handled all but so many commits, of this life or of one before."""
    at = await place(database, tenant)
    async with Work(database, tenant.id) as work:
        await work.cursors.open("mail")
        assert await work.cursors.move("mail", epoch=at.epoch + life, number=at.head - short_of) == 1


async def taken(database: Database, tenant: NewTenant) -> Cursor | None:
    async with Work(database, tenant.id) as work:
        return await work.cursors.take("mail")


async def waiting(database: Database, limit: int = 100) -> set[Any]:
    async with Work(database, None, read_only=True) as work:
        return {each.tenant for each in await work.cursors.waiting("mail", limit)}


async def lag(database: Database) -> list[ConsumerLag]:
    async with Work(database, None, read_only=True) as work:
        return await work.cursors.lag()


async def test_a_place_is_opened_once_and_is_of_no_epoch(database: Database, acme: NewTenant) -> None:
    async with Work(database, acme.id) as work:
        assert [await work.cursors.open("mail") for _ in range(3)] == [1, 0, 0]
        assert await work.cursors.take("mail") == Cursor(epoch=0, number=0, failures=0, cut_off_at=None)
    await read_up(database, acme)
    before = await taken(database, acme)
    async with Work(database, acme.id) as work:
        assert await work.cursors.open("mail") == 0
    assert await taken(database, acme) == before


async def test_a_place_is_its_tenants_own(database: Database, new: Factory, acme: NewTenant) -> None:
    globex = await new.tenant("globex")
    await read_up(database, acme)
    assert await taken(database, globex) is None
    async with Work(database, globex.id) as work:
        assert await work.cursors.move("mail", epoch=1, number=99) == 0
        assert await work.cursors.fail("mail", pause=HOUR) == 0
        assert await work.cursors.cut_off("mail") == 0


async def test_a_place_that_another_transaction_has_is_skipped(database: Database, acme: NewTenant) -> None:
    await read_up(database, acme)
    async with Work(database, acme.id) as one:
        assert await one.cursors.take("mail") is not None
        assert await taken(database, acme) is None
        async with Work(database, acme.id) as other:
            await other.cursors.open("search")
            assert await other.cursors.take("search") is not None
    assert await taken(database, acme) is not None


async def test_a_place_of_which_there_is_none_is_not_taken(database: Database, acme: NewTenant) -> None:
    assert await taken(database, acme) is None


async def test_a_failure_makes_a_pause_and_is_counted(database: Database, acme: NewTenant) -> None:
    await read_up(database, acme, short_of=1)
    for pause in (NOW, NOW, HOUR):
        async with Work(database, acme.id) as work:
            assert await work.cursors.take("mail") is not None
            assert await work.cursors.fail("mail", pause=pause) == 1
    assert await taken(database, acme) is None
    assert (await lag(database))[0].failing == 1


async def test_a_move_ends_failures_the_pause_and_being_cut_off(database: Database, acme: NewTenant) -> None:
    await read_up(database, acme)
    async with Work(database, acme.id) as work:
        await work.cursors.fail("mail", pause=HOUR)
        await work.cursors.cut_off("mail")
        assert await work.cursors.move("mail", epoch=7, number=3) == 1
    assert await taken(database, acme) == Cursor(epoch=7, number=3, failures=0, cut_off_at=None)


async def test_a_consumer_is_cut_off_once_until_it_moves(database: Database, acme: NewTenant) -> None:
    await read_up(database, acme)
    async with Work(database, acme.id) as work:
        assert [await work.cursors.cut_off("mail") for _ in range(2)] == [1, 0]
    first = await taken(database, acme)
    assert first is not None
    assert first.cut_off_at is not None
    assert (await lag(database))[0].cut_off == 1
    await read_up(database, acme)
    assert (await lag(database))[0].cut_off == 0


async def test_moving_on_is_no_change_of_the_tenant(database: Database, acme: NewTenant) -> None:
    before = await place(database, acme)
    await read_up(database, acme)
    assert await place(database, acme) == before


async def test_a_consumer_waits_for_tenants_that_are_new_or_have_gone_on(
    database: Database, new: Factory, acme: NewTenant
) -> None:
    globex = await new.tenant("globex")
    assert await waiting(database) == {acme.id, globex.id}
    assert len(await waiting(database, limit=1)) == 1
    await read_up(database, acme)
    await read_up(database, globex)
    assert await waiting(database) == set()
    await new.campaign(acme)
    assert await waiting(database) == {acme.id}


async def test_a_consumer_does_not_wait_during_its_pause(database: Database, acme: NewTenant) -> None:
    await read_up(database, acme, short_of=1)
    for pause, expected in ((HOUR, set()), (NOW, {acme.id})):
        async with Work(database, acme.id) as work:
            await work.cursors.fail("mail", pause=pause)
        assert await waiting(database) == expected


async def test_a_place_of_another_life_waits_wherever_it_is(database: Database, acme: NewTenant) -> None:
    await read_up(database, acme, short_of=-99, life=-1)
    assert await waiting(database) == {acme.id}


async def test_the_lag_counts_the_tenants_behind_and_says_since_when(
    database: Database, new: Factory, acme: NewTenant
) -> None:
    globex, initech = await new.tenant("globex"), await new.tenant("initech")
    await read_up(database, acme, short_of=1)
    await read_up(database, globex)
    await read_up(database, initech)
    await new.campaign(globex)
    async with Work(database, acme.id, read_only=True) as work:
        ((last,), _) = await work.log.read_on((await work.log.head()) - 1, most=1, limit=1)
    (mail,) = await lag(database)
    assert mail == ConsumerLag(consumer="mail", tenants=2, failing=0, cut_off=0, oldest=last.at, behind=mail.behind)
    assert mail.behind is not None
    assert mail.behind > timedelta(0)


async def test_nobody_lags_who_has_read_everything(database: Database, acme: NewTenant) -> None:
    assert await lag(database) == []
    await read_up(database, acme)
    assert await lag(database) == [
        ConsumerLag(consumer="mail", tenants=0, failing=0, cut_off=0, oldest=None, behind=None)
    ]


async def test_the_platform_forgets_the_places_of_one_consumer(
    database: Database, platform: Database, new: Factory, acme: NewTenant
) -> None:
    globex = await new.tenant("globex")
    await read_up(database, acme)
    await read_up(database, globex)
    async with Work(database, acme.id) as work:
        await work.cursors.open("search")
    async with Work(platform, None) as work:
        forget = "SELECT app.forget_consumer('mail')"
        assert [await work.connection.fetchval(forget, ()) for _ in range(2)] == [2, 0]
    assert [each.consumer for each in await lag(database)] == ["search"]
