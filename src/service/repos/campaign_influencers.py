"""Influencers on campaigns: whether each was invited, has accepted, has declined or was removed, and the fee."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from service.statements.cached import Cached
from service.statements.repository import Repository, query
from service.statements.rows import Row

Status = Literal["invited", "accepted", "declined", "removed"]


class CampaignInfluencer(Row):
    """An influencer on a campaign; neither is deleted. The fee is in minor units of `currency`, such as cents."""

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
    """The influencers on the tenant's campaigns."""

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
