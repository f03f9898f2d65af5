"""PATCH is a merge patch (RFC 7396): absent keeps, null clears, nothing is guessed."""

from __future__ import annotations

from typing import Any

import httpx

from arranging.accounts import NewTenant
from arranging.application import Api, problem, version_of, wrong_fields
from arranging.drafts import KINDS, PATCHES, path_of
from arranging.factories import Factory

ANY = {"If-Match": "*"}
CAMPAIGN: dict[str, Any] = {
    "name": "Summer", "description": "All of it", "status": "active", "budget_minor": 5, "currency": "EUR",
    "starts_on": "2026-06-01", "ends_on": "2026-06-30",
}  # fmt: skip


async def full_campaign(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.post("/v1/campaigns", json=CAMPAIGN)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def test_what_is_absent_keeps_its_value(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    created = await full_campaign(client)
    for name, value in {"name": "Winter", "budget_minor": 0, "ends_on": "2026-07-01", "status": "paused"}.items():
        changed = (await client.patch(f"/v1/campaigns/{created['id']}", json={name: value}, headers=ANY)).json()
        created |= {name: value, "version": created["version"] + 1, "updated_at": changed["updated_at"]}
        assert changed == created


async def test_null_clears_what_may_be_empty(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    campaign = f"/v1/campaigns/{(await full_campaign(client))['id']}"
    content = (await client.post(f"{campaign}/contents", json={"kind": "post", "title": "A", "body": "B"})).json()["id"]
    brand, influencer = (
        await new.brand(acme, poc_name="A", gst_document="B"),
        await new.influencer(acme, gender="other"),
    )
    for path, names in (
        (campaign, ("description", "starts_on", "ends_on")),
        (f"{campaign}/contents/{content}", ("body",)),
        (f"/v1/brands/{brand.id}", ("poc_name", "gst_document", "bio")),
        (f"/v1/influencers/{influencer.id}", ("gender", "bio")),
    ):
        before = (await client.get(path)).json()
        changed = (await client.patch(path, json=dict.fromkeys(names), headers=ANY)).json()
        assert changed == {**before, **dict.fromkeys(names), "version": 2, "updated_at": changed["updated_at"]}


async def test_null_is_refused_for_what_must_have_a_value(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    required = {
        "tenant": ["name", "features", "configuration"],
        "users": ["email", "display_name", "role", "is_active"],
        "brands": ["brand_name", "username", "email", "phone", "is_active", "niche_ids"],
        "influencers": ["name", "username", "email", "phone", "is_active", "niche_ids"],
        "campaigns": ["name", "status", "owner_id", "budget_minor", "currency"],
        "contents": ["kind", "title", "status"],
    }
    for kind, names in required.items():
        path = await path_of(kind, new, acme)
        for name in names:
            assert wrong_fields(await client.patch(path, json={name: None}, headers=ANY)) == [name]
        assert wrong_fields(await client.patch(path, json=dict.fromkeys(names), headers=ANY)) == names
        assert (await client.get(path)).json()["version"] == 1


async def test_a_field_that_is_unknown_or_not_the_callers_to_set_is_refused(
    api: Api, new: Factory, acme: NewTenant
) -> None:
    client = await api.client(acme)
    foreign = {
        "tenant": ["domain", "plan", "status"],
        "users": ["password", "password_hash"],
        "brands": ["is_phone_verified", "is_profile_completed", "niches", "email_index"],
        "influencers": ["is_phone_verified", "niches", "search_name"],
        "campaigns": ["search_name"],
        "contents": ["published_at", "campaign_id"],
    }
    for kind, names in foreign.items():
        path = await path_of(kind, new, acme)
        for name in [*names, "id", "tenant_id", "version", "created_at", "deleted_at", "unheard_of"]:
            assert wrong_fields(await client.patch(path, json={**PATCHES[kind], name: "x"}, headers=ANY)) == [name]
        assert (await client.get(path)).json()["version"] == 1


async def test_a_patch_that_says_nothing_new_keeps_the_version(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    for kind in KINDS:
        path = await path_of(kind, new, acme)
        before = (await client.get(path)).json()
        same = {name: before[name] for name in PATCHES[kind]}
        for patch in ({}, same):
            changed = await client.patch(path, json=patch, headers=ANY)
            assert changed.json() == before
            assert version_of(changed) == 1
        problem(await client.patch(path, json={}, headers={"If-Match": '"2"'}), 412, "stale_version")


async def test_a_patch_is_applied_as_a_whole_or_not_at_all(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    created = await full_campaign(client)
    path = f"/v1/campaigns/{created['id']}"
    assert wrong_fields(await client.patch(path, json={"name": "Other", "budget_minor": -1}, headers=ANY)) == [
        "budget_minor"
    ]
    assert wrong_fields(await client.patch(path, json={"name": "Other", "ends_on": "2025-01-01"}, headers=ANY)) == [
        "ends_on"
    ]
    assert (await client.get(path)).json() == created


async def test_a_merge_patch_may_be_declared_as_one(api: Api, new: Factory, acme: NewTenant) -> None:
    client, path = await api.client(acme), await path_of("campaigns", new, acme)
    headers = {**ANY, "Content-Type": "application/merge-patch+json; charset=utf-8"}
    assert (await client.patch(path, content=b'{"name": "Other"}', headers=headers)).json()["name"] == "Other"
