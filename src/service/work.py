"""The class Work: a transaction whose attributes are the repositories of this service."""

from __future__ import annotations

from service.engine import EngineWork
from service.repos.brands import Brands
from service.repos.campaign_influencers import CampaignInfluencers
from service.repos.campaigns import Campaigns
from service.repos.contents import Contents
from service.repos.influencers import Influencers
from service.repos.niches import Niches
from service.statements.repository import Attached


class Work(EngineWork):
    """One transaction: `async with Work(database, tenant) as work: campaign = await work.campaigns.find(id)`."""

    influencers = Attached(Influencers)
    brands = Attached(Brands)
    campaign_influencers = Attached(CampaignInfluencers)
    campaigns = Attached(Campaigns)
    contents = Attached(Contents)
    niches = Attached(Niches)
