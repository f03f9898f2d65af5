"""Handlers of /v1/campaigns/{campaign_id}/influencers: the influencers on a campaign, and the agreements with them."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationInfo, field_validator

from service.api.call import Call
from service.api.fields import Currency, MinorUnits
from service.errors import NotFound
from service.http import answers
from service.http.answers import Entity, Nothing, Page
from service.http.inputs import Body, Parsed, example
from service.http.numbered_pages import numbered_page
from service.http.pages import PageQuery
from service.repos.campaign_influencers import CampaignInfluencer, Status
from service.work import Work

_INFLUENCERS = TypeAdapter(list[CampaignInfluencer])


class CampaignInfluencerQuery(PageQuery):
    """The query parameters of the list of influencers on a campaign. With `status`, only those with this status are listed."""

    status: Status | None = None


class Agreement(Body):
    """The agreement with an influencer about a campaign. A fee without a currency is in the campaign's currency."""

    model_config = example(status="invited", fee_minor=75_000)

    status: Status = "invited"
    fee_minor: MinorUnits | None = None
    currency: Currency | None = None

    @field_validator("currency")
    @classmethod
    def _belongs_to_a_fee(cls, currency: str | None, info: ValidationInfo) -> str | None:
        if currency is not None and info.data.get("fee_minor", 0) is None:
            raise ValueError("a currency belongs to a fee")
        return currency


async def page(call: Call, query: Parsed[CampaignInfluencerQuery]) -> Page[CampaignInfluencer]:
    """List the influencers on a campaign, newest first."""

    async def operation(work: Work) -> list[CampaignInfluencer]:
        campaign_id = call.id("campaign_id")
        rows = [] if query.error else await work.campaign_influencers.page(campaign_id, **query.get().arguments())
        if not rows and not await work.campaigns.exists(campaign_id):
            raise NotFound("There is no such campaign.")
        query.get()
        return rows

    return await numbered_page(call, query, _INFLUENCERS, operation)


async def put(call: Call, body: Parsed[Agreement]) -> Entity[CampaignInfluencer]:
    """Add an influencer to a campaign, or replace the agreement with an influencer who is already on the campaign."""

    async def operation(work: Work) -> Entity[CampaignInfluencer]:
        campaign_id, influencer_id = call.id("campaign_id"), call.id("influencer_id")
        if body.error and not (
            await work.campaigns.exists(campaign_id) and await work.influencers.exists(influencer_id)
        ):
            raise NotFound("There is no such campaign or influencer.")
        placed = await work.campaign_influencers.put(campaign_id, influencer_id, **dict(body.get()))
        if placed is None:
            raise NotFound("There is no such campaign or influencer.")
        return answers.entity(CampaignInfluencer, placed)

    return await call.write(operation)


async def remove(call: Call) -> Nothing:
    """Remove an influencer from a campaign."""

    async def operation(work: Work) -> Nothing:
        if not await work.campaign_influencers.remove(call.id("campaign_id"), call.id("influencer_id")):
            raise NotFound("There is no such influencer on this campaign.")
        return answers.nothing()

    return await call.write(operation)
