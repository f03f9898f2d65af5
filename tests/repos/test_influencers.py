"""Influencers: what they do not share with brands (tests/repos/test_profiles.py), and the campaigns that they are on."""

from __future__ import annotations

import asyncio
from datetime import date
from uuid import UUID

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import InUse, InvalidInput
from service.statements.outcomes import changed_row, check_removed
from service.work import Work


async def test_influencers_are_found_by_the_beginning_of_their_name(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    ada = await new.influencer(acme, name="Ada Lovelace", date_of_birth=date(1990, 12, 10), gender="female")
    await new.influencer(acme, name="Mary of Lovelace")
    assert (ada.date_of_birth, ada.gender) == (date(1990, 12, 10), "female")
    async with Work(database, acme.id) as work:
        assert await work.influencers.page(q="ADA L") == [ada]
        assert await work.influencers.page(q="%") == []
        renamed = changed_row(await work.influencers.update(ada.id, given=["name"], name="Grace"))
        assert [row.id for row in await work.influencers.page(q="grace")] == [renamed.id]


async def test_a_gender_is_one_of_those_that_there_are(new: Factory) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(InvalidInput) as refused:
        await new.influencer(acme, gender="text")
    assert [error.field for error in refused.value.errors] == ["gender"]


@pytest.mark.parametrize(
    ("status", "is_in_use"), [("invited", True), ("accepted", True), ("declined", False), ("removed", False)]
)
async def test_an_influencer_is_in_use_while_invited_to_a_live_campaign_or_on_it(
    database: Database, new: Factory, status: str, *, is_in_use: bool
) -> None:
    acme = await new.tenant("acme")
    influencer, campaign = await new.influencer(acme), await new.campaign(acme)
    async with Work(database, acme.id) as work:
        assert await work.campaign_influencers.put(campaign.id, influencer.id, status=status)  # type: ignore[arg-type]

    async def remove(work: Work) -> None:
        check_removed(await work.influencers.remove(influencer.id))

    if is_in_use:
        with pytest.raises(InUse):
            await Work.run(database, remove, acme.id)
        async with Work(database, acme.id) as work:
            check_removed(await work.campaigns.remove(campaign.id))
    await Work.run(database, remove, acme.id)


async def test_an_invitation_and_the_influencers_removal_exclude_each_other(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme)
    for number in range(10):
        influencer = await new.influencer(acme)

        async def invite(work: Work, id: UUID = influencer.id) -> bool:
            return await work.campaign_influencers.put(campaign.id, id) is not None

        async def remove(work: Work, id: UUID = influencer.id) -> bool:
            return await work.influencers.remove(id) is True

        order = (invite, remove) if number % 2 else (remove, invite)
        outcomes = await asyncio.gather(*(Work.run(database, each, acme.id) for each in order), return_exceptions=True)
        assert outcomes.count(True) == 1, outcomes
        (failed,) = [outcome for outcome in outcomes if outcome is not True]
        assert failed is False or isinstance(failed, InUse)
