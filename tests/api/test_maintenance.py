"""Maintenance as clients see it: writes are refused with `read_only`, reading and streams go on."""

from __future__ import annotations

from arranging.accounts import NewTenant
from arranging.application import Api, problem
from arranging.drafts import path_of
from arranging.factories import Factory
from service.database.database import Database
from service.work import Work


async def test_writes_are_refused_and_may_be_repeated_later(
    api: Api, new: Factory, acme: NewTenant, platform: Database
) -> None:
    client, path = await api.client(acme), await path_of("campaigns", new, acme)
    async with Work(platform, None) as work:
        await work.installation.set_read_only(True)
    changed = await client.patch(path, json={"name": "Autumn"}, headers={"If-Match": "*"})
    assert "retry-after" in changed.headers
    problem(changed, 503, "read_only")
    problem(
        await client.post("/v1/campaigns", json={"name": "Autumn"}, headers={"Idempotency-Key": "a"}), 503, "read_only"
    )
    problem(await client.post("/v1/otps", json={"phone": "+14155550100"}), 503, "read_only")
    async with Work(platform, None) as work:
        await work.installation.set_read_only(False)
    again = await client.post("/v1/campaigns", json={"name": "Autumn"}, headers={"Idempotency-Key": "a"})
    assert again.status_code == 201


async def test_reading_goes_on(api: Api, new: Factory, acme: NewTenant, platform: Database) -> None:
    client, path = await api.client(acme), await path_of("campaigns", new, acme)
    async with Work(platform, None) as work:
        await work.installation.set_read_only(True)
    for each in (path, "/v1/campaigns", "/v1/changes", "/v1/audit", "/v1/tenant"):
        assert (await client.get(each)).status_code == 200
