"""Consistency: every answer to a write says which commit a later read must have seen."""

from __future__ import annotations

import socket
from collections.abc import Callable
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from api.conftest import Serve
from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api, problem, until
from arranging.drafts import DELETABLE, KINDS, LISTS, PATCHES, draft_of, list_of, path_of
from arranging.factories import Factory
from changes.followers import NEVER
from service.cache import watermarks
from service.changes import relay
from service.database.database import Database
from service.work import Work

ANY = {"If-Match": "*"}


async def head(database: Database, acme: NewTenant) -> str:
    async with Work(database, acme.id) as work:
        return f"{(await work.installation.find()).epoch}-{await work.log.head()}"


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


@pytest.mark.parametrize("token", ["", "x", "1", "1-", "-1", "1-x", "01-1", "1-01", "1-1, 1-2", "9" * 40])
async def test_a_token_that_cannot_be_read_is_malformed(api: Api, new: Factory, acme: NewTenant, token: str) -> None:
    client = await api.client(acme)
    for path in ("/v1/campaigns", await path_of("campaigns", new, acme), "/v1/changes", "/v1/changes/stream"):
        problem(await client.get(path, headers={"Consistency": token}), 400, "malformed")


async def test_a_write_does_not_look_at_a_token(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    answer = await client.post("/v1/campaigns", json={"name": "Summer"}, headers={"Consistency": "x"})
    assert answer.status_code == 201


@pytest.mark.parametrize("token", ["{earlier}-999999", "{later}-999999", "{epoch}-999999"])
async def test_a_token_of_another_life_or_of_the_future_does_no_harm(
    api: Api, acme: NewTenant, database: Database, token: str
) -> None:
    client = await api.client(acme)
    epoch = int((await head(database, acme)).partition("-")[0])
    headers = {"Consistency": token.format(epoch=epoch, earlier=epoch - 1, later=epoch + 1)}
    for _ in range(2):
        assert (await client.get("/v1/campaigns", headers=headers)).status_code == 200


@pytest.fixture
async def behind(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Api:
    """Another process, which hears of no commit and is as content with what it once read as it ever may be."""
    monkeypatch.setattr(relay, "POLL_EVERY", NEVER)
    monkeypatch.setattr(watermarks, "LEASE", NEVER)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    return await serve(changes_listen_url=SecretStr(f"postgresql://quarry_app@127.0.0.1:{port}/quarry"))


async def test_a_read_with_the_token_of_a_write_sees_it_in_another_process(
    api: Api, behind: Api, new: Factory, acme: NewTenant
) -> None:
    writer, reader, path = await api.client(acme), await behind.client(acme), await path_of("campaigns", new, acme)
    for _ in range(2):
        assert (await reader.get(path)).json()["name"] == "Summer"
    written = await writer.patch(path, json={"name": "Autumn"}, headers=ANY)
    assert (await reader.get(path)).json()["name"] == "Summer", "it does not know yet"
    token = {"Consistency": written.headers["consistency"]}
    assert (await reader.get(path, headers=token)).json()["name"] == "Autumn"


async def test_a_list_with_the_token_of_a_write_is_not_unmodified_in_another_process(
    api: Api, behind: Api, acme: NewTenant
) -> None:
    writer, reader = await api.client(acme), await behind.client(acme)

    async def ask(**headers: str) -> httpx.Response:
        return await reader.get("/v1/campaigns", headers=headers)

    async def write() -> tuple[str, str, bool]:
        held = (await ask()).headers["etag"]
        token = (await writer.post("/v1/campaigns", json={"name": "Summer"})).headers["consistency"]
        return held, token, (await ask(**{"If-None-Match": held})).status_code == 304

    # At first it may still be learning where the tenant stands.
    held, token, _ = await until(write, lambda written: written[2])
    answer = await ask(**{"If-None-Match": held, "Consistency": token})
    assert (answer.status_code, answer.json()["items"][0]["name"]) == (200, "Summer")


async def test_one_who_was_shut_out_by_a_write_is_not_served_with_its_token(
    api: Api, behind: Api, new: Factory, acme: NewTenant
) -> None:
    token = await new.token(acme)
    reader = await behind.client(Authorization=f"Bearer {token}")
    assert (await reader.get("/v1/campaigns")).status_code == 200
    ended = await (await api.client(Authorization=f"Bearer {token}")).delete("/v1/sessions/current")
    headers = {"Consistency": ended.headers["consistency"]}
    problem(await reader.get("/v1/campaigns", headers=headers), 401, "unauthorized")
