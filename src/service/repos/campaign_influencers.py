"""Influencers on campaigns. For each influencer on a campaign, a row has the status (such as `invited`) and the fee."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from service.statements.cached import Cached
from service.statements.repository import Repository, query
from service.statements.rows import Row

Status = Literal["invited", "accepted", "declined", "removed"]


class CampaignInfluencer(Row):
    """An influencer on a campaign. Neither the influencer nor the campaign is deleted.

    The fee is in minor units of `currency`, such as cents.
    """

    id: UUID
    campaign_id: UUID
    influencer_id: UUID
    influencer_name: str
    influencer_username: str
    status: Status
    fee_minor: int | None
    currency: str | None
    created_at: datetime
    updated_at: datetime
    version: int


class CampaignInfluencers(Repository, aggregate="campaign_influencers", noun="influencer on this campaign"):
    """Statements about influencers on campaigns of the tenant that the transaction is bound to."""

    @query(cached=Cached())
    async def page(
        self,
        campaign_id: UUID,
        *,
        status: Status | None = None,
        after_created_at: datetime | None = None,
        after_id: UUID | None = None,
        limit: int = 50,
    ) -> list[CampaignInfluencer]: ...

    @query
    async def put(
        self,
        campaign_id: UUID,
        influencer_id: UUID,
        *,
        status: Status = "invited",
        fee_minor: int | None = None,
        currency: str | None = None,
    ) -> CampaignInfluencer | None: ...

    @query
    async def remove(self, campaign_id: UUID, influencer_id: UUID) -> int: ...
