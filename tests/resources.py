"""A row of every kind that has a version, for the tests of what holds for all of them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from factories import Factory, NewTenant

KINDS = ("tenant", "users", "campaigns", "contents")
DELETABLE = ("users", "campaigns", "contents")
LISTS = ("users", "campaigns", "contents")

PATCHES: dict[str, dict[str, Any]] = {
    "tenant": {"name": "Renamed"},
    "users": {"display_name": "Renamed"},
    "campaigns": {"name": "Renamed"},
    "contents": {"title": "Renamed"},
}
DRAFTS: dict[str, dict[str, Any]] = {
    "users": {"email": "new@acme.example", "display_name": "New", "password": "a new password"},
    "campaigns": {"name": "New"},
    "contents": {"kind": "post", "title": "New"},
}


async def path_of(kind: str, new: Factory, tenant: NewTenant) -> str:
    """The address of a row of this kind, a new one where there can be several."""
    if kind == "tenant":
        return "/v1/tenant"
    if kind == "users":
        return f"/v1/users/{(await new.user(tenant.id, email=f'{uuid4().hex}@{tenant.domain}')).id}"
    campaign = await new.campaign(tenant)
    if kind == "campaigns":
        return f"/v1/campaigns/{campaign.id}"
    return f"/v1/campaigns/{campaign.id}/contents/{(await new.content(tenant, campaign)).id}"


async def list_of(kind: str, new: Factory, tenant: NewTenant) -> str:
    """The address of a list of this kind."""
    return (await path_of(kind, new, tenant)).rpartition("/")[0]
