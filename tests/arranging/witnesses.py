"""Rows that would give themselves away: a tenant with a row of every kind, each with a marker that stands nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.database.database import Database
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


_TABLES = """
SELECT c.relname::text AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
  FROM pg_class AS c
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND has_column_privilege(c.oid, a.attnum, 'SELECT')
 WHERE c.relnamespace = 'quarry'::regnamespace AND c.relrowsecurity
 GROUP BY c.relname
 ORDER BY c.relname
"""


async def everything(database: Database, tenant: NewTenant) -> list[Any]:
    """All rows of a tenant, of whatever table, as far as the serving role may read them, and its place in the log."""
    async with Work(database, tenant.id) as work:
        tables = await work.connection.fetch(_TABLES, ())
        assert len(tables) > 10
        rows = [
            await work.connection.fetch(f"SELECT {columns} FROM {name} ORDER BY id", ()) for name, columns in tables
        ]
        return [*rows, await work.tenants.current(), await work.log.head()]
