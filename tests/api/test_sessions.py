"""/v1/sessions: one's own, and for admins the end of any in the tenant."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import httpx

from arranging.accounts import NewTenant
from arranging.application import Api, problem
from arranging.factories import Factory
from service.database.database import Database
from service.errors import NotFound
from service.work import Work


async def session_of(client: httpx.AsyncClient) -> str:
    return str((await client.get("/v1/sessions/current")).json()["id"])


async def is_open(client: httpx.AsyncClient) -> bool:
    answer = await client.get("/v1/campaigns")
    if answer.status_code != 200:
        problem(answer, 401, "unauthorized")
    return answer.status_code == 200


async def test_a_person_sees_their_own_sessions_newest_first(api: Api, new: Factory, acme: NewTenant) -> None:
    member = await new.user(acme.id, role="member")
    first, second = await api.client(acme, member), await api.client(acme, member)
    await api.client(acme)
    items = (await first.get("/v1/sessions")).json()["items"]
    assert [item["id"] for item in items] == [await session_of(second), await session_of(first)]
    assert [item["is_current"] for item in items] == [False, True]
    assert set(items[0]) == {
        "id", "user_id", "ip", "user_agent", "created_at", "last_seen_at", "expires_at", "is_current",
    }  # fmt: skip


async def test_signing_out_ends_this_session_and_no_other(api: Api, acme: NewTenant) -> None:
    client, other = await api.client(acme), await api.client(acme)
    answer = await client.delete("/v1/sessions/current")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await is_open(client), await is_open(other)) == (False, True)
    problem(await client.delete("/v1/sessions/current"), 401, "unauthorized")


async def test_all_other_sessions_are_ended_at_once(api: Api, new: Factory, acme: NewTenant) -> None:
    member = await new.user(acme.id)
    mine, others, owners = (
        await api.client(acme, member),
        [await api.client(acme, member) for _ in range(3)],
        await api.client(acme),
    )
    assert (await mine.delete("/v1/sessions")).status_code == 204
    assert [await is_open(client) for client in (mine, owners)] == [True, True]
    assert [await is_open(client) for client in others] == [False] * 3
    assert [item["is_current"] for item in (await mine.get("/v1/sessions")).json()["items"]] == [True]


async def test_one_session_is_ended_by_its_id(api: Api, new: Factory, acme: NewTenant) -> None:
    member = await new.user(acme.id)
    client, other = await api.client(acme, member), await api.client(acme, member)
    ended = f"/v1/sessions/{await session_of(other)}"
    assert (await client.delete(ended)).status_code == 204
    assert (await is_open(client), await is_open(other)) == (True, False)
    problem(await client.delete(ended), 404, "not_found")
    assert (await client.delete(f"/v1/sessions/{await session_of(client)}")).status_code == 204
    assert not await is_open(client)


async def test_members_end_their_own_sessions_only_and_admins_any_of_the_tenant(
    api: Api, new: Factory, acme: NewTenant, globex: NewTenant
) -> None:
    users = {
        role: await new.user(acme.id, email=f"{role}@acme.example", role=role) for role in ("viewer", "member", "admin")
    }
    clients = {role: await api.client(acme, user) for role, user in users.items()}
    owner, stranger = await api.client(acme), await api.client(globex)
    for role in ("viewer", "member"):
        problem(await clients[role].delete(f"/v1/sessions/{await session_of(owner)}"), 404, "not_found")
    for client in (clients["admin"], owner):
        problem(await client.delete(f"/v1/sessions/{await session_of(stranger)}"), 404, "not_found")
        problem(await client.delete(f"/v1/sessions/{uuid4()}"), 404, "not_found")
    assert await is_open(owner)
    assert await is_open(stranger)
    for role in ("viewer", "member"):
        assert (await clients["admin"].delete(f"/v1/sessions/{await session_of(clients[role])}")).status_code == 204
        assert not await is_open(clients[role])


async def test_the_log_says_who_ended_a_session(api: Api, acme: NewTenant, database: Database) -> None:
    client = await api.client(acme, **{"Request-Id": "sign-out.1"})
    session = UUID(await session_of(client))
    await client.delete("/v1/sessions/current")
    async with Work(database, acme.id) as work:
        text = "SELECT actor_id, session_id, ip::text, request_id FROM app.commits WHERE number = (SELECT head FROM app.heads)"
        row = await work.connection.fetchrow(text, ())
        assert tuple(row or ()) == (acme.owner.id, session, "192.0.2.7/32", "sign-out.1")
        try:
            await work.sessions.find(session, idle=timedelta(hours=1))
        except NotFound:
            return
    raise AssertionError("the session is still there")
