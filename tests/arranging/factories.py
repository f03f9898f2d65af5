"""Rows of creator marketing for tests, made through the repositories."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from arranging.accounts import Accounts, NewTenant
from service.repos.brands import Brand
from service.repos.campaigns import Campaign
from service.repos.contents import Content
from service.repos.influencers import Influencer
from service.work import Work


class Factory(Accounts):
    """Makes rows with sensible values; whatever matters to a test is given."""

    async def campaign(self, tenant: NewTenant, name: str = "Summer", **values: Any) -> Campaign:
        async with Work(self.database, tenant.id) as work:
            return await work.campaigns.create(**{"name": name, "owner_id": tenant.owner.id, **values})

    async def brand(self, tenant: NewTenant, **values: Any) -> Brand:
        n = next(self._numbers)
        given = {"brand_name": f"Brand {n}", "username": f"brand{n}", **_reachable(f"brand{n}", n), **values}
        async with Work(self.database, tenant.id) as work:
            return await work.brands.create(**{"id": uuid4(), **given})

    async def influencer(self, tenant: NewTenant, **values: Any) -> Influencer:
        n = next(self._numbers)
        given = {"name": f"Influencer {n}", "username": f"influencer{n}", **_reachable(f"influencer{n}", n), **values}
        async with Work(self.database, tenant.id) as work:
            return await work.influencers.create(**{"id": uuid4(), **given})

    async def content(self, tenant: NewTenant, campaign: Campaign, **values: Any) -> Content:
        given = {"kind": "reel", "title": "A reel", **values}
        async with Work(self.database, tenant.id) as work:
            return await work.contents.create(campaign.id, **given)


def _reachable(name: str, n: int) -> dict[str, str]:
    """An address and a number that nobody else has."""
    return {"email": f"{name}@example.com", "phone": f"+1415555{n:04}"}
