"""A row of every kind that has a version, for the tests of what holds for all of them."""

from __future__ import annotations

import itertools
from typing import Any
from uuid import uuid4

from arranging.accounts import NewTenant
from arranging.factories import Factory

KINDS = ("tenant", "users", "brands", "influencers", "campaigns", "contents")
DELETABLE = ("users", "brands", "influencers", "campaigns", "contents")
RESTORABLE = ("brands", "influencers", "campaigns", "contents")
LISTS = ("users", "brands", "influencers", "campaigns", "contents")

PATCHES: dict[str, dict[str, Any]] = {
    "tenant": {"name": "Renamed"},
    "users": {"display_name": "Renamed"},
    "brands": {"brand_name": "Renamed"},
    "influencers": {"name": "Renamed"},
    "campaigns": {"name": "Renamed"},
    "contents": {"title": "Renamed"},
}
_PHONES = itertools.count(14155550100)


def draft_of(kind: str) -> dict[str, Any]:
    """The body of a POST that makes one of this kind, unlike any before."""
    salt = uuid4().hex[:12]
    profile = {"username": f"new.{salt}", "email": f"{salt}@example.com", "phone": f"+{next(_PHONES)}"}
    return {
        "users": {"email": f"{salt}@acme.example", "display_name": "New", "password": "a new password"},
        "brands": {"brand_name": "New", **profile},
        "influencers": {"name": "New", **profile},
        "campaigns": {"name": "New"},
        "contents": {"kind": "post", "title": "New"},
        "keys": {"name": "New"},
        "otps": {"phone": profile["phone"]},
    }[kind]


async def path_of(kind: str, new: Factory, tenant: NewTenant) -> str:
    """The address of a row of this kind, a new one where there can be several."""
    if kind == "tenant":
        return "/v1/tenant"
    if kind == "users":
        return f"/v1/users/{(await new.user(tenant.id, email=f'{uuid4().hex}@{tenant.domain}')).id}"
    if kind == "brands":
        return f"/v1/brands/{(await new.brand(tenant)).id}"
    if kind == "influencers":
        return f"/v1/influencers/{(await new.influencer(tenant)).id}"
    campaign = await new.campaign(tenant)
    if kind == "campaigns":
        return f"/v1/campaigns/{campaign.id}"
    return f"/v1/campaigns/{campaign.id}/contents/{(await new.content(tenant, campaign)).id}"


async def list_of(kind: str, new: Factory, tenant: NewTenant) -> str:
    """The address of a list of this kind."""
    return (await path_of(kind, new, tenant)).rpartition("/")[0]
