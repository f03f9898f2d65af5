"""/v1/keys: how programs get in."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api, problem, until, wrong_fields
from arranging.drafts import draft_of
from arranging.factories import Factory
from service.database.database import Database
from service.work import Work

OF_PEOPLE = (
    ("GET", "/v1/sessions"),
    ("GET", "/v1/sessions/current"),
    ("DELETE", "/v1/sessions"),
    ("DELETE", "/v1/sessions/current"),
)


async def program(api: Api, acme: NewTenant, **fields: Any) -> tuple[httpx.AsyncClient, dict[str, Any]]:
    """A client with a new key, and the key as it was shown; the owner makes it."""
    answer = await (await api.client(acme)).post("/v1/keys", json={"name": "Import", **fields})
    assert answer.status_code == 201, answer.text
    return await api.client(Authorization=f"Bearer {answer.json()['key']}"), answer.json()


async def test_a_key_is_shown_once_and_only_its_hash_is_kept(api: Api, acme: NewTenant, superuser: Any) -> None:
    _, made = await program(api, acme, role="viewer")
    assert made == {
        "id": made["id"], "name": "Import", "role": "viewer", "created_by": str(acme.owner.id), "expires_at": None,
        "last_used_at": None, "created_at": made["created_at"], "updated_at": made["created_at"], "version": 1,
        "key": made["key"],
    }  # fmt: skip
    secret = made.pop("key")
    assert secret.startswith("qk_")
    listed = await (await api.client(acme)).get("/v1/keys")
    assert listed.json()["items"] == [made]
    (kept,) = superuser.execute("SELECT key_hash FROM quarry.api_keys").fetchone()
    assert kept == hashlib.sha256(urlsafe_b64decode(secret[3:])[16:]).digest()


@pytest.mark.parametrize("role", ["viewer", "member", "admin"])
async def test_a_key_lets_a_program_in_with_its_role(api: Api, new: Factory, acme: NewTenant, role: str) -> None:
    client, _ = await program(api, acme, **({} if role == "member" else {"role": role}))
    assert (await client.get("/v1/campaigns")).status_code == 200
    made = await client.post("/v1/campaigns", json={"name": "Made by a program"})
    assert made.status_code == (403 if role == "viewer" else 201)
    assert (await client.get("/v1/audit")).status_code == (200 if role == "admin" else 403)
    if role != "viewer":
        assert made.json()["owner_id"] == str(acme.owner.id)
    if role == "admin":
        problem(await client.post("/v1/users", json={**draft_of("users"), "role": "owner"}), 403, "forbidden")


async def test_a_key_of_one_tenant_opens_no_other(api: Api, new: Factory, acme: NewTenant, globex: NewTenant) -> None:
    client, made = await program(api, acme)
    problem(await client.get(f"/v1/campaigns/{(await new.campaign(globex)).id}"), 404, "not_found")
    assert (await (await api.client(globex)).get("/v1/keys")).json()["items"] == []
    problem(await (await api.client(globex)).delete(f"/v1/keys/{made['id']}"), 404, "not_found")
    assert (await client.get("/v1/tenant")).json()["domain"] == acme.domain


async def test_a_revoked_an_expired_and_a_suspended_tenants_key_are_refused(
    api: Api, acme: NewTenant, superuser: Any, platform: Database
) -> None:
    owner, (revoked, made) = await api.client(acme), await program(api, acme)
    assert (await owner.delete(f"/v1/keys/{made['id']}")).status_code == 204
    problem(await revoked.get("/v1/campaigns"), 401, "unauthorized")
    problem(await owner.delete(f"/v1/keys/{made['id']}"), 404, "not_found")
    assert (await owner.get("/v1/keys")).json()["items"] == []
    later = datetime.now(UTC) + timedelta(hours=1)
    expired, shown = await program(api, acme, expires_at=later.isoformat())
    assert datetime.fromisoformat(shown["expires_at"]) == later
    assert (await expired.get("/v1/campaigns")).status_code == 200
    superuser.execute("UPDATE quarry.api_keys SET expires_at = now()")
    superuser.commit()
    refusal = await until(lambda: expired.get("/v1/campaigns"), lambda answer: answer.status_code != 200)
    assert "key" in problem(refusal, 401, "session_expired")["detail"]
    suspended, _ = await program(api, acme)
    async with Work(platform, None) as work:
        await work.tenants.set_status(acme.domain, "suspended")
    problem(await suspended.get("/v1/campaigns"), 403, "tenant_suspended")


async def test_nobody_makes_a_key_above_their_own_role(api: Api, new: Factory, acme: NewTenant) -> None:
    owner, admin = await api.client(acme), await api.client(acme, await new.user(acme.id, role="admin"))
    for client in (owner, admin):
        assert wrong_fields(await client.post("/v1/keys", json={"name": "A", "role": "owner"})) == ["role"]
        assert (await client.post("/v1/keys", json={"name": "A", "role": "admin"})).status_code == 201


async def test_a_program_has_no_sessions_and_no_password(api: Api, acme: NewTenant) -> None:
    client, made = await program(api, acme, role="admin")
    for method, path in OF_PEOPLE:
        problem(await client.request(method, path), 403, "forbidden")
    session = (await (await api.client(acme)).get("/v1/sessions/current")).json()["id"]
    problem(await client.delete(f"/v1/sessions/{session}"), 403, "forbidden")
    for id in (acme.owner.id, made["id"]):
        answer = await client.put(
            f"/v1/users/{id}/password", json={"password": "a new password", "current_password": PASSWORD}
        )
        problem(answer, 403, "forbidden")


async def test_a_program_makes_no_keys_that_would_outlive_its_own(api: Api, acme: NewTenant) -> None:
    client, made = await program(api, acme, role="admin")
    problem(await client.post("/v1/keys", json={"name": "Child", "role": "admin"}), 403, "forbidden")
    problem(await client.get("/v1/keys"), 403, "forbidden")
    problem(await client.delete(f"/v1/keys/{made['id']}"), 403, "forbidden")


async def test_a_program_lets_nobody_in(api: Api, new: Factory, acme: NewTenant) -> None:
    client, _ = await program(api, acme, role="admin")
    member = await new.user(acme.id, is_active=False)
    draft = {"email": "b@acme.example", "display_name": "B", "password": "a password for b", "role": "admin"}
    problem(await client.post("/v1/users", json=draft), 403, "forbidden")
    change = await client.patch(f"/v1/users/{member.id}", json={"is_active": True}, headers={"If-Match": "*"})
    problem(change, 403, "forbidden")
    problem(await client.delete(f"/v1/users/{member.id}", headers={"If-Match": "*"}), 403, "forbidden")


@pytest.mark.parametrize("fate", ["deactivated", "deleted"])
async def test_a_key_is_refused_while_its_maker_is_not_active(
    api: Api, new: Factory, acme: NewTenant, fate: str
) -> None:
    owner = await api.client(acme)
    maker = await new.user(acme.id, role="admin")
    made = (await (await api.client(acme, maker)).post("/v1/keys", json={"name": "A", "role": "admin"})).json()
    client, path = await api.client(Authorization=f"Bearer {made['key']}"), f"/v1/users/{maker.id}"
    assert (await client.get("/v1/campaigns")).status_code == 200
    if fate == "deleted":
        await owner.delete(path, headers={"If-Match": "*"})
    else:
        await owner.patch(path, json={"is_active": False}, headers={"If-Match": "*"})
    problem(await client.get("/v1/campaigns"), 401, "unauthorized")
    if fate == "deactivated":
        await owner.patch(path, json={"is_active": True}, headers={"If-Match": "*"})
        assert (await client.get("/v1/campaigns")).status_code == 200


async def test_a_key_may_do_no_more_than_its_maker_may_now(api: Api, new: Factory, acme: NewTenant) -> None:
    maker = await new.user(acme.id, role="admin")
    made = (await (await api.client(acme, maker)).post("/v1/keys", json={"name": "A", "role": "admin"})).json()
    client = await api.client(Authorization=f"Bearer {made['key']}")
    assert (await client.post("/v1/campaigns", json={"name": "A"})).status_code == 201
    path = f"/v1/users/{maker.id}"
    await (await api.client(acme)).patch(path, json={"role": "viewer"}, headers={"If-Match": "*"})
    problem(await client.post("/v1/campaigns", json={"name": "B"}), 403, "forbidden")
    assert (await client.get("/v1/campaigns")).status_code == 200


async def test_the_log_names_the_key_that_did_it(api: Api, acme: NewTenant) -> None:
    client, made = await program(api, acme, role="admin")
    campaign = (await client.post("/v1/campaigns", json={"name": "Summer"})).json()
    (entry,) = (await client.get("/v1/audit", params={"table": "campaigns"})).json()["items"]
    assert (entry["actor_id"], entry["session_id"], entry["row_id"]) == (made["id"], None, campaign["id"])
    assert (await client.get("/v1/audit", params={"actor_id": made["id"]})).json()["items"] == [entry]
    (entry,) = (await client.get("/v1/audit", params={"table": "api_keys"})).json()["items"]
    assert (entry["actor_id"], entry["op"], entry["row_id"]) == (str(acme.owner.id), "insert", made["id"])


async def test_the_last_use_of_a_key_is_noted_and_is_no_change_of_it(api: Api, acme: NewTenant) -> None:
    owner, (client, made) = await api.client(acme), await program(api, acme)
    before = (await owner.get("/v1/keys")).json()["items"]
    assert before[0]["last_used_at"] is None
    for _ in range(2):
        assert (await client.get("/v1/campaigns")).status_code == 200
    await api.state["upkeep"].flush()
    (after,) = (await owner.get("/v1/keys")).json()["items"]
    assert after["last_used_at"] > made["created_at"]
    assert {**after, "last_used_at": None} == before[0]


async def test_what_a_key_is_made_of(api: Api, acme: NewTenant) -> None:
    owner = await api.client(acme)
    assert wrong_fields(await owner.post("/v1/keys", json={})) == ["name"]
    wrong: dict[str, list[Any]] = {
        "name": ["", "x" * 201, "a\x00b", None, 1],
        "role": ["", "root", None],
        "expires_at": [
            "", "x", "2020-01-01T00:00:00Z", "2030-01-01", "2030-01-01T00:00:00", 1_900_000_000, "1900000000",
            "9999-12-31T23:59:59-10:00", "2030-02-30T00:00:00Z", "2030-01-01T25:00:00Z", "0001-01-01T00:00:00+10:00", True,
        ],
        "key": ["qk_mine"],
        "created_by": [str(acme.owner.id)],
    }  # fmt: skip
    for field, values in wrong.items():
        for value in values:
            answer = await owner.post("/v1/keys", json={"name": "A", field: value})
            assert (value, wrong_fields(answer)) == (value, [field])
    assert (await owner.get("/v1/keys")).json()["items"] == []
    for right in ("9999-12-31T23:59:59Z", "2999-01-01T00:00:00.5+05:30"):
        assert (await owner.post("/v1/keys", json={"name": "A", "expires_at": right})).status_code == 201
    assert wrong_fields(await owner.get("/v1/keys?role=owner")) == ["role"]
