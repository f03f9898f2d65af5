"""/v1/brands, and what /v1/influencers has in common with it; the niches of both are in test_influencers.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from arranging.accounts import NewTenant
from arranging.application import Api, problem, version_of, wrong_fields
from arranging.drafts import draft_of, path_of
from arranging.factories import Factory
from service.database.database import Database
from service.work import Work

AddNiche = Callable[..., UUID]

ANY = {"If-Match": "*"}
PROFILES = ("brands", "influencers")
DRAFT = {"brand_name": "Nordlicht", "username": "nord.licht_1", "email": "tea@example.com", "phone": "+4930555012"}
COMPLETING = {
    "legal_entity_name": "Nordlicht Tee GmbH", "company_type": "private_limited", "poc_name": "Jo Lindqvist",
    "poc_designation": "Head of marketing", "poc_email": "jo@example.com", "poc_contact_number": "+4930555013",
    "incorporation_document": "vault/1", "gst_document": "vault/2", "pan_document": "https://vault.example/3",
}  # fmt: skip
REST = {"brand_email": "shop@example.com", "bio": "Tea.\nNothing else.", "profile_image": "https://example.com/tea.png"}


async def test_a_brand_is_created_with_all_its_fields_and_niches(
    api: Api, acme: NewTenant, add_niche: AddNiche
) -> None:
    client, niches = await api.client(acme), [add_niche(name) for name in ("Tea", "Food", "Other")]
    body = {**DRAFT, **COMPLETING, **REST, "is_active": False}
    answer = await client.post("/v1/brands", json={**body, "niche_ids": [str(id) for id in niches[:2]]})
    created = answer.json()
    assert created == {
        **body, "id": created["id"], "is_phone_verified": False, "is_profile_completed": True,
        "niches": [{"id": str(niches[1]), "name": "Food", "icon": None}, {"id": str(niches[0]), "name": "Tea", "icon": None}],
        "created_at": created["created_at"], "updated_at": created["created_at"], "version": 1,
    }, answer.text  # fmt: skip
    assert (answer.status_code, version_of(answer)) == (201, 1)
    assert answer.headers["location"] == f"/v1/brands/{created['id']}"
    assert (await client.get(answer.headers["location"])).json() == created
    assert (await client.get("/v1/brands")).json()["items"] == [created]


async def test_what_is_left_out_of_a_brand_has_its_default(api: Api, acme: NewTenant) -> None:
    created = (await (await api.client(acme)).post("/v1/brands", json=DRAFT)).json()
    assert {name: created[name] for name in DRAFT} == DRAFT
    assert (created["is_active"], created["is_profile_completed"], created["niches"]) == (True, False, [])
    assert {created[name] for name in (*COMPLETING, *REST)} == {None}


async def test_a_profile_is_completed_while_nothing_of_it_is_missing(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    path = (await client.post("/v1/brands", json={**DRAFT, **COMPLETING})).headers["location"]
    for name, value in COMPLETING.items():
        without = (await client.patch(path, json={name: None}, headers=ANY)).json()
        assert (without[name], without["is_profile_completed"]) == (None, False)
        again = (await client.patch(path, json={name: value}, headers=ANY)).json()
        assert (again[name], again["is_profile_completed"]) == (value, True)


async def test_what_the_service_finds_out_is_not_the_clients_to_say(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    for kind in PROFILES:
        path = await path_of(kind, new, acme)
        for name in (
            "is_phone_verified",
            "is_profile_completed",
            "niches",
            "id",
            "version",
            "email_index",
            "search_name",
        ):
            assert wrong_fields(await client.post(f"/v1/{kind}", json={**draft_of(kind), name: True})) == [name]
            assert wrong_fields(await client.patch(path, json={name: True}, headers=ANY)) == [name]
        assert (await client.get(path)).json()["version"] == 1


async def test_another_phone_has_not_been_verified(api: Api, new: Factory, acme: NewTenant, database: Database) -> None:
    client = await api.client(acme)
    for kind in PROFILES:
        path = await path_of(kind, new, acme)
        phone = (await client.get(path)).json()["phone"]
        async with Work(database, acme.id) as work:
            await getattr(work, kind).verify_phone(phone)
        for change, is_verified in (
            ({}, True),
            ({"phone": phone, "bio": "x"}, True),
            ({"phone": "+14155550000"}, False),
        ):
            changed = (await client.patch(path, json=change, headers=ANY)).json()
            assert changed["is_phone_verified"] == is_verified
        back = await client.patch(path, json={"phone": phone}, headers=ANY)
        assert (back.json()["phone"], back.json()["is_phone_verified"]) == (phone, False)
        await client.delete(path, headers=ANY)


async def test_username_address_and_phone_belong_to_one_live_profile(
    api: Api, acme: NewTenant, globex: NewTenant
) -> None:
    client, stranger = await api.client(acme), await api.client(globex)
    for kind in PROFILES:
        first, second = draft_of(kind), draft_of(kind)
        path = f"/v1/{kind}"
        assert (await client.post(path, json=first)).status_code == 201
        other = (await client.post(path, json=second)).headers["location"]
        for field, value in (*first.items(), ("email", f" {first['email'].upper()} ")):
            if field not in ("username", "email", "phone"):
                continue
            for answer in (
                await client.post(path, json={**draft_of(kind), field: value}),
                await client.patch(other, json={field: value}, headers=ANY),
            ):
                assert problem(answer, 409, "conflict")["field"] == field
        assert (await client.get(other)).json()["version"] == 1
        assert (await stranger.post(path, json=first)).status_code == 201


async def test_a_deleted_profile_is_gone_until_it_is_restored(
    api: Api, new: Factory, acme: NewTenant, add_niche: AddNiche
) -> None:
    client, niche = await api.client(acme), add_niche("Tea")
    for kind in PROFILES:
        path = await path_of(kind, new, acme)
        before = (await client.put(f"{path}/niches/{niche}")).json()
        assert (await client.delete(path, headers={"If-Match": '"2"'})).status_code == 204
        for answer in (
            await client.get(path), await client.patch(path, json={}, headers=ANY), await client.delete(path, headers=ANY),
            await client.put(f"{path}/niches/{niche}"), await client.delete(f"{path}/niches/{niche}"),
        ):  # fmt: skip
            problem(answer, 404, "not_found")
        assert (await client.get(f"/v1/{kind}")).json()["items"] == []
        for _ in range(2):
            restored = await client.post(f"{path}/restore")
            assert restored.json() == {**before, "version": 4, "updated_at": restored.json()["updated_at"]}
            assert (restored.status_code, version_of(restored)) == (200, 4)
        problem(await client.post(f"/v1/{kind}/{uuid4()}/restore"), 404, "not_found")


async def test_a_profile_is_not_restored_onto_what_another_has_taken(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    for kind in PROFILES:
        for field in ("username", "email", "phone"):
            draft = draft_of(kind)
            path = (await client.post(f"/v1/{kind}", json=draft)).headers["location"]
            await client.delete(path, headers=ANY)
            successor = await client.post(f"/v1/{kind}", json={**draft_of(kind), field: draft[field]})
            assert successor.status_code == 201
            assert problem(await client.post(f"{path}/restore"), 409, "conflict")["field"] == field
            await client.delete(successor.headers["location"], headers=ANY)
            assert (await client.post(f"{path}/restore")).status_code == 200


async def test_a_brand_stays_while_live_campaigns_are_run_for_it(api: Api, new: Factory, acme: NewTenant) -> None:
    client, brand = await api.client(acme), await new.brand(acme)
    path, campaign = f"/v1/brands/{brand.id}", f"/v1/campaigns/{(await new.campaign(acme, brand_id=brand.id)).id}"
    problem(await client.delete(path, headers=ANY), 409, "in_use")
    assert (await client.get(path)).json()["version"] == 1
    assert (await client.delete(campaign, headers=ANY)).status_code == 204
    assert (await client.delete(path, headers=ANY)).status_code == 204


async def test_the_list_is_filtered(api: Api, new: Factory, acme: NewTenant, globex: NewTenant) -> None:
    client = await api.client(acme)
    await new.brand(globex, username="aaa")
    await new.brand(acme, username="aaa", email="a@example.com", phone="+14155550001", company_type="llp")
    await new.brand(acme, username="bbb", is_active=False, company_type="llp")

    async def found(**filters: str) -> list[str]:
        return [item["username"] for item in (await client.get("/v1/brands", params=filters)).json()["items"]]

    assert await found() == ["bbb", "aaa"]
    assert (
        await found(username="aaa")
        == await found(email="A@Example.com")
        == await found(phone="+14155550001")
        == ["aaa"]
    )
    assert await found(company_type="llp") == ["bbb", "aaa"]
    assert await found(company_type="llp", is_active="false") == ["bbb"]
    assert await found(phone="+14155550009") == []
    # As people write it: the plus arrives as a space.
    assert len((await client.get("/v1/brands?phone=+14155550001")).json()["items"]) == 1
    for name, value in (
        ("username", "A"),
        ("email", "x"),
        ("phone", "1"),
        ("company_type", "x"),
        ("is_active", "perhaps"),
        ("bio", "x"),
    ):
        assert wrong_fields(await client.get("/v1/brands", params={name: value})) == [name]


async def test_one_value_that_can_not_be_opened_hides_no_other(
    api: Api, new: Factory, acme: NewTenant, superuser: Any
) -> None:
    brands = [await new.brand(acme) for _ in range(3)]
    superuser.execute("UPDATE quarry.brands SET email = set_byte(email, 30, 0) WHERE id = %s", (brands[1].id,))
    superuser.commit()
    client = await api.client(acme)
    items = (await client.get("/v1/brands")).json()["items"]
    assert [item["email"] for item in items] == [brands[2].email, "[undecipherable]", brands[0].email]
    assert items[1]["phone"] == brands[1].phone
    keys = (await client.get("/healthz")).json()["checks"]["keys"]
    assert (keys["ok"], keys["undecipherable"], keys["seals"] in keys["opens"]) == (False, 1, True)
    changed = await client.patch(f"/v1/brands/{brands[1].id}", json={"email": "new@example.com"}, headers=ANY)
    assert changed.json()["email"] == "new@example.com"
