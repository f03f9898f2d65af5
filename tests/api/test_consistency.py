"""Consistency: every answer to a write says which commit a later read must have seen."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from application import Api
from factories import PASSWORD, Factory, NewTenant
from resources import DELETABLE, KINDS, LISTS, PATCHES, draft_of, list_of, path_of
from service.database import Database
from service.work import Work

ANY = {"If-Match": "*"}


async def head(database: Database, acme: NewTenant) -> str:
    async with Work(database, acme.id) as work:
        return f"{(await work.log.installation()).epoch}-{await work.log.head()}"


async def test_a_write_answers_the_number_of_its_own_commit(
    api: Api, new: Factory, acme: NewTenant, database: Database, add_niche: Callable[..., UUID]
) -> None:
    client = await api.client(acme)
    user = await new.user(acme.id, email="changed@acme.example")
    campaign = f"/v1/campaigns/{(await new.campaign(acme)).id}"
    await api.client(acme)
    requests = [("POST", await list_of(kind, new, acme), draft_of(kind)) for kind in LISTS]
    requests += [("PATCH", await path_of(kind, new, acme), PATCHES[kind]) for kind in KINDS]
    requests += [("DELETE", await path_of(kind, new, acme), {}) for kind in DELETABLE]
    niche = f"{await path_of('brands', new, acme)}/niches/{add_niche('Tea')}"
    influencer = f"{campaign}/influencers/{(await new.influencer(acme)).id}"
    requests += [(method, path, {}) for path in (niche, influencer) for method in ("PUT", "DELETE")]
    requests += [("POST", "/v1/keys", draft_of("keys")), ("DELETE", campaign, {}), ("POST", f"{campaign}/restore", {})]
    credentials = {"tenant": acme.domain, "email": "owner@acme.example", "password": PASSWORD}
    requests += [
        ("POST", "/v1/sessions", credentials),
        ("PUT", f"/v1/users/{user.id}/password", {"password": PASSWORD}),
    ]
    requests += [("DELETE", "/v1/sessions", {}), ("DELETE", "/v1/sessions/current", {})]
    for method, path, body in requests:
        before = await head(database, acme)
        answer = await client.request(method, path, json=body, headers=ANY)
        assert answer.status_code < 300, answer.text
        assert answer.headers["consistency"] == await head(database, acme) != before, (method, path)


async def test_a_write_that_changed_nothing_answers_the_head(
    api: Api, new: Factory, acme: NewTenant, globex: NewTenant, database: Database
) -> None:
    client = await api.client(acme)
    campaign = await path_of("campaigns", new, acme)
    requests = [("PATCH", await path_of(kind, new, acme), {}) for kind in KINDS]
    influencer = f"{campaign}/influencers/{(await new.influencer(acme)).id}"
    await client.put(influencer, json={})
    requests += [("PUT", influencer, {}), ("POST", f"{campaign}/restore", {}), ("DELETE", "/v1/sessions", {})]
    for method, path, body in [*requests, ("POST", "/v1/otps", {"phone": "+14155550100"})]:
        before = await head(database, acme)
        await new.campaign(globex)
        answer = await client.request(method, path, json=body, headers=ANY)
        assert answer.status_code < 300, answer.text
        assert answer.headers["consistency"] == before == await head(database, acme)


async def test_a_read_and_a_refused_write_promise_nothing(api: Api, new: Factory, acme: NewTenant) -> None:
    client, path = await api.client(acme), await path_of("campaigns", new, acme)
    for answer in (
        await client.get(path),
        await client.get("/v1/campaigns", headers={"Consistency": "1-1"}),
        await client.patch(path, json={"name": ""}, headers=ANY),
        await client.patch(path, json={"name": "Other"}, headers={"If-Match": '"7"'}),
    ):
        assert "consistency" not in answer.headers
