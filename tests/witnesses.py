"""Rows that would give themselves away: a tenant with a row of every kind, each with a marker that stands nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from factories import Factory, NewTenant
from service.database import Database
from service.work import Work


@dataclass(frozen=True)
class Planted:
    """The ids of the rows, the markers in plain columns, and those in personal data."""

    ids: list[str]
    brand: str
    markers: list[str]
    personal: list[str]


async def plant(new: Factory, tenant: NewTenant) -> Planted:
    """A user, brand, influencer, campaign and content of the tenant."""
    plain = [f"witness{uuid4().hex[:16]}" for _ in range(5)]
    personal = [f"secret{uuid4().hex[:16]}" for _ in range(8)]
    phones = [f"+49{uuid4().int % 10**11:011}" for _ in range(3)]
    user = await new.user(tenant.id, email=f"{personal[0]}@example.com", display_name=plain[0])
    brand = await new.brand(
        tenant, brand_name=plain[1], email=f"{personal[1]}@example.com", phone=phones[0],
        brand_email=f"{personal[2]}@example.com", poc_email=f"{personal[3]}@example.com", poc_contact_number=phones[2],
        incorporation_document=personal[4], gst_document=personal[5], pan_document=personal[6],
    )  # fmt: skip
    influencer = await new.influencer(
        tenant, name=plain[2], email=f"{personal[7]}@example.com", phone=phones[1], bio=plain[3]
    )
    campaign = await new.campaign(tenant, plain[4], brand_id=brand.id)
    content = await new.content(tenant, campaign, title=plain[4])
    async with Work(new.database, tenant.id) as work:
        await work.campaign_influencers.put(campaign.id, influencer.id)
    rows: tuple[Any, ...] = (user, brand, influencer, campaign, content, tenant.owner)
    return Planted([str(row.id) for row in rows], str(brand.id), [*plain, *personal, *phones], [*personal, *phones])


_TABLES = (
    "users", "brands", "brand_niches", "influencers", "influencer_niches", "campaigns", "contents", "campaign_influencers",
    "api_keys", "sessions", "otps", "idempotency_keys", "sign_in_failures",
)  # fmt: skip


async def everything(database: Database, tenant: NewTenant) -> list[Any]:
    """All rows of a tenant, and the number of its last commit."""
    async with Work(database, tenant.id) as work:
        rows = [await work.connection.fetch(f"SELECT * FROM {name} ORDER BY id", ()) for name in _TABLES]
        return [*rows, await work.log.head()]
