"""Reads through the cache: what is answered from it, until when, and what never is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import pytest

from arranging.accounts import NewTenant
from arranging.caching import Process, process
from arranging.factories import Factory
from changes.followers import NEVER, until
from service.cache import watermarks
from service.changes import relay as relays
from service.database.database import Database
from service.errors import NotFound
from service.repos.campaigns import Campaign
from service.settings.settings import Settings
from service.work import Work


class Undo(Exception):
    pass


@pytest.fixture
async def campaign(new: Factory, acme: NewTenant) -> Campaign:
    return await new.campaign(acme)


@pytest.fixture
async def hasty(settings: Settings) -> AsyncIterator[Process]:
    """A process for which what it knows is worth no more than in earnest."""
    async with process(settings) as opened:
        yield opened


@pytest.fixture
async def reader(settings: Settings, acme: NewTenant, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Process]:
    """A process that follows the tenant, and gives nothing up only because the machine is busy."""
    monkeypatch.setattr(watermarks, "LEASE", NEVER)
    async with process(settings) as opened:
        await opened.catch_up(acme)
        yield opened


async def name_of(reader: Process, tenant: NewTenant, id: Any, **how: Any) -> str:
    return (await reader.read(tenant, lambda work: work.campaigns.find(id), **how)).name


async def rename(database: Database, tenant: NewTenant, id: UUID, name: str) -> int:
    """Another name, for which the tenant gets a commit of this number."""
    async with Work(database, tenant.id) as work:
        await work.campaigns.update(id, given=["name"], name=name)
    assert work.number is not None
    return work.number


def psql(superuser: Any, text: str, *values: Any) -> None:
    superuser.execute(text, values)
    superuser.commit()


async def test_what_was_read_is_not_asked_again(reader: Process, acme: NewTenant, campaign: Campaign) -> None:
    await reader.catch_up(acme)
    for _ in range(3):
        assert await reader.read(acme, lambda work: work.campaigns.find(campaign.id)) == campaign
        assert await reader.read(acme, lambda work: work.campaigns.page()) == [campaign]
    assert (reader.asked["campaigns.find"], reader.asked["campaigns.page"]) == (1, 1)


async def test_a_savepoint_may_come_before_whatever_is_asked(
    reader: Process, acme: NewTenant, campaign: Campaign
) -> None:
    async with Work(reader.database, acme.id, read_only=True) as work:
        with contextlib.suppress(Undo):
            async with work.savepoint("step"):
                raise Undo
        assert await work.campaigns.find(campaign.id) == campaign


async def test_work_that_finds_everything_there_has_no_connection(
    reader: Process, acme: NewTenant, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reader.catch_up(acme)
    await name_of(reader, acme, campaign.id)
    async with Work(reader.database, acme.id, read_only=True) as work:
        await work.campaigns.find(campaign.id)
        with pytest.raises(RuntimeError, match="has not needed a connection"):
            _ = work.connection
        await work.campaigns.exists(campaign.id)
        assert work.connection.is_in_transaction()


async def test_work_that_finds_some_of_it_there_asks_for_the_rest(
    reader: Process, new: Factory, acme: NewTenant, campaign: Campaign
) -> None:
    other = await new.campaign(acme, "Winter")
    await reader.catch_up(acme)
    await name_of(reader, acme, campaign.id)
    async with Work(reader.database, acme.id, read_only=True) as work:
        assert [await work.campaigns.find(each.id) for each in (campaign, other)] == [campaign, other]
    assert reader.asked["campaigns.find"] == 2


async def test_that_there_is_no_row_is_remembered_until_there_is_one(reader: Process, acme: NewTenant) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            await name_of(reader, acme, UUID(int=7))
        assert await reader.read(acme, lambda work: work.campaigns.page()) == []
    assert (reader.asked["campaigns.find"], reader.asked["campaigns.page"]) == (1, 1)
    async with Work(reader.database, acme.id) as work:
        campaign = await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
    assert await reader.read(acme, lambda work: work.campaigns.page()) == [campaign]


async def test_work_that_may_write_always_asks(reader: Process, acme: NewTenant, campaign: Campaign) -> None:
    await reader.catch_up(acme)
    await name_of(reader, acme, campaign.id)
    for n in range(2):
        async with Work(reader.database, acme.id) as work:
            await work.campaigns.find(campaign.id)
            await work.campaigns.update(campaign.id, given=["name"], name=f"Name {n}")
            assert (await work.campaigns.find(campaign.id)).name == f"Name {n}"
    assert reader.asked["campaigns.find"] == 1 + 4


async def test_a_savepoint_after_a_write_always_asks_and_so_does_what_follows_its_end(
    reader: Process, acme: NewTenant, campaign: Campaign
) -> None:
    await reader.catch_up(acme)
    await name_of(reader, acme, campaign.id)
    seen = []
    async with Work(reader.database, acme.id) as work:
        with pytest.raises(Undo):
            async with work.savepoint("step"):
                await work.campaigns.update(campaign.id, given=["name"], name="Undone")
                seen.append((await work.campaigns.find(campaign.id)).name)
                raise Undo
        seen.append((await work.campaigns.find(campaign.id)).name)
        async with work.savepoint("step"):
            seen.append((await work.campaigns.find(campaign.id)).name)
    assert seen == ["Undone", "Summer", "Summer"]
    assert reader.asked["campaigns.find"] == 1 + 3


async def test_what_was_written_and_undone_is_nowhere(reader: Process, acme: NewTenant, campaign: Campaign) -> None:
    await reader.catch_up(acme)
    with pytest.raises(Undo):
        async with Work(reader.database, acme.id) as work:
            await work.campaigns.update(campaign.id, given=["name"], name="Undone")
            assert (await work.campaigns.find(campaign.id)).name == "Undone"
            assert await name_of(reader, acme, campaign.id) == "Summer"
            raise Undo
    assert await name_of(reader, acme, campaign.id) == "Summer"


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_work_that_wants_one_snapshot_always_asks(
    reader: Process, database: Database, acme: NewTenant, campaign: Campaign, isolation: Any
) -> None:
    await reader.catch_up(acme)
    await name_of(reader, acme, campaign.id)
    await rename(database, acme, campaign.id, "Winter")
    async with Work(reader.database, acme.id, read_only=True, isolation=isolation) as work:
        found = [(await work.campaigns.find_many([campaign.id]))[0], await work.campaigns.find(campaign.id)]
    assert [each.name for each in found] == ["Winter", "Winter"]


async def test_work_of_no_tenant_always_asks(reader: Process, add_niche: Callable[[str], UUID]) -> None:
    for name in ("Tea", "Tulips"):
        add_niche(name)
        async with Work(reader.database, None, read_only=True) as work:
            assert name in {niche.name for niche in await work.niches.page()}


async def test_a_method_that_is_not_said_to_be_cached_always_asks(
    reader: Process, acme: NewTenant, campaign: Campaign
) -> None:
    await reader.catch_up(acme)
    for _ in range(3):
        assert await reader.read(acme, lambda work: work.campaigns.exists(campaign.id))
        assert await reader.read(acme, lambda work: work.campaigns.find_many([campaign.id])) == [campaign]
    assert (reader.asked["campaigns.exists"], reader.asked["campaigns.find_many"]) == (3, 3)


async def test_a_write_is_in_the_next_read_of_its_process(hasty: Process, acme: NewTenant, campaign: Campaign) -> None:
    for n in range(30):
        await rename(hasty.database, acme, campaign.id, f"Name {n}")
        assert await name_of(hasty, acme, campaign.id) == f"Name {n}"
        assert (await hasty.read(acme, lambda work: work.campaigns.page()))[0].name == f"Name {n}"


async def test_whoever_reads_beside_a_writer_never_goes_back(
    hasty: Process, acme: NewTenant, campaign: Campaign
) -> None:
    written = [0]

    async def write() -> None:
        for n in range(1, 60):
            await rename(hasty.database, acme, campaign.id, f"{n}")
            written[0] = n

    async def read() -> None:
        while not writer.done():
            at_least = written[0]
            name = await name_of(hasty, acme, campaign.id)
            assert (0 if name == "Summer" else int(name)) >= at_least
            # What is in the cache is answered without ever letting go.
            await asyncio.sleep(0)

    writer = asyncio.create_task(write())
    await asyncio.gather(writer, *(read() for _ in range(5)))


@pytest.mark.parametrize("by", ["another process", "psql"])
@pytest.mark.parametrize("poll_every", [relays.POLL_EVERY, NEVER])
async def test_a_write_of_others_is_seen_within_the_lease(
    settings: Settings, database: Database, superuser: Any, acme: NewTenant, campaign: Campaign,
    monkeypatch: pytest.MonkeyPatch, by: str, poll_every: float,
) -> None:  # fmt: skip
    # Without polls nobody confirms what is known, and so it must not be used.
    monkeypatch.setattr(relays, "POLL_EVERY", poll_every)
    async with process(settings) as hasty:
        assert await name_of(hasty, acme, campaign.id) == "Summer"
        await hasty.catch_up(acme)
        if by == "psql":
            psql(superuser, "UPDATE quarry.campaigns SET name = 'Winter' WHERE id = %s", campaign.id)
        else:
            await rename(database, acme, campaign.id, "Winter")
        committed_at = asked_at = monotonic()
        while await name_of(hasty, acme, campaign.id) == "Summer":
            assert asked_at <= committed_at + watermarks.LEASE
            await asyncio.sleep(0)
            asked_at = monotonic()


async def test_a_write_of_psql_is_learned_of_while_what_it_has_not_touched_stays(
    reader: Process, new: Factory, superuser: Any, acme: NewTenant, campaign: Campaign
) -> None:
    other = await new.campaign(acme, "Other")
    await reader.catch_up(acme)
    for each in (campaign, other):
        await name_of(reader, acme, each.id)
    psql(superuser, "UPDATE quarry.campaigns SET name = 'Winter' WHERE id = %s", campaign.id)
    await reader.catch_up(acme)
    assert [await name_of(reader, acme, each.id) for each in (campaign, other)] == ["Winter", "Other"]
    assert reader.asked["campaigns.find"] == 3


async def test_a_list_is_asked_again_after_any_change_of_its_table(
    reader: Process, new: Factory, acme: NewTenant, campaign: Campaign
) -> None:
    await reader.catch_up(acme)
    assert await reader.read(acme, lambda work: work.campaigns.page()) == [campaign]
    other = await new.campaign(acme, "Other")
    await reader.catch_up(acme)
    assert await reader.read(acme, lambda work: work.campaigns.page()) == [other, campaign]


async def test_a_change_of_another_table_or_tenant_ends_nothing(
    reader: Process, new: Factory, acme: NewTenant, campaign: Campaign
) -> None:
    await reader.catch_up(acme)
    for _ in range(2):
        await name_of(reader, acme, campaign.id)
        await reader.read(acme, lambda work: work.campaigns.page())
        await new.brand(acme)
        await new.campaign(await new.tenant(f"t{uuid4().hex[:6]}"))
        await reader.catch_up(acme)
    assert (reader.asked["campaigns.find"], reader.asked["campaigns.page"]) == (1, 1)


async def test_an_id_in_another_form_is_not_kept_beyond_a_change(
    reader: Process, database: Database, acme: NewTenant, campaign: Campaign
) -> None:
    forms = [campaign.id, str(campaign.id), campaign.id.hex.upper()]
    for name in ("Autumn", "Winter"):
        await rename(database, acme, campaign.id, name)
        await reader.catch_up(acme)
        assert [await name_of(reader, acme, form) for form in forms] == [name] * len(forms)


async def test_the_commit_that_a_caller_names_is_in_the_answer(
    reader: Process, database: Database, acme: NewTenant, campaign: Campaign
) -> None:
    await reader.catch_up(acme)
    for n in range(20):
        await name_of(reader, acme, campaign.id)
        number = await rename(database, acme, campaign.id, f"Name {n}")
        assert await name_of(reader, acme, campaign.id, at_least=number) == f"Name {n}"


async def test_a_tenant_that_is_not_there_has_no_entries(reader: Process) -> None:
    nobody = NewTenant(id=uuid4(), domain="", owner=None, password_hash="")
    for _ in range(2):
        assert await reader.read(nobody, lambda work: work.campaigns.page()) == []
    assert reader.asked["campaigns.page"] == 2
    await until(lambda: reader.cache.watermarks.known(nobody.id) is None)


async def test_work_that_needed_no_connection_calls_back_too(reader: Process, acme: NewTenant) -> None:
    called: list[str] = []

    async def note(_: Work) -> None:
        called.append("done")

    async with Work(reader.database, acme.id, read_only=True) as work:
        work.on_commit(note)
    with pytest.raises(Undo):
        async with Work(reader.database, acme.id, read_only=True) as work:
            work.on_commit(note)
            raise Undo
    assert called == ["done"]
