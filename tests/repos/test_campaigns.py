"""Campaigns: the statements through the repository, as the serving role."""

from __future__ import annotations

from datetime import date
from uuid import uuid4

import pytest
from factories import Factory

from service.database import Database
from service.errors import InvalidInput, NotFound, Reference
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
        with pytest.raises(Reference) as refused:
            await new.campaign(acme, owner_id=owner_id)
        assert refused.value.errors[0].field == "owner_id"


async def test_a_campaign_does_not_end_before_it_starts(new: Factory) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(InvalidInput) as refused:
        await new.campaign(acme, starts_on=date(2026, 6, 2), ends_on=date(2026, 6, 1))
    assert refused.value.errors[0].field == "ends_on"
