"""PUT /v1/users/{id}/password"""

from __future__ import annotations

import asyncio

import httpx

from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api, problem, wrong_fields
from arranging.factories import Factory
from service.database.database import Database
from service.repos.users import User
from service.work import Work

NEW = "another long password"


async def knows(client: httpx.AsyncClient, acme: NewTenant, user: User, password: str) -> bool:
    body = {"tenant": acme.domain, "email": user.email, "password": password}
    return (await client.post("/v1/sessions", json=body)).status_code == 201


async def test_a_person_changes_their_own_password_with_the_old_one(api: Api, new: Factory, acme: NewTenant) -> None:
    user = await new.user(acme.id, role="viewer")
    client, path = await api.client(acme, user), f"/v1/users/{user.id}/password"
    for wrong in ({}, {"current_password": None}, {"current_password": ""}, {"current_password": NEW}):
        assert wrong_fields(await client.put(path, json={"password": NEW, **wrong})) == ["current_password"]
    assert await knows(client, acme, user, PASSWORD)
    answer = await client.put(path, json={"password": NEW, "current_password": PASSWORD})
    assert (answer.status_code, answer.content) == (204, b"")
    assert await knows(client, acme, user, NEW)
    assert not await knows(client, acme, user, PASSWORD)


async def test_it_ends_the_persons_other_sessions_and_keeps_this_one(api: Api, new: Factory, acme: NewTenant) -> None:
    user = await new.user(acme.id)
    this, other, owner = await api.client(acme, user), await api.client(acme, user), await api.client(acme)
    await this.put(f"/v1/users/{user.id}/password", json={"password": NEW, "current_password": PASSWORD})
    assert (await this.get("/v1/campaigns")).status_code == 200
    assert (await owner.get("/v1/campaigns")).status_code == 200
    problem(await other.get("/v1/campaigns"), 401, "unauthorized")


async def test_an_admin_sets_anybodys_and_ends_all_their_sessions(api: Api, new: Factory, acme: NewTenant) -> None:
    user = await new.user(acme.id)
    client, admin = (
        await api.client(acme, user),
        await api.client(acme, await new.user(acme.id, email="admin@acme.example", role="admin")),
    )
    assert (await admin.put(f"/v1/users/{user.id}/password", json={"password": NEW})).status_code == 204
    problem(await client.get("/v1/campaigns"), 401, "unauthorized")
    assert (await admin.get("/v1/campaigns")).status_code == 200
    assert await knows(admin, acme, user, NEW)


async def test_others_are_forbidden_to(api: Api, new: Factory, acme: NewTenant, globex: NewTenant) -> None:
    for role in ("viewer", "member"):
        client = await api.client(acme, await new.user(acme.id, email=f"{role}@acme.example", role=role))
        for other in (acme.owner, globex.owner):
            problem(await client.put(f"/v1/users/{other.id}/password", json={"password": NEW}), 403, "forbidden")
    owner = await api.client(acme)
    problem(await owner.put(f"/v1/users/{globex.owner.id}/password", json={"password": "x"}), 404, "not_found")
    assert await knows(owner, acme, acme.owner, PASSWORD)


async def test_a_password_has_ten_characters_and_no_control_character(api: Api, new: Factory, acme: NewTenant) -> None:
    owner, user = await api.client(acme), await new.user(acme.id)
    path = f"/v1/users/{user.id}/password"
    for wrong in ("", "ninechars", "x" * 1_001, "ten chars\n", "ten char\x00s", None, 1234567890, ["a long password"]):
        assert wrong_fields(await owner.put(path, json={"password": wrong})) == ["password"]
    assert wrong_fields(await owner.put(path, json={"password": NEW, "role": "owner"})) == ["role"]
    for right in ("ten chars!", "  spaces stay  ", "пароль-🔑🔑🔑"):
        assert (await owner.put(path, json={"password": right})).status_code == 204
        assert await knows(owner, acme, user, right)
    assert not await knows(owner, acme, user, "пароль-🔑🔑")


async def test_of_two_changes_with_the_same_old_password_one_succeeds(api: Api, new: Factory, acme: NewTenant) -> None:
    user = await new.user(acme.id)
    client, path = await api.client(acme, user), f"/v1/users/{user.id}/password"
    bodies = [{"password": f"{NEW} {n}", "current_password": PASSWORD} for n in range(2)]
    answers = await asyncio.gather(*(client.put(path, json=body) for body in bodies))
    won = 0 if answers[0].status_code == 204 else 1
    assert answers[won].status_code == 204
    assert wrong_fields(answers[1 - won]) == ["current_password"]
    assert await knows(client, acme, user, f"{NEW} {won}")


async def test_no_hash_is_ever_shown(api: Api, acme: NewTenant, database: Database) -> None:
    client = await api.client(acme)
    async with Work(database, acme.id) as work:
        hashed = (await work.users.credentials(acme.owner.id)).password_hash
    for path in ("/v1/users", f"/v1/users/{acme.owner.id}"):
        answer = await client.get(path)
        assert hashed not in answer.text
        assert "password" not in answer.text
