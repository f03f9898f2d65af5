"""/v1/niches: the same for every tenant, and read only."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

from arranging.accounts import NewTenant
from arranging.application import Api, problem, version_of, wrong_fields

AddNiche = Callable[..., UUID]


async def test_every_tenant_reads_the_same_niches(
    api: Api, acme: NewTenant, globex: NewTenant, add_niche: AddNiche
) -> None:
    ids = [str(add_niche(name)) for name in ("Fashion", "Travel")]
    answers = [await (await api.client(tenant)).get("/v1/niches") for tenant in (acme, globex)]
    assert answers[0].json() == answers[1].json()
    assert [item["id"] for item in answers[0].json()["items"]] == ids[::-1]
    found = await (await api.client(acme)).get(f"/v1/niches/{ids[0]}")
    assert (found.json(), version_of(found)) == (answers[0].json()["items"][1], 1)
    assert set(found.json()) == {
        "id", "name", "icon", "description", "is_active", "created_at", "updated_at", "version",
    }  # fmt: skip


async def test_the_list_is_filtered(api: Api, acme: NewTenant, add_niche: AddNiche) -> None:
    client = await api.client(acme)
    add_niche("Fashion")
    add_niche("Fax", is_active=False)
    for value, names in (("true", ["Fashion"]), ("false", ["Fax"])):
        items = (await client.get("/v1/niches", params={"is_active": value})).json()["items"]
        assert [item["name"] for item in items] == names
    for name in ("is_active", "name"):
        assert wrong_fields(await client.get("/v1/niches", params={name: "x"})) == [name]


async def test_nobody_writes_them(api: Api, acme: NewTenant, add_niche: AddNiche) -> None:
    client, path = await api.client(acme), f"/v1/niches/{add_niche('Fashion')}"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for target in (path, "/v1/niches"):
            answer = await client.request(method, target, json={"name": "Other"}, headers={"If-Match": "*"})
            problem(answer, 405, "method_not_allowed")
            assert answer.headers["allow"] == "GET, HEAD"
    problem(await client.get(f"/v1/niches/{uuid4()}"), 404, "not_found")
