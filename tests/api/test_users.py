"""/v1/users"""

from __future__ import annotations

from typing import Any

import httpx

from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api, problem, version_of, wrong_fields
from arranging.factories import Factory

ANY = {"If-Match": "*"}
DRAFT: dict[str, Any] = {"email": "new@acme.example", "display_name": "New", "password": "a new password"}
ROLES = ("viewer", "member", "admin", "owner")


async def clients(api: Api, new: Factory, acme: NewTenant) -> dict[str, tuple[httpx.AsyncClient, str]]:
    """A client of every role, and the address of its user."""
    made = {}
    for role in ROLES:
        user = await new.user(acme.id, email=f"{role}-1@acme.example", role=role)
        made[role] = (await api.client(acme, user), f"/v1/users/{user.id}")
    return made


async def test_a_user_is_created_and_signs_in(api: Api, acme: NewTenant) -> None:
    owner = await api.client(acme)
    answer = await owner.post("/v1/users", json={**DRAFT, "email": " New@ACME.example ", "display_name": " New one "})
    assert answer.status_code == 201
    created = answer.json()
    assert set(created) == {"id", "email", "display_name", "role", "is_active", "created_at", "updated_at", "version"}
    assert (created["email"], created["display_name"], created["role"]) == ("new@acme.example", "New one", "member")
    assert (created["is_active"], version_of(answer)) == (True, 1)
    assert (await owner.get(answer.headers["location"])).json() == created
    credentials = {"tenant": acme.domain, "email": DRAFT["email"], "password": DRAFT["password"]}
    assert (await owner.post("/v1/sessions", json=credentials)).json()["user"] == created


async def test_an_address_belongs_to_one_live_user(api: Api, acme: NewTenant, globex: NewTenant) -> None:
    owner, stranger = await api.client(acme), await api.client(globex)
    first = (await owner.post("/v1/users", json=DRAFT)).headers["location"]
    second = (await owner.post("/v1/users", json={**DRAFT, "email": "other@acme.example"})).headers["location"]
    for email in ("new@acme.example", "NEW@acme.example"):
        assert (
            problem(await owner.post("/v1/users", json={**DRAFT, "email": email}), 409, "conflict")["field"] == "email"
        )
        taken = await owner.patch(second, json={"email": email}, headers=ANY)
        assert problem(taken, 409, "conflict")["field"] == "email"
    assert (await stranger.post("/v1/users", json=DRAFT)).status_code == 201
    assert (await owner.delete(first, headers=ANY)).status_code == 204
    assert (await owner.post("/v1/users", json=DRAFT)).status_code == 201


async def test_nobody_grants_a_role_above_their_own(api: Api, new: Factory, acme: NewTenant) -> None:
    admin, own_path = (await clients(api, new, acme))["admin"]
    user = await new.user(acme.id, email="promoted@acme.example", role="viewer")
    for role in ROLES:
        created = await admin.post("/v1/users", json={**DRAFT, "email": f"{role}-2@acme.example", "role": role})
        changed = await admin.patch(f"/v1/users/{user.id}", json={"role": role}, headers=ANY)
        if role == "owner":
            problem(created, 403, "forbidden")
            problem(changed, 403, "forbidden")
        else:
            assert (created.status_code, changed.status_code) == (201, 200)
    problem(await admin.patch(own_path, json={"role": "owner"}, headers=ANY), 403, "forbidden")
    assert (await admin.get(f"/v1/users/{user.id}")).json()["role"] == "admin"


async def test_nobody_touches_a_user_who_stands_above_them(api: Api, new: Factory, acme: NewTenant) -> None:
    admin, _ = (await clients(api, new, acme))["admin"]
    path = f"/v1/users/{acme.owner.id}"
    before = (await admin.get(path)).json()
    for change in ({"display_name": "Me"}, {"email": "me@acme.example"}, {"role": "viewer"}, {"is_active": False}, {}):
        problem(await admin.patch(path, json=change, headers=ANY), 403, "forbidden")
    problem(await admin.delete(path, headers=ANY), 403, "forbidden")
    problem(await admin.put(f"{path}/password", json={"password": "a new password"}), 403, "forbidden")
    assert (await admin.get(path)).json() == before


async def test_a_deleted_user_is_gone_and_so_are_their_sessions(api: Api, new: Factory, acme: NewTenant) -> None:
    owner, user = await api.client(acme), await new.user(acme.id)
    client, path = await api.client(acme, user), f"/v1/users/{user.id}"
    assert (await owner.delete(path, headers={"If-Match": '"1"'})).status_code == 204
    problem(await client.get("/v1/campaigns"), 401, "unauthorized")
    problem(await owner.get(path), 404, "not_found")
    problem(await owner.delete(path, headers=ANY), 404, "not_found")
    problem(await owner.put(f"{path}/password", json={"password": "a new password"}), 404, "not_found")
    assert [item["id"] for item in (await owner.get("/v1/users")).json()["items"]] == [str(acme.owner.id)]


async def test_a_deactivated_user_loses_their_sessions_for_good(api: Api, new: Factory, acme: NewTenant) -> None:
    owner, user = await api.client(acme), await new.user(acme.id)
    client, path = await api.client(acme, user), f"/v1/users/{user.id}"
    for is_active in (False, True):
        assert (await owner.patch(path, json={"is_active": is_active}, headers=ANY)).json()["is_active"] == is_active
        problem(await client.get("/v1/campaigns"), 401, "unauthorized")
    credentials = {"tenant": acme.domain, "email": user.email, "password": PASSWORD}
    assert (await owner.post("/v1/sessions", json=credentials)).status_code == 201


async def test_a_user_who_owns_live_campaigns_stays(api: Api, new: Factory, acme: NewTenant) -> None:
    owner, user = await api.client(acme), await new.user(acme.id)
    client = await api.client(acme, user)
    campaign, path = await new.campaign(acme, owner_id=user.id), f"/v1/users/{user.id}"
    problem(await owner.delete(path, headers=ANY), 409, "in_use")
    assert (await client.get("/v1/campaigns")).status_code == 200
    await owner.delete(f"/v1/campaigns/{campaign.id}", headers=ANY)
    assert (await owner.delete(path, headers=ANY)).status_code == 204


async def test_the_list_is_filtered(api: Api, new: Factory, acme: NewTenant) -> None:
    owner = await api.client(acme)
    await new.user(acme.id, email="a@acme.example", role="viewer")
    await new.user(acme.id, email="b@acme.example", role="viewer", is_active=False)

    async def found(**filters: str) -> list[str]:
        items = (await owner.get("/v1/users", params=filters)).json()["items"]
        return [item["email"].partition("@")[0] for item in items]

    assert await found() == ["b", "a", "owner"]
    assert await found(role="viewer") == ["b", "a"]
    assert await found(role="viewer", is_active="true") == ["a"]
    assert await found(email="B@acme.example") == ["b"]
    assert await found(role="admin") == []
    for name, value in (("role", "boss"), ("is_active", "perhaps"), ("email", "x"), ("display_name", "A")):
        assert wrong_fields(await owner.get("/v1/users", params={name: value})) == [name]
