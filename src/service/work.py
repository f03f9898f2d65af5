"""Work: a transaction with this service's repositories on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, Unpack

from service.database.pool import Database
from service.repos.api_keys import ApiKeys
from service.repos.brands import Brands
from service.repos.campaign_influencers import CampaignInfluencers
from service.repos.campaigns import Campaigns
from service.repos.change_tickets import ChangeTickets
from service.repos.contents import Contents
from service.repos.cursors import Cursors
from service.repos.idempotency_keys import IdempotencyKeys
from service.repos.influencers import Influencers
from service.repos.log import Log
from service.repos.niches import Niches
from service.repos.otps import Otps
from service.repos.server import Server
from service.repos.sessions import Sessions
from service.repos.sign_in_failures import SignInFailures
from service.repos.tenants import Tenants
from service.repos.users import Users
from service.statements.repository import Attached
from service.tenancy import transaction
from service.tenancy.identity import TenantId
from service.tenancy.transaction import Options, Transaction

T = TypeVar("T")


class Work(Transaction):
    """One transaction: `async with Work(database, tenant) as work: campaign = await work.campaigns.find(id)`."""

    api_keys = Attached(ApiKeys)
    brands = Attached(Brands)
    campaign_influencers = Attached(CampaignInfluencers)
    campaigns = Attached(Campaigns)
    change_tickets = Attached(ChangeTickets)
    contents = Attached(Contents)
    cursors = Attached(Cursors)
    idempotency_keys = Attached(IdempotencyKeys)
    influencers = Attached(Influencers)
    log = Attached(Log)
    niches = Attached(Niches)
    otps = Attached(Otps)
    server = Attached(Server)
    sessions = Attached(Sessions)
    sign_in_failures = Attached(SignInFailures)
    tenants = Attached(Tenants)
    users = Attached(Users)


async def run(
    database: Database,
    operation: Callable[[Work], Awaitable[T]],
    tenant: TenantId | None,
    *,
    attempts: int = 3,
    deadline: float = 30.0,
    **options: Unpack[Options],
) -> T:
    """Run `operation` as one piece of work, and repeat it after a failure that left nothing behind (transaction.run)."""
    return await transaction.run(Work, database, operation, tenant, attempts=attempts, deadline=deadline, **options)
