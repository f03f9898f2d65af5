"""Who may do what: every route of the application, for every role, in the caller's own tenant and in another's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from arranging.accounts import NewTenant
from arranging.application import Api, problem
from arranging.drafts import DELETABLE, PATCHES, draft_of, path_of
from service.api.routes import ENDPOINTS
from service.repos.users import User

ROLES = ("viewer", "member", "admin", "owner")
WEAKEST = {
    "GET /livez": None,
    "GET /readyz": None,
    "GET /healthz": None,
    "GET /metrics": None,
    "GET /openapi.json": None,
    "GET /docs": None,
    "POST /v1/sessions": None,
    "POST /v1/seed/niches": None,
    "GET /v1/sessions": "viewer",
    "DELETE /v1/sessions": "viewer",
    "GET /v1/sessions/current": "viewer",
    "DELETE /v1/sessions/current": "viewer",
    "DELETE /v1/sessions/{id}": "viewer",
    "GET /v1/keys": "admin",
    "POST /v1/keys": "admin",
    "DELETE /v1/keys/{id}": "admin",
    "POST /v1/otps": "member",
    "POST /v1/otps/verify": "member",
    "GET /v1/tenant": "viewer",
    "PATCH /v1/tenant": "admin",
    "GET /v1/users": "viewer",
    "POST /v1/users": "admin",
    "GET /v1/users/{id}": "viewer",
    "PATCH /v1/users/{id}": "admin",
    "DELETE /v1/users/{id}": "admin",
    "PUT /v1/users/{id}/password": "admin",
    "GET /v1/changes": "viewer",
    "GET /v1/changes/stream": "viewer",
    "POST /v1/changes/tickets": "viewer",
    "GET /v1/niches": "viewer",
    "GET /v1/niches/{id}": "viewer",
    "GET /v1/audit": "admin",
    "GET /v1/audit/sign-ins": "admin",
    "GET /v1/brands": "viewer",
    "POST /v1/brands": "member",
    "GET /v1/brands/{id}": "viewer",
    "PATCH /v1/brands/{id}": "member",
    "DELETE /v1/brands/{id}": "member",
    "POST /v1/brands/{id}/restore": "member",
    "PUT /v1/brands/{id}/niches/{niche_id}": "member",
    "DELETE /v1/brands/{id}/niches/{niche_id}": "member",
    "GET /v1/influencers": "viewer",
    "POST /v1/influencers": "member",
    "GET /v1/influencers/{id}": "viewer",
    "PATCH /v1/influencers/{id}": "member",
    "DELETE /v1/influencers/{id}": "member",
    "POST /v1/influencers/{id}/restore": "member",
    "PUT /v1/influencers/{id}/niches/{niche_id}": "member",
    "DELETE /v1/influencers/{id}/niches/{niche_id}": "member",
    "GET /v1/campaigns": "viewer",
    "POST /v1/campaigns": "member",
    "GET /v1/campaigns/{id}": "viewer",
    "PATCH /v1/campaigns/{id}": "member",
    "DELETE /v1/campaigns/{id}": "member",
    "POST /v1/campaigns/{id}/restore": "member",
    "GET /v1/campaigns/{campaign_id}/contents": "viewer",
    "POST /v1/campaigns/{campaign_id}/contents": "member",
    "GET /v1/campaigns/{campaign_id}/contents/{id}": "viewer",
    "PATCH /v1/campaigns/{campaign_id}/contents/{id}": "member",
    "DELETE /v1/campaigns/{campaign_id}/contents/{id}": "member",
    "POST /v1/campaigns/{campaign_id}/contents/{id}/restore": "member",
    "GET /v1/campaigns/{campaign_id}/influencers": "viewer",
    "PUT /v1/campaigns/{campaign_id}/influencers/{influencer_id}": "member",
    "DELETE /v1/campaigns/{campaign_id}/influencers/{influencer_id}": "member",
}
"""The contract's column "who". A password is set by its own user, too; here it is somebody else's."""
ROUTES = [f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS]
IN_A_TENANT = [route for route in ROUTES if WEAKEST.get(route) is not None]
OF_A_ROW = [route for route in IN_A_TENANT if "{" in route and " /v1/niches" not in route]


class World:
    """A tenant with a user of every role; hands out the address and the body of a request on a row of its own."""

    def __init__(self, api: Api, tenant: NewTenant, add_niche: Callable[..., UUID]) -> None:
        self.api, self.tenant, self.add_niche = api, tenant, add_niche

    async def user(self, role: str) -> User:
        return await self.api.new.user(self.tenant.id, email=f"{uuid4().hex}@{self.tenant.domain}", role=role)

    async def session(self, user: User) -> str:
        client = await self.api.client(self.tenant, user)
        return str((await client.get("/v1/sessions/current")).json()["id"])

    async def path(self, route: str, user: User) -> str:
        """The route's path with ids of rows that are new, and the caller's own where only those count."""
        path = route.partition(" ")[2]
        if path == "/v1/sessions/{id}":
            return f"/v1/sessions/{await self.session(user)}"
        if path == "/v1/keys/{id}":
            owner = await self.api.client(self.tenant)
            return f"/v1/keys/{(await owner.post('/v1/keys', json=draft_of('keys'))).json()['id']}"
        if path == "/v1/niches/{id}":
            return f"/v1/niches/{self.add_niche(uuid4().hex)}"
        for pattern, kind in KIND_OF_PATTERN.items():
            if pattern in path:
                return await self.completed(route, await path_of(kind, self.api.new, self.tenant))
        return path

    async def completed(self, route: str, row: str) -> str:
        """The path of something about `row`; what is to be taken away is put there first."""
        method, _, path = route.partition(" ")
        for name, other in (("niche_id", "niches"), ("influencer_id", "influencers")):
            if f"{{{name}}}" in path:
                id = (
                    self.add_niche(uuid4().hex)
                    if other == "niches"
                    else (await self.api.new.influencer(self.tenant)).id
                )
                address = f"{row}/{other}/{id}"
                if method == "DELETE":
                    owner = await self.api.client(self.tenant)
                    assert (await owner.put(address, json={})).status_code == 200
                return address
        return row + path.rpartition("}")[2]


KIND_OF_PATTERN = {
    "/contents/{id}": "contents",
    "/campaigns/{": "campaigns",
    "/users/{": "users",
    "/brands/{": "brands",
    "/influencers/{id}": "influencers",
}


def body_of(route: str) -> dict[str, Any] | None:
    method, _, path = route.partition(" ")
    if path.endswith("/password"):
        return {"password": "a new password"}
    if path.endswith("/verify"):
        return {"phone": "+14155550100", "code": "000000"}
    kinds = ("contents", "campaigns", "users", "tenant", "keys", "otps", "brands", "influencers")
    kind = next((kind for kind in kinds if f"/{kind}" in path), "")
    if method == "POST" and not path.endswith(("/restore", "/tickets")):
        return draft_of(kind)
    return PATCHES[kind] if method == "PATCH" else {} if method == "PUT" else None


async def send(client: httpx.AsyncClient, route: str, path: str, **headers: str) -> httpx.Response:
    return await client.request(
        route.partition(" ")[0], path, json=body_of(route), headers={"If-Match": "*", **headers}
    )


def expected_status(route: str) -> int:
    method, _, path = route.partition(" ")
    if path.startswith("/v1/otps"):
        # Nobody was sent the code that is tried.
        return 422 if path.endswith("/verify") else 202
    if method == "POST" and not path.endswith("/restore"):
        return 201
    if method == "PUT" and not path.endswith("/password"):
        return 200
    return 204 if method in ("DELETE", "PUT") else 200


def test_the_contract_says_of_every_route_who_may_use_it() -> None:
    assert sorted(ROUTES) == sorted(WEAKEST), "WEAKEST, in this file, names the weakest role that may use each route"
    assert len(set(ROUTES)) == len(ROUTES)


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_is_served_on_its_routes_and_forbidden_on_the_others(
    api: Api, acme: NewTenant, add_niche: Callable[..., UUID], role: str
) -> None:
    world = World(api, acme, add_niche)
    for route in IN_A_TENANT:
        user = await world.user(role)
        client = await api.client(acme, user)
        answer = await send(client, route, await world.path(route, user))
        if ROLES.index(role) >= ROLES.index(str(WEAKEST[route])):
            assert answer.status_code == expected_status(route), (route, answer.text)
        else:
            problem(answer, 403, "forbidden")


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_finds_nothing_of_another_tenant(
    api: Api, acme: NewTenant, globex: NewTenant, add_niche: Callable[..., UUID], role: str
) -> None:
    world, other = World(api, acme, add_niche), World(api, globex, add_niche)
    user = await world.user(role)
    client = await api.client(acme, user)
    for route in OF_A_ROW:
        stranger = await other.user(role)
        answer = await send(client, route, await other.path(route, stranger))
        if ROLES.index(role) >= ROLES.index(str(WEAKEST[route])):
            problem(answer, 404, "not_found")
        else:
            problem(answer, 403, "forbidden")


async def test_a_stranger_changes_nothing(api: Api, acme: NewTenant, globex: NewTenant) -> None:
    stranger, owner = await api.client(acme), await api.client(globex)
    for kind in DELETABLE:
        path = await path_of(kind, api.new, globex)
        before = (await owner.get(path)).json()
        await stranger.patch(path, json=PATCHES[kind], headers={"If-Match": "*"})
        await stranger.delete(path, headers={"If-Match": "*"})
        await stranger.post(f"{path}/restore")
        assert (await owner.get(path)).json() == before


async def test_who_asks_is_settled_before_anything_else_is_looked_at(api: Api, acme: NewTenant) -> None:
    nobody = await api.client()
    viewer = await api.client(acme, await api.new.user(acme.id, role="viewer"))
    for route in IN_A_TENANT:
        method, path = route.split(" ")
        path = re.sub(r"\{\w+\}", str(uuid4()), path)
        problem(await nobody.request(method, f"{path}?limit=x", content=b"{"), 401, "unauthorized")
        if WEAKEST[route] != "viewer":
            problem(await viewer.request(method, path, content=b"{"), 403, "forbidden")


async def test_anyone_is_served_where_nobody_has_to_sign_in(api: Api) -> None:
    nobody = await api.client()
    for route in [route for route in ROUTES if WEAKEST[route] is None]:
        method, path = route.split(" ")
        # 415: no body was sent; 404: seeds are run in development alone.
        assert (await nobody.request(method, path)).status_code in (200, 404, 415), route
