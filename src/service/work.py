"""Work: a transaction with this service's repositories on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, Unpack

from service.database.database import Database
from service.engine import EngineWork
from service.repos.brands import Brands
from service.repos.campaign_influencers import CampaignInfluencers
from service.repos.campaigns import Campaigns
from service.repos.contents import Contents
from service.repos.influencers import Influencers
from service.repos.niches import Niches
from service.statements.repository import Attached
from service.tenancy import transaction
from service.tenancy.identity import TenantId
from service.tenancy.transaction import Options

T = TypeVar("T")


class Work(EngineWork):
    """One transaction: `async with Work(database, tenant) as work: campaign = await work.campaigns.find(id)`."""

    influencers = Attached(Influencers)
    brands = Attached(Brands)
    campaign_influencers = Attached(CampaignInfluencers)
    campaigns = Attached(Campaigns)
    contents = Attached(Contents)
    niches = Attached(Niches)


async def run(
    database: Database,
    operation: Callable[[Work], Awaitable[T]],
    tenant: TenantId | None,
    *,
    attempts: int = 3,
    deadline: float = 30.0,
    **options: Unpack[Options],
) -> T:
    """Run `operation` in one transaction and repeat it after a failure that left nothing behind (transaction.run)."""
    return await transaction.run(Work, database, operation, tenant, attempts=attempts, deadline=deadline, **options)
