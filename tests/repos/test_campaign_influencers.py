"""Influencers on campaigns: the statements through the repository, as the serving role."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import InvalidInput
from service.statements.outcomes import check_removed
from service.work import Work


async def test_putting_an_influencer_on_a_campaign_twice_changes_what_was_agreed(
    database: Database, new: Factory
) -> None:
    acme = await new.tenant("acme")
    campaign, influencer = await new.campaign(acme, currency="EUR"), await new.influencer(acme)
    seen = []
    for values in (
        {},
        {"status": "accepted", "fee_minor": 500},
        {"status": "accepted", "fee_minor": 500},
        {"status": "accepted", "fee_minor": 500, "currency": "INR"},
        {"currency": "INR"},
    ):
        async with Work(database, acme.id) as work:
            row = await work.campaign_influencers.put(campaign.id, influencer.id, **values)
            assert row is not None
            assert await work.campaign_influencers.page(campaign.id) == [row]
        assert (row.influencer_name, row.influencer_username) == (influencer.name, influencer.username)
        seen.append((row.status, row.fee_minor, row.currency, row.version))
    assert seen == [
        ("invited", None, None, 1), ("accepted", 500, "EUR", 2), ("accepted", 500, "EUR", 2),
        ("accepted", 500, "INR", 3), ("invited", None, None, 4),
    ]  # fmt: skip


async def test_both_have_to_be_live_and_of_this_tenant(database: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    campaign, influencer = await new.campaign(acme), await new.influencer(acme)
    gone, away = await new.campaign(acme), await new.influencer(acme)
    theirs, stranger = await new.campaign(globex), await new.influencer(globex)
    async with Work(database, acme.id) as work:
        check_removed(await work.campaigns.remove(gone.id))
        check_removed(await work.influencers.remove(away.id))
        on = work.campaign_influencers
        for campaign_id in (gone.id, theirs.id, uuid4()):
            assert await on.put(campaign_id, influencer.id) is None
        for influencer_id in (away.id, stranger.id, uuid4()):
            assert await on.put(campaign.id, influencer_id) is None
        assert await on.put(campaign.id, influencer.id) is not None
    async with Work(database, globex.id) as work:
        assert await work.campaign_influencers.put(campaign.id, influencer.id, status="removed") is None
        assert await work.campaign_influencers.page(campaign.id) == []
        assert await work.campaign_influencers.remove(campaign.id, influencer.id) == 0


async def test_pages_are_newest_first_and_of_one_status(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    campaign, other = await new.campaign(acme), await new.campaign(acme)
    made = []
    for status in ("invited", "accepted", "invited"):
        influencer = await new.influencer(acme)
        async with Work(database, acme.id) as work:
            made.append(await work.campaign_influencers.put(campaign.id, influencer.id, status=status))  # type: ignore[arg-type]
            await work.campaign_influencers.put(other.id, influencer.id)
    async with Work(database, acme.id) as work:
        page = work.campaign_influencers.page
        first = await page(campaign.id, limit=2)
        rest = await page(campaign.id, after_created_at=first[-1].created_at, after_id=first[-1].id)
        assert first + rest == made[::-1]
        assert await page(campaign.id, status="accepted") == [made[1]]
        assert await page(campaign.id, status="removed") == []


async def test_what_is_deleted_is_on_no_page_and_comes_back(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    campaign, influencer = await new.campaign(acme), await new.influencer(acme)
    async with Work(database, acme.id) as work:
        on = work.campaign_influencers
        row = await on.put(campaign.id, influencer.id, status="declined")
        check_removed(await work.influencers.remove(influencer.id))
        assert await on.page(campaign.id) == []
        await work.influencers.restore(influencer.id)
        check_removed(await work.campaigns.remove(campaign.id))
        assert await on.page(campaign.id) == []
        assert await on.remove(campaign.id, influencer.id) == 0
        await work.campaigns.restore(campaign.id)
        assert await on.page(campaign.id) == [row]
        assert [await on.remove(campaign.id, influencer.id) for _ in range(2)] == [1, 0]
        assert await on.page(campaign.id) == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"status": "text"}, "status"),
        ({"fee_minor": -1}, "fee_minor"),
        ({"fee_minor": 2**53}, "fee_minor"),
        ({"fee_minor": 1, "currency": "usd"}, "currency"),
    ],
)
async def test_the_database_itself_refuses_what_can_not_be_agreed(
    database: Database, new: Factory, wrong: dict[str, Any], field: str
) -> None:
    acme = await new.tenant("acme")
    campaign, influencer = await new.campaign(acme), await new.influencer(acme)
    with pytest.raises(InvalidInput) as refused:
        async with Work(database, acme.id) as work:
            await work.campaign_influencers.put(campaign.id, influencer.id, **wrong)
    assert [error.field for error in refused.value.errors] == [field]


@pytest.mark.parametrize("what", ["campaigns", "influencers"])
async def test_nobody_slips_onto_a_campaign_while_either_is_being_deleted(
    database: Database, new: Factory, what: str
) -> None:
    acme = await new.tenant("acme")
    ids = {"campaigns": (await new.campaign(acme)).id, "influencers": (await new.influencer(acme)).id}
    async with Work(database, acme.id) as work:
        check_removed(await getattr(work, what).remove(ids[what]))
        late = asyncio.ensure_future(
            Work.run(database, lambda other: other.campaign_influencers.put(*ids.values()), acme.id)
        )
        while not await work.connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)", ()):
            assert not late.done()
    assert await late is None
