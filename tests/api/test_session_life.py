"""How sessions are used, expire and are forgotten; failed sign-ins; what upkeep does beside the requests."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api, problem, until, wrong_fields
from arranging.factories import Factory
from service.database.database import Database
from service.operations import purging
from service.operations.upkeep import Upkeep
from service.settings.settings import Settings
from service.work import Work


def execute(superuser: Any, statement: str, *values: object) -> Any:
    """Run a statement as superuser and commit it; answers its rows."""
    cursor = superuser.execute(statement, values)
    rows = cursor.fetchall() if cursor.description else None
    superuser.commit()
    return rows


async def current(client: httpx.AsyncClient) -> dict[str, Any]:
    content: dict[str, Any] = (await client.get("/v1/sessions/current")).json()
    return content


async def sign_in(client: httpx.AsyncClient, email: str, password: str) -> httpx.Response:
    return await client.post("/v1/sessions", json={"tenant": "acme.example", "email": email, "password": password})


async def test_a_session_that_is_not_used_expires(
    api: Api, acme: NewTenant, superuser: Any, settings: Settings
) -> None:
    client, idle, other = [await api.client(acme) for _ in range(3)]
    sessions = execute(superuser, "SELECT id FROM quarry.sessions ORDER BY created_at LIMIT 2")
    for (id,), seconds in zip(
        sessions, (settings.session_idle_timeout - 60, settings.session_idle_timeout), strict=True
    ):
        unused = "UPDATE quarry.sessions SET last_seen_at = now() - make_interval(secs => %s) WHERE id = %s"
        execute(superuser, unused, seconds, id)
    assert (await client.get("/v1/campaigns")).status_code == 200
    problem(await idle.get("/v1/campaigns"), 401, "session_expired")
    assert str(sessions[1][0]) not in [item["id"] for item in (await other.get("/v1/sessions")).json()["items"]]


async def test_a_session_that_is_used_expires_all_the_same(api: Api, acme: NewTenant, superuser: Any) -> None:
    client = await api.client(acme)
    execute(superuser, "UPDATE quarry.sessions SET expires_at = now(), last_seen_at = now()")
    problem(await client.get("/v1/campaigns"), 401, "session_expired")
    problem(await client.delete("/v1/sessions/current"), 401, "session_expired")


async def test_a_use_is_noted_and_is_no_change(api: Api, acme: NewTenant, superuser: Any, database: Database) -> None:
    client = await api.client(acme)
    execute(superuser, "UPDATE quarry.sessions SET last_seen_at = now() - interval '2 minutes'")
    async with Work(database, acme.id) as work:
        head = await work.log.head()
    (before,) = execute(superuser, "SELECT version, updated_at FROM quarry.sessions")
    seen = (await current(client))["last_seen_at"]
    await api.state["upkeep"].flush()
    assert (await current(client))["last_seen_at"] > seen
    assert execute(superuser, "SELECT version, updated_at FROM quarry.sessions") == [before]
    async with Work(database, acme.id) as work:
        assert await work.log.head() == head


async def test_a_use_within_the_minute_is_not_noted_again(api: Api, acme: NewTenant, superuser: Any) -> None:
    client = await api.client(acme)
    execute(superuser, "UPDATE quarry.sessions SET last_seen_at = now() - interval '2 minutes'")
    for _ in range(3):
        assert (await client.get("/v1/campaigns")).status_code == 200
    # Nothing is written by the requests themselves; one update notes them all.
    await api.state["upkeep"].flush()
    await until(lambda: is_seen(client, api), lambda is_seen_again: not is_seen_again)
    (noted,) = execute(superuser, "SELECT xmin::text, last_seen_at FROM quarry.sessions")
    for _ in range(3):
        assert (await client.get("/v1/campaigns")).status_code == 200
        await api.state["upkeep"].flush()
    assert execute(superuser, "SELECT xmin::text, last_seen_at FROM quarry.sessions") == [noted]


async def is_seen(client: httpx.AsyncClient, api: Api) -> bool:
    """Whether a request's use has to be noted; the session may be remembered as it was a second ago."""
    assert (await client.get("/v1/campaigns")).status_code == 200
    is_noted_next = bool(api.state["upkeep"]._seen)
    await api.state["upkeep"].flush()
    return is_noted_next


async def test_uses_are_noted_every_now_and_then_and_when_the_process_ends(
    api: Api, acme: NewTenant, superuser: Any, settings: Settings, database: Database
) -> None:
    session = UUID((await current(await api.client(acme)))["id"])
    hourly, often = (settings.model_copy(update={"session_idle_timeout": seconds}) for seconds in (86400.0, 0.1))
    is_noted = "SELECT last_seen_at > now() - interval '1 minute' FROM quarry.sessions"
    for chosen in (hourly, often):
        execute(superuser, "UPDATE quarry.sessions SET last_seen_at = now() - interval '1 hour'")
        async with Upkeep.open(database, chosen.session_idle_timeout) as upkeep, asyncio.timeout(60):
            upkeep.seen(acme.id, "session", session)
            while chosen is often and execute(superuser, is_noted) == [(False,)]:
                await asyncio.sleep(0.01)
        assert execute(superuser, is_noted) == [(True,)]


async def forget(api: Api, tenant: NewTenant) -> int:
    """Purge the tenant as upkeep does; how many rows that was."""
    idle = timedelta(seconds=api.state["settings"].session_idle_timeout)
    return (await purging.purge(api.state["database"], tenant.id, idle)).rows


async def test_what_has_ended_is_forgotten(api: Api, acme: NewTenant, globex: NewTenant, superuser: Any) -> None:
    client, gone, idle, revoked = [await api.client(acme) for _ in range(4)]
    stranger = await api.client(globex)
    ids = [(await current(each))["id"] for each in (client, gone, idle, revoked, stranger)]
    assert (await client.post("/v1/campaigns", json={"name": "A"}, headers={"Idempotency-Key": "1"})).status_code == 201
    assert (await client.post("/v1/otps", json={"phone": "+14155550100"})).status_code == 202
    problem(await sign_in(client, "nobody@acme.example", "wrong"), 401, "unauthorized")
    # The rows as they would be by now: without the triggers that keep created_at.
    execute(superuser, "SET session_replication_role = replica")
    for table in ("sessions", "otps", "idempotency_keys"):
        execute(superuser, f"UPDATE quarry.{table} SET created_at = created_at - interval '50 hours'")
    past = "now() - interval '1441 minutes'"
    execute(superuser, f"UPDATE quarry.sessions SET expires_at = {past} WHERE id IN (%s, %s)", ids[1], ids[4])
    execute(superuser, f"UPDATE quarry.sessions SET last_seen_at = {past} - interval '1 day' WHERE id = %s", ids[2])
    execute(superuser, f"UPDATE quarry.sessions SET revoked_at = {past} WHERE id = %s", ids[3])
    execute(superuser, f"UPDATE quarry.otps SET expires_at = {past}")
    execute(superuser, "UPDATE quarry.idempotency_keys SET expires_at = now() - interval '1 second'")
    execute(superuser, "UPDATE quarry.sign_in_failures SET created_at = now() - interval '2000 days'")
    # Two of the sessions ended by time, which is written down first.
    assert await forget(api, acme) == 6 + 2
    left = {str(id) for (id,) in execute(superuser, "SELECT id FROM quarry.sessions")}
    assert left == {ids[0], ids[4]}
    for table in ("otps", "idempotency_keys", "sign_in_failures"):
        assert execute(superuser, f"SELECT count(*) FROM quarry.{table}") == [(0,)]
    assert await forget(api, acme) == 0


async def test_the_log_is_forgotten_beyond_its_retention(
    api: Api, new: Factory, acme: NewTenant, superuser: Any
) -> None:
    client = await api.client(acme)
    execute(
        superuser, "UPDATE app.commits SET at = at - (SELECT log_retention FROM app.installation) - interval '1 second'"
    )
    kept = await new.campaign(acme)
    await forget(api, acme)
    items = (await client.get("/v1/audit")).json()["items"]
    assert [(item["table"], item["row_id"]) for item in items] == [("campaigns", str(kept.id))]
    ((floor, head),) = execute(superuser, "SELECT floor, head FROM app.heads WHERE tenant_id = %s", acme.id)
    assert floor == head - 1


async def test_an_admin_lists_and_ends_anothers_sessions(
    api: Api, new: Factory, acme: NewTenant, globex: NewTenant
) -> None:
    member = await new.user(acme.id)
    client, admin = (
        await api.client(acme, member),
        await api.client(acme, await new.user(acme.id, email="a@acme.example", role="admin")),
    )
    whose = {"user_id": str(member.id)}
    assert (await client.get("/v1/sessions", params=whose)).json() == (await client.get("/v1/sessions")).json()
    (item,) = (await admin.get("/v1/sessions", params=whose)).json()["items"]
    assert (item["id"], item["user_id"], item["is_current"]) == ((await current(client))["id"], str(member.id), False)
    assert (await admin.delete(f"/v1/sessions/{item['id']}")).status_code == 204
    problem(await client.get("/v1/campaigns"), 401, "unauthorized")
    for id in (globex.owner.id, uuid4()):
        assert (await admin.get("/v1/sessions", params={"user_id": str(id)})).json()["items"] == []
    assert wrong_fields(await admin.get("/v1/sessions?user_id=x")) == ["user_id"]


async def test_an_admin_neither_lists_nor_ends_an_owner_s_sessions(api: Api, new: Factory, acme: NewTenant) -> None:
    owner = await api.client(acme)
    admin = await api.client(acme, await new.user(acme.id, role="admin"))
    session = (await current(owner))["id"]
    problem(await admin.get("/v1/sessions", params={"user_id": str(acme.owner.id)}), 403, "forbidden")
    problem(await admin.delete(f"/v1/sessions/{session}"), 404, "not_found")
    assert (await current(owner))["id"] == session


@pytest.mark.parametrize("role", ["viewer", "member"])
async def test_nobody_else_lists_anothers_sessions(api: Api, new: Factory, acme: NewTenant, role: str) -> None:
    client = await api.client(acme, await new.user(acme.id, role=role))
    for id in (acme.owner.id, uuid4()):
        problem(await client.get("/v1/sessions", params={"user_id": str(id)}), 403, "forbidden")


async def test_a_failed_sign_in_is_noted_with_whose_it_was(api: Api, acme: NewTenant, globex: NewTenant) -> None:
    owner, client = await api.client(acme), await api.client(**{"User-Agent": "Tests\x01 1", "Request-Id": "try-1"})
    before = datetime.now().astimezone()
    tries = (("nobody@acme.example", PASSWORD), ("Owner@acme.example", "wrong"), ("owner@acme.example", PASSWORD))
    for email, password in tries:
        await sign_in(client, email, password)
    items = (await owner.get("/v1/audit/sign-ins")).json()["items"]
    assert [item["user_id"] for item in items] == [str(acme.owner.id), None]
    for item in items:
        assert set(item) == {"id", "user_id", "ip", "user_agent", "request_id", "created_at"}
        assert (item["ip"], item["user_agent"], item["request_id"]) == ("192.0.2.7", "Tests 1", "try-1")
        assert datetime.fromisoformat(item["created_at"]) >= before
    owners = await owner.get("/v1/audit/sign-ins", params={"user_id": str(acme.owner.id)})
    assert owners.json()["items"] == items[:1]
    first = (await owner.get("/v1/audit/sign-ins?limit=1")).json()
    assert (await owner.get("/v1/audit/sign-ins", params={"after": first["next"]})).json()["items"] == items[1:]
    assert (await (await api.client(globex)).get("/v1/audit/sign-ins")).json()["items"] == []
