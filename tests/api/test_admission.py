"""Who is served: every request asks again whether anything speaks against it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from arranging.accounts import NewTenant
from arranging.application import Api, problem, until
from arranging.factories import Factory
from service.accounts import tokens
from service.database.database import Database
from service.tenancy.identity import TenantId
from service.work import Work

REQUESTS = (("GET", "/v1/campaigns"), ("POST", "/v1/campaigns"), ("DELETE", "/v1/sessions/current"))


async def refused(client: httpx.AsyncClient, status: int, code: str) -> None:
    """On every kind of request, with a body that would be wrong, too."""
    for method, path in REQUESTS:
        answer = await client.request(method, path, content=b"{")
        problem(answer, status, code)
        assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_a_caller_shows_a_token_that_is_one(api: Api, acme: NewTenant) -> None:
    nobody, token = await api.client(), await api.new.token(acme)
    unknown, _ = tokens.issue(acme.id)
    elsewhere, _ = tokens.issue(TenantId(uuid4()))
    for header in (
        None, "", "Bearer", "Bearer ", token, f"Basic {token}", f"Bearer {token[:-1]}", f"Bearer {token} x",
        f"Bearer x {token}", f"Bearer {token}, Bearer {token}", "Bearer qs_", f"Bearer {unknown}", f"Bearer {elsewhere}",
        "Bearer \xff",
    ):  # fmt: skip
        headers = {} if header is None else {"Authorization": header.encode("latin-1")}
        problem(await nobody.get("/v1/campaigns", headers=headers), 401, "unauthorized")
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer  "):
        answer = await nobody.get("/v1/campaigns", headers={"Authorization": f"{scheme} {token}"})
        assert answer.status_code == 200


async def test_a_revoked_session_is_refused_at_once(api: Api, acme: NewTenant, database: Database) -> None:
    client = await api.client(acme)
    async with Work(database, acme.id) as work:
        await work.sessions.revoke_of_user(acme.owner.id)
    await refused(client, 401, "unauthorized")


async def test_an_expired_session_is_refused_at_once(api: Api, acme: NewTenant, platform: Database) -> None:
    nobody, token = await api.client(), await api.new.token(acme, lifetime=timedelta(milliseconds=400))
    nobody.headers["Authorization"] = f"Bearer {token}"
    answer = await nobody.get("/v1/campaigns")
    while answer.status_code == 200:
        answer = await nobody.get("/v1/campaigns")
    await refused(nobody, 401, "session_expired")
    async with Work(platform, None) as work:
        await work.tenants.set_status(acme.domain, "suspended")
    await refused(nobody, 401, "session_expired")


@pytest.mark.parametrize("change", [{"is_active": False}, None])
async def test_an_inactive_or_deleted_user_is_refused_at_once(
    api: Api, new: Factory, acme: NewTenant, database: Database, change: dict[str, Any] | None
) -> None:
    user = await new.user(acme.id, role="admin")
    client = await api.client(acme, user)
    async with Work(database, acme.id) as work:
        if change is None:
            await work.users.remove(user.id)
        else:
            await work.users.update(user.id, given=list(change), **change)
    await refused(client, 401, "unauthorized")


async def test_a_tenant_is_refused_while_it_is_not_active(
    api: Api, acme: NewTenant, globex: NewTenant, platform: Database
) -> None:
    client, other = await api.client(acme), await api.client(globex)
    for status in ("suspended", "archived"):
        async with Work(platform, None) as work:
            await work.tenants.set_status(acme.domain, status)  # type: ignore[arg-type]
        await until(lambda: client.get("/v1/campaigns"), lambda answer: answer.status_code == 403)
        await refused(client, 403, "tenant_suspended")
        assert (await other.get("/v1/campaigns")).status_code == 200
    async with Work(platform, None) as work:
        await work.tenants.set_status(acme.domain, "active")
    await until(lambda: client.get("/v1/campaigns"), lambda answer: answer.status_code == 200)


async def test_another_role_counts_from_the_next_request_on(api: Api, new: Factory, acme: NewTenant) -> None:
    owner, user = await api.client(acme), await new.user(acme.id, role="viewer")
    client = await api.client(acme, user)
    for role, status in (("viewer", 403), ("member", 201), ("viewer", 403)):
        await owner.patch(f"/v1/users/{user.id}", json={"role": role}, headers={"If-Match": "*"})
        assert (await client.post("/v1/campaigns", json={"name": "Summer"})).status_code == status


async def test_a_session_of_one_tenant_opens_no_other(api: Api, acme: NewTenant, globex: NewTenant) -> None:
    client = await api.client(acme)
    for headers in ({"Host": globex.domain}, {"X-Tenant": globex.domain}, {"X-Tenant-Id": str(globex.id)}):
        assert (await client.get("/v1/tenant", headers=headers)).json()["domain"] == acme.domain
