"""How long a change stream lasts: as long as its reader may read, takes what is sent, and the service runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.conftest import Serve
from arranging.accounts import NewTenant
from arranging.application import Api, problem, until
from arranging.factories import Factory
from arranging.streams import Stream, streaming
from changes.followers import NEVER, change
from service.database.database import Database
from service.http import streaming as module
from service.repos.users import User
from service.work import Work

ANY = {"If-Match": "*"}


@pytest.fixture
async def patient(serve: Serve) -> Api:
    """Without heartbeats, at which a stream would be looked at by the way."""
    return await serve(changes_heartbeat=NEVER)


@pytest.fixture
async def member(new: Factory, acme: NewTenant) -> User:
    return await new.user(acme.id)


@pytest.fixture
async def token(new: Factory, acme: NewTenant, member: User) -> str:
    return await new.token(acme, member)


@pytest.fixture
async def owner(patient: Api, acme: NewTenant) -> httpx.AsyncClient:
    return await patient.client(acme)


@pytest.fixture
async def stream(patient: Api, token: str, owner: httpx.AsyncClient) -> AsyncIterator[Stream]:
    """The member's, which has begun."""
    async with streaming(patient, token) as opened:
        await opened.next()
        yield opened


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def refused(api: Api, token: str, status: int, code: str) -> None:
    client = await api.client(**bearer(token))
    problem(await client.get("/v1/changes/stream"), status, code)


async def sign_out(client: httpx.AsyncClient, token: str, user: User) -> httpx.Response:
    return await client.delete("/v1/sessions/current", headers=bearer(token))


async def revoke(client: httpx.AsyncClient, token: str, user: User) -> httpx.Response:
    session = (await client.get("/v1/sessions/current", headers=bearer(token))).json()["id"]
    return await client.delete(f"/v1/sessions/{session}")


async def deactivate(client: httpx.AsyncClient, token: str, user: User) -> httpx.Response:
    return await client.patch(f"/v1/users/{user.id}", json={"is_active": False}, headers=ANY)


async def remove(client: httpx.AsyncClient, token: str, user: User) -> httpx.Response:
    return await client.delete(f"/v1/users/{user.id}", headers=ANY)


async def set_password(client: httpx.AsyncClient, token: str, user: User) -> httpx.Response:
    return await client.put(f"/v1/users/{user.id}/password", json={"password": "another password"})


@pytest.mark.parametrize("end", [sign_out, revoke, deactivate, remove, set_password])
async def test_a_stream_ends_with_its_session(
    patient: Api,
    stream: Stream,
    token: str,
    member: User,
    owner: httpx.AsyncClient,
    end: Callable[..., Awaitable[httpx.Response]],
) -> None:
    assert (await end(owner, token, member)).status_code in (200, 204)
    assert await stream.rest() == []
    assert stream.is_whole
    await refused(patient, token, 401, "unauthorized")


async def test_a_stream_ends_when_its_user_ends_their_other_sessions(
    patient: Api, acme: NewTenant, member: User, token: str
) -> None:
    client = await patient.client(acme, member)
    async with streaming(patient, token) as stream:
        await stream.next()
        assert (await client.delete("/v1/sessions")).status_code == 204
        assert await stream.rest() == []
        assert stream.is_whole


async def test_the_end_of_one_session_ends_no_other_stream(
    patient: Api, stream: Stream, token: str, acme: NewTenant, member: User, owner: httpx.AsyncClient
) -> None:
    async with streaming(patient, await patient.new.token(acme, member)) as other:
        await other.next()
        await sign_out(owner, token, member)
        await stream.rest()
        written = await owner.post("/v1/campaigns", json={"name": "Summer"})
        assert written.headers["consistency"] in await other.commits(2)


async def test_a_change_of_a_user_that_ends_nothing_is_delivered_to_them(
    stream: Stream, member: User, owner: httpx.AsyncClient
) -> None:
    path = f"/v1/users/{member.id}"
    answer = await owner.patch(path, json={"display_name": "Renamed", "role": "viewer"}, headers=ANY)
    assert await stream.commits(1) == [answer.headers["consistency"]]


async def test_a_stream_ends_when_its_session_expires(patient: Api, new: Factory, acme: NewTenant) -> None:
    token = await new.token(acme, lifetime=timedelta(seconds=2))
    expires_at = datetime.now(UTC) + timedelta(seconds=1.9)
    async with streaming(patient, token) as stream:
        await stream.next()
        await stream.rest()
        assert stream.is_whole
    assert datetime.now(UTC) > expires_at
    await refused(patient, token, 401, "session_expired")


async def test_a_session_that_was_just_used_expires_without_a_flood(
    patient: Api, new: Factory, acme: NewTenant
) -> None:
    token = await new.token(acme, lifetime=timedelta(seconds=2))
    client = await patient.client(**bearer(token))
    async with streaming(patient, token) as stream:
        await stream.next()
        # It is remembered as it was a second ago, and so may outlive its own end a little.
        await until(lambda: client.get("/v1/campaigns"), lambda answer: answer.status_code == 401)
        assert len(await stream.rest()) < 20


@pytest.mark.parametrize("status", ["suspended", "archived"])
async def test_a_stream_ends_when_its_tenant_is_not_active_any_more(
    patient: Api, stream: Stream, token: str, acme: NewTenant, platform: Database, status: str
) -> None:
    async with Work(platform, None) as work:
        await work.tenants.set_status(acme.domain, status)
    assert await stream.rest() == []
    assert stream.is_whole
    await refused(patient, token, 403, "tenant_suspended")


async def test_another_tenants_suspension_ends_nothing(
    stream: Stream, acme: NewTenant, globex: NewTenant, platform: Database, database: Database
) -> None:
    async with Work(platform, None) as work:
        await work.tenants.set_status(globex.domain, "suspended")
    await change(database, acme)
    await stream.commits(1)


async def test_a_stream_ends_when_its_key_is_revoked(patient: Api, owner: httpx.AsyncClient) -> None:
    made = (await owner.post("/v1/keys", json={"name": "Reader", "role": "viewer"})).json()
    async with streaming(patient, made["key"]) as stream:
        await stream.next()
        assert (await owner.delete(f"/v1/keys/{made['id']}")).status_code == 204
        assert await stream.rest() == []
        assert stream.is_whole
    await refused(patient, made["key"], 401, "unauthorized")


async def test_a_stream_of_a_key_ends_with_its_maker(
    patient: Api, owner: httpx.AsyncClient, new: Factory, acme: NewTenant
) -> None:
    maker = await new.user(acme.id, role="admin")
    admin = await patient.client(**bearer(await new.token(acme, maker)))
    key = (await admin.post("/v1/keys", json={"name": "Reader", "role": "viewer"})).json()["key"]
    async with streaming(patient, key) as stream:
        await stream.next()
        changed = await owner.patch(f"/v1/users/{maker.id}", json={"is_active": False}, headers=ANY)
        assert changed.status_code == 200
        await stream.rest()
        assert stream.is_whole


async def test_a_stream_ends_when_its_key_expires(patient: Api, owner: httpx.AsyncClient) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=2)
    draft = {"name": "Reader", "role": "viewer", "expires_at": expires_at.isoformat()}
    key = (await owner.post("/v1/keys", json=draft)).json()["key"]
    async with streaming(patient, key) as stream:
        await stream.next()
        await stream.rest()
    assert datetime.now(UTC) >= expires_at
    await refused(patient, key, 401, "session_expired")


async def test_an_idle_stream_is_told_the_head_again_and_again(
    serve: Serve, new: Factory, acme: NewTenant, database: Database
) -> None:
    api, token = await serve(changes_heartbeat=0.05), await new.token(acme)
    async with streaming(api, token) as stream:
        at = (await stream.next()).id
        assert [await stream.comment() for _ in range(3)] == [at, at, at]
        await change(database, acme)
        (id,) = await stream.commits(1)
        assert id != at
        assert await stream.comment() == id


async def test_a_tenant_has_so_many_streams_at_a_time(
    serve: Serve, new: Factory, acme: NewTenant, globex: NewTenant
) -> None:
    api, token = await serve(changes_streams_per_tenant=2), await new.token(acme)
    client = await api.client(**bearer(token))
    async with streaming(api, token) as kept:
        await kept.next()
        async with streaming(api, token) as second:
            await second.next()
            answer = await client.get("/v1/changes/stream")
            problem(answer, 429, "rate_limited")
            assert int(answer.headers["retry-after"]) > 0
            async with streaming(api, await new.token(globex)) as others:
                assert (await others.next()).kind == "ready"
        assert (await client.get("/v1/changes/stream")).status_code == 200


async def test_head_answers_as_a_stream_begins_and_opens_none(api: Api, token: str) -> None:
    async with streaming(api, token, method="HEAD") as stream:
        assert await stream.rest() == []
        assert (stream.status, stream.text, stream.is_whole) == (200, "", True)
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert api.state["feed"].report()["streams"] == 0


async def test_a_reader_that_leaves_is_forgotten(api: Api, token: str) -> None:
    async with streaming(api, token) as stream:
        await stream.next()
        assert api.state["feed"].report()["streams"] == 1
    assert api.state["feed"].report()["streams"] == 0
    assert not api.state["feed"]._relay.rings


async def test_a_reader_that_is_stuck_is_cut_off_and_holds_up_nobody(
    patient: Api, token: str, acme: NewTenant, stream: Stream, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SEND_PATIENCE", 0.3)
    async with streaming(patient, token) as stuck:
        place = (await stuck.next()).id
        stuck.takes.clear()
        last = await change(database, acme, times=5)
        numbers = [int(id.partition("-")[2]) for id in await stream.commits(5)]
        assert await stuck.rest() == []
        assert not stuck.is_whole
    async with streaming(patient, token, headers={"Last-Event-ID": place}) as again:
        await again.next()
        assert await again.commits(5) == [f"{place.partition('-')[0]}-{number}" for number in numbers]
    assert numbers[-1] == last


async def test_streams_end_with_the_service_and_no_more_are_opened(api: Api, token: str) -> None:
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(streaming(api, token)) for _ in range(3)]
        for each in opened:
            await each.next()
        api.state["feed"].close()
        assert await asyncio.gather(*(each.rest() for each in opened)) == [[], [], []]
        assert all(each.is_whole for each in opened)
        await refused(api, token, 503, "unavailable")


@pytest.mark.parametrize("since", ["", "x", "1", "01-1"])
async def test_a_since_that_is_no_place_is_refused(api: Api, token: str, since: str) -> None:
    client: Any = await api.client(**bearer(token))
    answer = await client.get("/v1/changes/stream", params={"since": since})
    assert [each["field"] for each in problem(answer, 422, "invalid_input")["errors"]] == ["since"]


async def test_nobody_but_the_signed_in_has_a_stream(api: Api) -> None:
    problem(await (await api.client()).get("/v1/changes/stream?since=x"), 401, "unauthorized")
    await refused(api, "qs_" + "A" * 64, 401, "unauthorized")
