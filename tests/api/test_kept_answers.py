"""Who may keep an answer: a browser asks with what it holds of an address, whoever is signed in by now."""

from __future__ import annotations

import pytest

from arranging.accounts import NewTenant
from arranging.application import Api, problem


async def test_rows_of_two_tenants_have_different_etags_at_the_same_address(
    api: Api, acme: NewTenant, globex: NewTenant
) -> None:
    held = (await (await api.client(acme)).get("/v1/tenant")).headers["etag"]
    other = await (await api.client(globex)).get("/v1/tenant", headers={"If-None-Match": held})
    assert (other.status_code, other.json()["domain"]) == (200, "globex.example")
    assert other.headers["etag"] != held


@pytest.mark.parametrize("tag", ["acme's", '"1.0123456789abcdef"'])
async def test_change_meant_for_another_tenant_s_row_is_refused(
    api: Api, acme: NewTenant, globex: NewTenant, tag: str
) -> None:
    held = (await (await api.client(acme)).get("/v1/tenant")).headers["etag"] if tag == "acme's" else tag
    client = await api.client(globex)
    problem(await client.patch("/v1/tenant", json={"name": "X"}, headers={"If-Match": held}), 412, "stale_version")
    own = (await client.get("/v1/tenant")).headers["etag"]
    assert (await client.patch("/v1/tenant", json={"name": "X"}, headers={"If-Match": own})).status_code == 200


async def test_answers_to_callers_are_kept_by_their_browser_alone_and_asked_for_again(
    api: Api, acme: NewTenant
) -> None:
    client = await api.client(acme)
    refused = await (await api.client()).get("/v1/campaigns")
    page = await client.get("/v1/campaigns")
    unchanged = await client.get("/v1/campaigns", headers={"If-None-Match": page.headers["etag"]})
    missing = await client.get("/v1/campaigns/nothing")
    assert [each.status_code for each in (refused, page, unchanged, missing)] == [401, 200, 304, 404]
    for answer in (refused, page, unchanged, missing):
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["vary"] == "Authorization"


async def test_answers_that_show_a_credential_are_kept_by_nobody(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    body = {"tenant": "acme.example", "email": "owner@acme.example", "password": "wrong"}
    for answer in (
        await client.post("/v1/sessions", json=body),
        await client.post("/v1/keys", json={"name": "Import"}),
        await client.post("/v1/changes/tickets"),
        await client.post("/v1/otps", json={"phone": "+14155550100"}),
        await client.get("/healthz"),
    ):
        assert answer.headers["cache-control"] == "no-store"
