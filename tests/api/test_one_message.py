"""A GET is one message to the database where it can be, and its answer is the same as by way of a transaction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from api.conftest import Serve
from api.test_matrix import IN_A_TENANT, World
from arranging.accounts import OWN_SCHEMAS, NewTenant
from arranging.application import Api
from arranging.drafts import list_of, path_of
from arranging.factories import Factory
from arranging.proxy import Proxy, proxied
from service.accounts.tokens import issue
from service.api.routes import ENDPOINTS
from service.http import answers
from service.http.answers import Accepted
from service.http.call import Call
from service.http.endpoints import Endpoint
from service.settings.settings import Settings
from service.work import Work

pytestmark = pytest.mark.skipif(OWN_SCHEMAS, reason="a tenant with a schema of its own is not served so")

READS = [route for route in IN_A_TENANT if route.startswith("GET ") and not route.endswith("/stream")]
ODD = "\"\\/\b\f\n\r\t\x01\x1f\x7f<é😀\u2028'$1"[:60]


@contextmanager
def by_transaction(api: Api, tenant: NewTenant) -> Iterator[None]:
    """Meanwhile, the tenant's reads take the way of a tenant with a schema of its own."""
    apart = api.state["database"].pool.own_schema_tenants
    apart.add(tenant.id)
    try:
        yield
    finally:
        apart.discard(tenant.id)


async def answers_of(
    api: Api, tenant: NewTenant, client: httpx.AsyncClient, path: str
) -> list[tuple[int, bytes, list[tuple[str, str]]]]:
    """The answer by one message, and by a transaction; without what differs from request to request."""
    short = await client.get(path)
    with by_transaction(api, tenant):
        long = await client.get(path)
    hidden = {"request-id"}
    return [
        (each.status_code, each.content.replace(each.headers["request-id"].encode(), b""),
         sorted((name, value) for name, value in each.headers.items() if name not in hidden))
        for each in (short, long)
    ]  # fmt: skip


@pytest.fixture
async def api(serve: Serve) -> Api:
    return await serve(cache_ttl=0)


@pytest.mark.parametrize("route", READS)
async def test_every_get_answers_the_same_both_ways(
    api: Api, acme: NewTenant, add_niche: Callable[..., UUID], route: str
) -> None:
    world = World(api, acme, add_niche)
    path = await world.path(route, acme.owner)
    owner, viewer, nobody = (
        await api.client(acme),
        await api.client(acme, await world.user("viewer")),
        await api.client(),
    )
    stranger = await api.client(Authorization=f"Bearer qs_{'A' * 64}")
    for client in (owner, viewer, nobody, stranger):
        for query in ("", "?limit=1", "?limit=x", "?nonsense=1"):
            short, long = await answers_of(api, acme, client, path + query)
            assert short == long
    for wrong in (path + "0", path.rpartition("/")[0] + "/00000000-0000-4000-8000-000000000000"):
        short, long = await answers_of(api, acme, owner, wrong)
        assert short == long


@pytest.mark.parametrize("at", ["2026-01-01 00:00:00+00", "2026-01-01 00:00:00.1+00", "1999-12-31 23:59:59.999999+02"])
async def test_odd_values_are_rendered_the_same(
    api: Api, new: Factory, acme: NewTenant, superuser: Any, at: str
) -> None:
    client, campaign = await api.client(acme), await new.campaign(acme)
    superuser.execute("SET session_replication_role = replica")
    superuser.execute(
        "UPDATE quarry.campaigns SET name = %s, description = %s, budget_minor = 9007199254740991, starts_on = '0001-01-01',"
        " created_at = %s, updated_at = %s", (ODD, ODD, at, at),
    )  # fmt: skip
    superuser.commit()
    for path in (f"/v1/campaigns/{campaign.id}", "/v1/campaigns"):
        short, long = await answers_of(api, acme, client, path)
        assert short == long
        assert short[1].count(b"9007199254740991") == 1


async def test_the_pages_of_a_list_are_the_same_both_ways(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    for _ in range(5):
        await new.campaign(acme)
    path, seen = "/v1/campaigns?limit=2", list[str]()
    while path:
        short, long = await answers_of(api, acme, client, path)
        assert short == long
        content = httpx.Response(200, content=short[1]).json()
        seen += [each["id"] for each in content["items"]]
        path = content["next"] and f"/v1/campaigns?limit=2&after={content['next']}"
    assert len(seen) == len(set(seen)) == 5


MESSAGES = {
    # These have to know the caller first.
    "GET /v1/sessions": 2,
    "GET /v1/sessions/current": 2,
    # These read the numbers of the ETag, the list and, if it is empty, whether the campaign exists.
    "GET /v1/campaigns/{campaign_id}/contents": 4,
    "GET /v1/campaigns/{campaign_id}/influencers": 4,
}
"""How many messages a GET sends, if it is not one."""


@contextlib.asynccontextmanager
async def counting(serve: Serve, settings: Settings, **changes: Any) -> AsyncIterator[tuple[Api, Proxy]]:
    parts = urlsplit(settings.database_url.get_secret_value())
    async with proxied(parts.hostname or "", parts.port or 0) as proxy:
        netloc = f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"
        url = SecretStr(urlunsplit(parts._replace(netloc=netloc)))
        yield await serve(database_url=url, database_pool_max=1, database_pool_min=1, **changes), proxy


async def fewest(proxy: Proxy, client: httpx.AsyncClient, path: str, expected: int, status: int = 200) -> int:
    """The fewest messages that a request sends; now and then the process says something of its own meanwhile."""
    counts: list[int] = []
    while expected not in counts and len(counts) < 50:
        sent: list[bytes] = []
        proxy.on_request = sent.append
        assert (await client.get(path)).status_code == status
        proxy.on_request = lambda _: None
        counts.append(len([each for each in sent if each[:1] in (b"B", b"P", b"Q")]))
    return min(counts)


@pytest.mark.parametrize("route", [each for each in READS if each != "GET /v1/changes"])
async def test_a_get_is_one_message_unless_it_is_said_why_not(
    serve: Serve, settings: Settings, acme: NewTenant, add_niche: Callable[..., UUID], route: str
) -> None:
    async with counting(serve, settings, cache_ttl=0) as (api, proxy):
        path = await World(api, acme, add_niche).path(route, acme.owner)
        expected = MESSAGES.get(route, 1)
        assert await fewest(proxy, await api.client(acme), path, expected) == expected
        stranger = await api.client(Authorization=f"Bearer {issue(acme.id)[0]}")
        assert await fewest(proxy, stranger, path, 1, 401) == 1


async def test_a_hit_is_no_message(serve: Serve, settings: Settings, new: Factory, acme: NewTenant) -> None:
    async with counting(serve, settings) as (api, proxy):
        client = await api.client(acme)
        for path in (await path_of("campaigns", new, acme), await list_of("users", new, acme)):
            assert await fewest(proxy, client, path, 0) == 0


async def test_nothing_runs_before_the_caller_is_admitted(serve: Serve, acme: NewTenant) -> None:
    ran: list[str] = []

    async def slow(work: Work) -> object:
        ran.append("a coroutine")
        return await work.campaigns.page()

    async def handler(call: Call[Work]) -> Accepted:
        """Reads."""
        await call.run(slow)
        await call.run(lambda work: asyncio.gather(slow(work), slow(work)))
        await call.run(lambda work: work.users.find(call.caller.user_id))
        return answers.accepted()

    api = await serve(endpoints=[*ENDPOINTS, Endpoint("GET", "/v1/odd", "campaigns.read", handler)], cache_ttl=0)
    stranger = await api.client(Authorization=f"Bearer {issue(acme.id)[0]}")
    assert (await stranger.get("/v1/odd")).status_code == 401
    assert ran == []
    assert (await (await api.client(acme)).get("/v1/odd")).status_code == 202
    assert len(ran) == 3
