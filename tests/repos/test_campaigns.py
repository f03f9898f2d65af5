"""Campaigns: the statements through the repository, as the serving role."""

from __future__ import annotations

from datetime import date
from uuid import uuid4

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import InvalidInput, MissingReference, NotFound
from service.statements.outcomes import changed_row, check_removed
from service.work import Work


async def test_a_campaign_is_found_as_it_was_created(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    created = await new.campaign(acme, "Summer", budget_minor=5_000, starts_on=date(2026, 6, 1))
    async with Work(database, acme.id) as work:
        found = await work.campaigns.find(created.id)
    assert found == created
    assert (found.status, found.currency, found.version) == ("draft", "USD", 1)


async def test_another_tenants_campaign_is_not_found(database: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    campaign = await new.campaign(acme)
    async with Work(database, globex.id) as work:
        with pytest.raises(NotFound):
            await work.campaigns.find(campaign.id)
        assert not await work.campaigns.exists(campaign.id)
        assert await work.campaigns.find_many([campaign.id]) == []
        assert await work.campaigns.page() == []


async def test_a_campaign_needs_a_live_owner_of_its_own_tenant(database: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    for owner_id in (globex.owner.id, uuid4()):
        with pytest.raises(MissingReference) as refused:
            await new.campaign(acme, owner_id=owner_id)
        assert refused.value.errors[0].field == "owner_id"


async def test_a_campaign_does_not_end_before_it_starts(new: Factory) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(InvalidInput) as refused:
        await new.campaign(acme, starts_on=date(2026, 6, 2), ends_on=date(2026, 6, 1))
    assert refused.value.errors[0].field == "ends_on"


async def test_a_change_answers_the_row_and_whether_its_version_was_the_expected_one(
    database: Database, new: Factory
) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme, description="Old", budget_minor=7)
    async with Work(database, acme.id) as work:
        update = work.campaigns.update
        changed = changed_row(
            await update(campaign.id, version=1, given=["name", "description"], name="New", budget_minor=9)
        )
        assert (changed.name, changed.description, changed.budget_minor, changed.version) == ("New", None, 7, 2)
        stale = await update(campaign.id, version=1, given=["name"], name="Third")
        assert stale is not None
        assert (stale.applied, stale.name, stale.version) == (False, "New", 2)
        assert changed_row(await update(campaign.id, given=["name"], name="New")).version == 2
        assert await update(uuid4(), version=1, given=[]) is None


async def test_many_are_found_in_id_order_and_counted(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    made = [await new.campaign(acme, status=status) for status in ("draft", "active", "active")]
    async with Work(database, acme.id) as work:
        check_removed(await work.campaigns.remove(made[0].id))
        found = await work.campaigns.find_many([*(campaign.id for campaign in made), uuid4(), made[1].id])
        assert [campaign.id for campaign in found] == sorted(campaign.id for campaign in made[1:])
        assert await work.campaigns.find_many([]) == []
        assert (await work.campaigns.count(), await work.campaigns.count(status="draft")) == (2, 0)


async def test_a_campaign_shows_its_live_contents_newest_first(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme)
    contents = [await new.content(acme, campaign, title=title) for title in ("a", "b", "c")]
    async with Work(database, acme.id) as work:
        check_removed(await work.contents.remove(campaign.id, contents[1].id))
        found = await work.campaigns.find_with_contents(campaign.id)
        assert [content.title for content in found.contents] == ["c", "a"]
        assert found.contents[0].id == contents[2].id
        assert (await work.campaigns.find_with_contents((await new.campaign(acme)).id)).contents == []


async def test_an_erased_campaign_takes_its_contents_along(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme)
    await new.content(acme, campaign)
    async with Work(database, acme.id) as work:
        assert await work.campaigns.erase(campaign.id) == 1
        assert await work.campaigns.erase(campaign.id) == 0
        assert await work.connection.fetchval("SELECT count(*) FROM contents", ()) == 0
        with pytest.raises(NotFound):
            await work.campaigns.restore(campaign.id)


async def test_a_campaign_does_not_come_back_to_an_owner_or_brand_that_is_deleted(
    database: Database, new: Factory
) -> None:
    acme = await new.tenant("acme")
    owner, brand = await new.user(acme.id), await new.brand(acme)
    async with Work(database, acme.id) as work:
        for campaign, repository, row in (
            (await new.campaign(acme, owner_id=owner.id), work.users, owner),
            (await new.campaign(acme, brand_id=brand.id), work.brands, brand),
        ):
            check_removed(await work.campaigns.remove(campaign.id))
            check_removed(await repository.remove(row.id))
            with pytest.raises(MissingReference) as refused:
                async with work.savepoint("restore"):
                    await work.campaigns.restore(campaign.id)
            assert [error.field for error in refused.value.errors] == ["owner_id" if row == owner else "brand_id"]
        await work.brands.restore(brand.id)
        assert (await work.campaigns.restore(campaign.id)).id == campaign.id
