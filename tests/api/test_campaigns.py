"""/v1/campaigns"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from arranging.accounts import NewTenant
from arranging.application import Api, problem, version_of, wrong_fields
from arranging.factories import Factory
from service.database.database import Database
from service.work import Work

ANY = {"If-Match": "*"}
STATUSES = ("draft", "active", "paused", "completed", "archived")


async def test_a_campaign_is_created_for_its_caller(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    answer = await client.post("/v1/campaigns", json={"name": "  Summer  ", "budget_minor": 100})
    assert answer.status_code == 201
    created = answer.json()
    assert created == {
        "id": created["id"], "name": "Summer", "description": None, "status": "draft", "owner_id": str(acme.owner.id),
        "brand_id": None, "budget_minor": 100, "currency": "USD", "starts_on": None, "ends_on": None,
        "created_at": created["created_at"], "updated_at": created["created_at"], "version": 1,
    }  # fmt: skip
    assert created["created_at"].endswith("Z")
    assert version_of(answer) == 1
    assert answer.headers["location"] == f"/v1/campaigns/{created['id']}"
    assert (await client.get(answer.headers["location"])).json() == created


async def test_a_new_owner_is_a_live_user_of_the_tenant(
    api: Api, new: Factory, acme: NewTenant, globex: NewTenant
) -> None:
    client, other = await api.client(acme), await new.user(acme.id, email="other@acme.example")
    deleted = await new.user(acme.id, email="deleted@acme.example")
    await client.delete(f"/v1/users/{deleted.id}", headers=ANY)
    path = f"/v1/campaigns/{(await new.campaign(acme)).id}"
    for id in (deleted.id, globex.owner.id, uuid4()):
        body = {"name": "Summer", "owner_id": str(id)}
        assert wrong_fields(await client.post("/v1/campaigns", json=body)) == ["owner_id"]
        assert wrong_fields(await client.patch(path, json=body, headers=ANY)) == ["owner_id"]
    body = {"name": "Summer", "owner_id": str(other.id)}
    assert (await client.post("/v1/campaigns", json=body)).json()["owner_id"] == str(other.id)
    assert (await client.patch(path, json=body, headers=ANY)).json()["owner_id"] == str(other.id)


async def test_a_campaign_is_run_for_a_live_brand_of_the_tenant(
    api: Api, new: Factory, acme: NewTenant, globex: NewTenant
) -> None:
    client, brand, gone = await api.client(acme), await new.brand(acme), await new.brand(acme)
    await client.delete(f"/v1/brands/{gone.id}", headers=ANY)
    path = f"/v1/campaigns/{(await new.campaign(acme)).id}"
    for id in (gone.id, (await new.brand(globex)).id, acme.owner.id, uuid4()):
        body = {"name": "Summer", "brand_id": str(id)}
        assert wrong_fields(await client.post("/v1/campaigns", json=body)) == ["brand_id"]
        assert wrong_fields(await client.patch(path, json=body, headers=ANY)) == ["brand_id"]
    for given in (str(brand.id), None):
        assert (await client.patch(path, json={"brand_id": given}, headers=ANY)).json()["brand_id"] == given
    created = await client.post("/v1/campaigns", json={"name": "Summer", "brand_id": str(brand.id)})
    assert created.json()["brand_id"] == str(brand.id)
    listed = (await client.get("/v1/campaigns", params={"brand_id": str(brand.id)})).json()["items"]
    assert listed == [created.json()]


async def test_a_campaign_comes_back_to_a_live_owner_and_brand_only(api: Api, new: Factory, acme: NewTenant) -> None:
    client, owner, brand = await api.client(acme), await new.user(acme.id), await new.brand(acme)
    path = f"/v1/campaigns/{(await new.campaign(acme, owner_id=owner.id, brand_id=brand.id)).id}"
    await client.delete(path, headers=ANY)
    assert (await client.delete(f"/v1/brands/{brand.id}", headers=ANY)).status_code == 204
    assert wrong_fields(await client.post(f"{path}/restore")) == ["brand_id"]
    problem(await client.get(path), 404, "not_found")
    assert (await client.post(f"/v1/brands/{brand.id}/restore")).status_code == 200
    assert (await client.post(f"{path}/restore")).status_code == 200
    await client.delete(path, headers=ANY)
    assert (await client.delete(f"/v1/users/{owner.id}", headers=ANY)).status_code == 204
    assert wrong_fields(await client.post(f"{path}/restore")) == ["owner_id"]


async def test_a_status_changes_to_any_other_but_out_of_archived(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    for before in STATUSES:
        for after in STATUSES:
            path = f"/v1/campaigns/{(await new.campaign(acme, status=before)).id}"
            answer = await client.patch(path, json={"status": after}, headers=ANY)
            if before == "archived" and after != "archived":
                assert wrong_fields(answer) == ["status"]
            else:
                assert answer.json()["status"] == after
    assert (await client.patch(path, json={"name": "Kept for the record"}, headers=ANY)).status_code == 200


async def test_a_campaign_does_not_end_before_it_starts(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    june, wrong = (
        {"starts_on": "2026-06-01", "ends_on": "2026-06-30"},
        {"starts_on": "2026-06-02", "ends_on": "2026-06-01"},
    )
    assert wrong_fields(await client.post("/v1/campaigns", json={"name": "Summer", **wrong})) == ["ends_on"]
    path = (await client.post("/v1/campaigns", json={"name": "Summer", **june})).headers["location"]
    for change in ({"ends_on": "2026-05-31"}, {"starts_on": "2026-07-01"}, wrong):
        assert wrong_fields(await client.patch(path, json=change, headers=ANY)) == ["ends_on"]
    for change in ({"ends_on": "2026-06-01"}, {"starts_on": None}, {"ends_on": "2020-01-01"}, {"ends_on": None}):
        assert (await client.patch(path, json=change, headers=ANY)).status_code == 200


async def test_a_deleted_campaign_is_gone_until_it_is_restored(api: Api, new: Factory, acme: NewTenant) -> None:
    client, campaign = await api.client(acme), await new.campaign(acme)
    content, path = await new.content(acme, campaign), f"/v1/campaigns/{campaign.id}"
    before = (await client.get(path)).json()
    answer = await client.delete(path, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.content) == (204, b"")
    for gone in (path, f"{path}/contents", f"{path}/contents/{content.id}"):
        problem(await client.get(gone), 404, "not_found")
    problem(await client.post(f"{path}/contents", json={"kind": "post", "title": "A"}), 404, "not_found")
    problem(await client.post(f"{path}/contents/{content.id}/restore"), 404, "not_found")
    assert (await client.get("/v1/campaigns")).json()["items"] == []
    restored = await client.post(f"{path}/restore")
    assert (restored.status_code, version_of(restored)) == (200, 3)
    assert restored.json() == {**before, "version": 3, "updated_at": restored.json()["updated_at"]}
    assert (await client.get(path)).json() == restored.json()
    assert (await client.get(f"{path}/contents/{content.id}")).status_code == 200


async def test_restoring_a_live_campaign_changes_nothing(api: Api, new: Factory, acme: NewTenant) -> None:
    client, path = await api.client(acme), f"/v1/campaigns/{(await new.campaign(acme)).id}"
    before = await client.get(path)
    again = await client.post(f"{path}/restore")
    assert (again.status_code, again.json(), version_of(again)) == (200, before.json(), 1)
    problem(await client.post(f"/v1/campaigns/{uuid4()}/restore"), 404, "not_found")


async def test_the_list_is_filtered(api: Api, new: Factory, acme: NewTenant, globex: NewTenant) -> None:
    client, other = await api.client(acme), await new.user(acme.id)
    await new.campaign(globex, "Summer")
    await new.campaign(acme, "Summer", status="active")
    await new.campaign(acme, "summit", owner_id=other.id)
    await new.campaign(acme, "Été 100%_sure", status="active", owner_id=other.id)

    async def found(**filters: str) -> list[str]:
        return [item["name"] for item in (await client.get("/v1/campaigns", params=filters)).json()["items"]]

    assert await found() == ["Été 100%_sure", "summit", "Summer"]
    assert await found(q="sUmM") == ["summit", "Summer"]
    assert await found(q="ummer") == await found(q="%") == await found(q="s_mmer") == []
    assert await found(q="Été 100%_") == ["Été 100%_sure"]
    assert await found(status="active") == ["Été 100%_sure", "Summer"]
    assert await found(owner_id=str(other.id), status="draft") == ["summit"]
    assert await found(owner_id=str(globex.owner.id)) == await found(brand_id=str(uuid4())) == []
    for name, value in (
        ("status", "x"),
        ("owner_id", "x"),
        ("brand_id", "1"),
        ("q", " "),
        ("name", "Summer"),
        ("q", "a\x00"),
    ):
        assert wrong_fields(await client.get("/v1/campaigns", params={name: value})) == [name]


async def test_the_log_says_who_changed_what_from_where(api: Api, acme: NewTenant, database: Database) -> None:
    client = await api.client(acme, **{"Request-Id": "create-1"})
    created = (await client.post("/v1/campaigns", json={"name": "Summer"})).json()
    async with Work(database, acme.id) as work:
        row = await work.connection.fetchrow(
            "SELECT c.actor_id, c.ip::text, c.request_id, g.operation, g.row_id FROM app.commits AS c "
            "JOIN app.changes AS g USING (tenant_id, xid) WHERE g.table_name = 'campaigns'",
            (),
        )
    assert tuple(row or ()) == (acme.owner.id, "192.0.2.7/32", "create-1", "insert", UUID(created["id"]))


@pytest.mark.parametrize("day", ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"])
async def test_a_list_shows_dates_that_sql_has_written_and_nobody_can_hold(
    api: Api, new: Factory, acme: NewTenant, superuser: Any, day: str
) -> None:
    campaign = await new.campaign(acme)
    # Else the trigger keeps created_at as it is.
    superuser.execute("SET session_replication_role = replica")
    superuser.execute(
        "UPDATE quarry.campaigns SET starts_on = %s, ends_on = NULL, created_at = %s WHERE id = %s",
        (day, day, campaign.id),
    )
    superuser.commit()
    (item,) = (await (await api.client(acme)).get("/v1/campaigns")).json()["items"]
    assert (item["starts_on"], item["created_at"][:10]) in (("9999-12-31",) * 2, ("0001-01-01",) * 2)
