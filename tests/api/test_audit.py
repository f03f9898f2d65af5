"""/v1/audit: who did what to which row, when and from where."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api, problem, wrong_fields
from arranging.drafts import draft_of
from arranging.factories import Factory
from service.database.database import Database
from service.work import Work

ANY = {"If-Match": "*"}
Entry = dict[str, Any]


async def entries(client: httpx.AsyncClient, **filters: str) -> list[Entry]:
    items: list[Entry] = (await client.get("/v1/audit", params=filters)).json()["items"]
    return items


async def session_of(client: httpx.AsyncClient) -> str:
    return str((await client.get("/v1/sessions/current")).json()["id"])


async def test_a_change_is_told_with_who_what_when_and_from_where(api: Api, new: Factory, acme: NewTenant) -> None:
    owner, member = await api.client(acme), await new.user(acme.id)
    client = await api.client(acme, member)
    before = datetime.now(UTC)
    path = (await client.post("/v1/brands", json=draft_of("brands"), headers={"Request-Id": "b.1"})).headers["location"]
    await client.patch(path, json={"email": "other@example.com", "bio": "x"}, headers={**ANY, "Request-Id": "b.2"})
    await client.delete(path, headers={**ANY, "Request-Id": "b.3"})
    await client.post(f"{path}/restore", headers={"Request-Id": "b.4"})
    found = await entries(owner, row_id=path.rpartition("/")[2])
    assert [(each["request_id"], each["op"], each["columns"]) for each in found] == [
        ("b.4", "update", ["is_deleted"]), ("b.3", "update", ["is_deleted"]), ("b.2", "update", ["email", "bio"]),
        ("b.1", "insert", None),
    ]  # fmt: skip
    for each in found:
        assert set(each) == {
            "id",
            "at",
            "actor_id",
            "session_id",
            "ip",
            "request_id",
            "table",
            "op",
            "row_id",
            "columns",
        }
        assert (each["actor_id"], each["session_id"]) == (str(member.id), await session_of(client))
        assert (each["ip"], each["table"]) == ("192.0.2.7", "brands")
        assert before <= datetime.fromisoformat(each["at"]) <= datetime.now(UTC)


async def test_signing_in_and_out_is_told(api: Api, acme: NewTenant) -> None:
    owner, client = await api.client(acme), await api.client()
    body = {"tenant": acme.domain, "email": "owner@acme.example", "password": PASSWORD}
    token = (await client.post("/v1/sessions", json=body, headers={"Request-Id": "in"})).json()["token"]
    client.headers["Authorization"] = f"Bearer {token}"
    session = await session_of(client)
    await client.delete("/v1/sessions/current", headers={"Request-Id": "out"})
    found = await entries(owner, table="sessions", row_id=session)
    assert [(each["request_id"], each["op"], each["columns"]) for each in found] == [
        ("out", "update", ["is_revoked"]), ("in", "insert", None),
    ]  # fmt: skip
    assert {(each["actor_id"], each["session_id"], each["ip"]) for each in found} == {
        (str(acme.owner.id), session, "192.0.2.7")
    }


async def test_what_operators_do_has_no_actor(api: Api, acme: NewTenant, platform: Database) -> None:
    async with Work(platform, None) as work:
        await work.tenants.set_status(acme.domain, "suspended")
        await work.tenants.set_status(acme.domain, "active")
    newest = (await entries(await api.client(acme), table="tenants"))[0]
    assert (newest["columns"], newest["row_id"]) == (["status"], str(acme.id))
    assert {newest[name] for name in ("actor_id", "session_id", "ip", "request_id")} == {None}


async def test_columns_have_the_names_that_clients_know(api: Api, new: Factory, acme: NewTenant) -> None:
    owner, user = await api.client(acme), await new.user(acme.id)
    path = f"/v1/users/{user.id}"
    await owner.patch(path, json={"email": "new@acme.example"}, headers=ANY)
    await owner.put(f"{path}/password", json={"password": "a new password"})
    await owner.delete(path, headers=ANY)
    key = (await owner.post("/v1/keys", json={"name": "A"})).json()["id"]
    await owner.delete(f"/v1/keys/{key}")
    for kind in ("brands", "influencers", "campaigns"):
        row = (await owner.post(f"/v1/{kind}", json=draft_of(kind))).headers["location"]
        draft = {name: value for name, value in draft_of(kind).items() if name != "username"}
        await owner.patch(row, json=draft, headers=ANY)
    found = await entries(owner)
    columns = [each["columns"] for each in found if each["row_id"] == str(user.id)]
    assert columns == [["is_active", "is_deleted"], ["password"], ["email"], None]
    seen = {column for each in found for column in each["columns"] or []}
    assert not [column for column in seen if column.endswith(("_index", "_hash", "_at")) or column == "search_name"]
    assert "is_revoked" in seen


async def test_the_list_is_filtered(api: Api, new: Factory, acme: NewTenant) -> None:
    owner, member = await api.client(acme), await new.user(acme.id)
    client = await api.client(acme, member)
    mine = (await owner.post("/v1/campaigns", json={"name": "A"})).json()["id"]
    theirs = (await client.post("/v1/campaigns", json={"name": "B"})).json()["id"]
    await client.patch(f"/v1/campaigns/{mine}", json={"name": "C"}, headers=ANY)
    by_member = await entries(owner, actor_id=str(member.id))
    assert [each["row_id"] for each in by_member] == [mine, theirs]
    assert [each["row_id"] for each in await entries(owner, table="campaigns")] == [mine, theirs, mine]
    assert await entries(owner, table="campaigns", row_id=mine, actor_id=str(member.id)) == by_member[:1]
    [request] = {each["request_id"] for each in by_member[:1]}
    assert by_member[0] in await entries(owner, request_id=request)
    assert await entries(owner, request_id="nobody") == []
    assert await entries(owner, row_id=str(uuid4())) == await entries(owner, table="otps") == []
    for name, value in (("actor_id", "x"), ("row_id", "1"), ("table", "Campaigns"), ("table", "a;b"), ("op", "insert")):
        assert wrong_fields(await owner.get("/v1/audit", params={name: value})) == [name]


async def test_every_change_is_seen_once_while_new_ones_arrive(
    api: Api, new: Factory, acme: NewTenant, database: Database
) -> None:
    owner = await api.client(acme)
    for n in range(4):
        async with Work(database, acme.id) as work:
            for m in range(n + 1):
                await work.campaigns.create(name=f"{n} {m}", owner_id=acme.owner.id)
    whole = [each["id"] for each in await entries(owner)]
    assert len(whole) == len(set(whole)) > 10
    for limit in (1, 2, 3, len(whole)):
        seen: list[str] = []
        page: dict[str, Any] = {"next": ""}
        while page["next"] is not None:
            query = {"limit": str(limit)} | ({"after": page["next"]} if page["next"] else {})
            page = (await owner.get("/v1/audit", params=query)).json()
            ids = [each["id"] for each in page["items"]]
            assert not set(ids) & set(seen)
            seen += ids
            await new.campaign(acme)
        assert seen == whole
        whole = [each["id"] for each in await entries(owner, limit="200")]


async def test_a_wrong_cursor_or_limit_is_refused_by_name(api: Api, acme: NewTenant) -> None:
    owner = await api.client(acme)
    cursor = (await owner.get("/v1/audit?limit=1")).json()["next"]
    for after in ("", "x", "é", cursor[:-4], f"{cursor}AAAA", base64.urlsafe_b64encode(b"x" * 24).decode()):
        assert wrong_fields(await owner.get("/v1/audit", params={"after": after})) == ["after"]
    for limit in ("0", "201", "x", ""):
        assert wrong_fields(await owner.get("/v1/audit", params={"limit": limit})) == ["limit"]
    for edge in (b"\xff" * 12, b"\x7f" + b"\xff" * 11, b"\0" * 12, b"\x80" + b"\0" * 11):
        assert (
            await owner.get("/v1/audit", params={"after": base64.urlsafe_b64encode(edge).decode()})
        ).status_code == 200
    etag = (await owner.get("/v1/audit")).headers["etag"]
    assert (await owner.get("/v1/audit", headers={"If-None-Match": etag})).status_code == 304


async def test_a_tenant_sees_its_own_changes_only(api: Api, new: Factory, acme: NewTenant, globex: NewTenant) -> None:
    owner, stranger = await api.client(acme), await api.client(globex)
    mine = {each["row_id"] for each in await entries(owner)}
    await new.campaign(globex)
    assert {each["row_id"] for each in await entries(owner)} == mine
    for id in mine:
        assert await entries(stranger, row_id=id) == []
    assert await entries(stranger, actor_id=str(acme.owner.id)) == []
    assert len(await entries(stranger)) >= 3


@pytest.mark.parametrize("role", ["viewer", "member"])
async def test_admins_alone_read_it(api: Api, new: Factory, acme: NewTenant, role: str) -> None:
    client = await api.client(acme, await new.user(acme.id, role=role))
    for path in ("/v1/audit", "/v1/audit/sign-ins", "/v1/audit?limit=x"):
        problem(await client.get(path), 403, "forbidden")
        for method in ("POST", "PATCH", "PUT", "DELETE"):
            problem(await client.request(method, path), 405, "method_not_allowed")
