"""Signing in: POST /v1/sessions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from arranging.accounts import PASSWORD, PASSWORD_HASH, NewTenant
from arranging.application import Api, problem, wrong_fields
from arranging.factories import Factory
from service.database.database import Database
from service.settings.settings import Settings
from service.work import Work

SIGN_IN = {"tenant": "acme.example", "email": "owner@acme.example", "password": PASSWORD}


async def sign_in(client: httpx.AsyncClient, host: str = "quarry.test", **changes: Any) -> httpx.Response:
    body = {name: value for name, value in {**SIGN_IN, **changes}.items() if value is not ...}
    return await client.post("/v1/sessions", json=body, headers={"Host": host})


async def test_the_right_password_opens_a_session(api: Api, acme: NewTenant, settings: Settings) -> None:
    nobody = await api.client()
    before = datetime.now(UTC)
    answer = await sign_in(nobody)
    assert answer.status_code == 201
    content = answer.json()
    assert set(content) == {"token", "expires_at", "user"}
    lifetime = datetime.fromisoformat(content["expires_at"]) - before
    assert abs(lifetime - timedelta(seconds=settings.session_lifetime)) < timedelta(seconds=30)
    bearer = {"Authorization": f"Bearer {content['token']}"}
    owner = (await nobody.get(f"/v1/users/{acme.owner.id}", headers=bearer)).json()
    assert content["user"] == owner
    assert "password" not in str(owner)


async def test_a_hash_with_old_parameters_is_renewed_by_the_sign_in(
    api: Api, acme: NewTenant, database: Database
) -> None:
    nobody = await api.client()
    assert (await sign_in(nobody)).status_code == 201
    async with Work(database, acme.id) as work:
        renewed, opened = work.users.opened(await work.users.credentials(acme.owner.id))
    assert opened not in (None, PASSWORD_HASH)
    assert not api.state["passwords"].is_outdated(opened)
    assert (await sign_in(nobody)).status_code == 201
    async with Work(database, acme.id) as work:
        assert (await work.users.credentials(acme.owner.id)).password_hash == renewed


async def test_a_session_remembers_from_where_it_was_opened(api: Api, acme: NewTenant) -> None:
    nobody = await api.client(**{"User-Agent": f"Browser\x01 {'x' * 600}"})
    token = (await sign_in(nobody)).json()["token"]
    session = (await nobody.get("/v1/sessions/current", headers={"Authorization": f"bearer {token}"})).json()
    assert (session["ip"], session["user_id"], session["is_current"]) == ("192.0.2.7", str(acme.owner.id), True)
    assert session["user_agent"] == f"Browser {'x' * 492}"


async def test_whatever_is_wrong_is_answered_alike(api: Api, new: Factory, acme: NewTenant, globex: NewTenant) -> None:
    nobody = await api.client()
    await new.user(acme.id, email="inactive@acme.example", is_active=False)
    gone = await new.user(acme.id, email="gone@acme.example")
    await (await api.client(acme)).delete(f"/v1/users/{gone.id}", headers={"If-Match": "*"})
    bodies = []
    for changes in (
        {"password": PASSWORD + "!"},
        {"password": "x"},
        {"password": "\x00"},
        {"email": "nobody@acme.example"},
        {"email": "owner@globex.example"},
        {"tenant": "nobody.example"},
        {"tenant": "globex.example"},
        {"tenant": ...},
        {"email": "inactive@acme.example"},
        {"email": "gone@acme.example"},
    ):
        bodies.append(problem(await sign_in(nobody, **changes), 401, "unauthorized"))
        del bodies[-1]["request_id"]
    assert all(body == bodies[0] for body in bodies)


async def test_the_host_name_decides_where_no_tenant_is_given(api: Api, acme: NewTenant, globex: NewTenant) -> None:
    nobody = await api.client()
    for host in ("acme.example", "acme.example:8000", "ACME.example"):
        for tenant in (..., None):
            assert (await sign_in(nobody, host, tenant=tenant)).status_code == 201
    assert (await sign_in(nobody, "globex.example")).status_code == 201
    for host in ("globex.example", "acme.example..", "[::1]", "[", "acme.example@x", "x:99999", ""):
        problem(await sign_in(nobody, host, tenant=...), 401, "unauthorized")


async def test_names_are_compared_in_any_case_and_without_the_space_around_them(api: Api, acme: NewTenant) -> None:
    nobody = await api.client()
    answer = await sign_in(nobody, tenant=" ACME.Example ", email="  Owner@ACME.example ")
    assert answer.json()["user"]["email"] == "owner@acme.example"
    problem(await sign_in(nobody, password=PASSWORD.upper()), 401, "unauthorized")
    problem(await sign_in(nobody, password=f" {PASSWORD} "), 401, "unauthorized")


async def test_a_suspended_tenant_is_told_so_but_only_to_who_knows_the_password(
    api: Api, acme: NewTenant, platform: Database
) -> None:
    nobody = await api.client()
    for status in ("suspended", "archived"):
        async with Work(platform, None) as work:
            await work.tenants.set_status(acme.domain, status)  # type: ignore[arg-type]
        problem(await sign_in(nobody), 403, "tenant_suspended")
        problem(await sign_in(nobody, password="a wrong password"), 401, "unauthorized")


async def test_what_a_sign_in_is_made_of(api: Api, acme: NewTenant) -> None:
    nobody = await api.client()
    assert wrong_fields(await nobody.post("/v1/sessions", json={})) == ["email", "password"]
    for changes, field in (
        ({"email": 1}, "email"),
        ({"email": "nobody"}, "email"),
        ({"email": "a\x00@b.example"}, "email"),
        ({"password": ""}, "password"),
        ({"password": "x" * 1_001}, "password"),
        ({"tenant": ""}, "tenant"),
        ({"tenant": "acme\x00.example"}, "tenant"),
        ({"tenant": "x" * 254}, "tenant"),
        ({"remember": True}, "remember"),
    ):
        assert wrong_fields(await sign_in(nobody, **changes)) == [field]
    problem(
        await nobody.post("/v1/sessions", content=b"{", headers={"Content-Type": "application/json"}), 400, "malformed"
    )


async def test_others_are_served_while_a_password_is_compared(api: Api, acme: NewTenant) -> None:
    nobody, owner = await api.client(), await api.client(acme)
    waiting = [asyncio.ensure_future(sign_in(nobody, email="nobody@acme.example")) for _ in range(8)]
    answered = 0
    while not any(task.done() for task in waiting):
        assert (await owner.get("/v1/campaigns")).status_code == 200
        answered += 1
    assert answered > 2
    for task in waiting:
        problem(await task, 401, "unauthorized")


@pytest.mark.parametrize("host", ["acme.example.", "ACME.example.:8000"])
async def test_host_name_with_a_final_dot_leads_to_its_tenant(api: Api, acme: NewTenant, host: str) -> None:
    credentials = {"email": "owner@acme.example", "password": PASSWORD}
    answer = await (await api.client(Host=host)).post("/v1/sessions", json=credentials)
    assert answer.status_code == 201, answer.text
