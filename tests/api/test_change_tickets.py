"""Tickets of change streams: each stands for one session or key, opens one stream, and is good for nothing else."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta
from typing import Any

import httpx
import pytest

from arranging.accounts import NewTenant
from arranging.application import Api, problem
from arranging.factories import Factory
from arranging.streams import streaming
from changes.followers import change
from service.database.database import Database
from service.operations import purging


@pytest.fixture
async def client(api: Api, acme: NewTenant) -> httpx.AsyncClient:
    return await api.client(acme)


@pytest.fixture
async def nobody(api: Api) -> httpx.AsyncClient:
    return await api.client()


async def ticket_of(client: httpx.AsyncClient) -> str:
    answer = await client.post("/v1/changes/tickets")
    assert answer.status_code == 201
    assert set(answer.json()) == {"ticket"}
    return str(answer.json()["ticket"])


async def refused(nobody: httpx.AsyncClient, ticket: str, status: int = 401, code: str = "unauthorized") -> None:
    problem(await nobody.get("/v1/changes/stream", params={"ticket": ticket}), status, code)


async def test_a_ticket_opens_a_stream_of_its_tenant(
    api: Api, acme: NewTenant, globex: NewTenant, client: httpx.AsyncClient, database: Database
) -> None:
    async with streaming(api, None, ticket=await ticket_of(client)) as stream:
        since = (await stream.next()).data["since"]
        await change(database, globex)
        last = await change(database, acme)
        assert await stream.commits(1) == [f"{since.partition('-')[0]}-{last}"]


async def test_a_stream_opened_by_a_ticket_is_resumed_like_any_other(
    api: Api, acme: NewTenant, client: httpx.AsyncClient, database: Database
) -> None:
    async with streaming(api, None, ticket=await ticket_of(client)) as stream:
        place = (await stream.next()).id
    await change(database, acme, times=2)
    async with streaming(api, None, ticket=await ticket_of(client), since=place) as stream:
        assert (await stream.next()).data["since"] == place
        assert (await stream.commits(2))[-1] == (await client.get("/v1/changes")).json()["head"]


async def test_a_ticket_is_used_once(api: Api, client: httpx.AsyncClient, nobody: httpx.AsyncClient) -> None:
    ticket = await ticket_of(client)
    async with streaming(api, None, ticket=ticket) as stream:
        await stream.next()
        await refused(nobody, ticket)
    await refused(nobody, ticket)


async def test_of_many_who_use_a_ticket_at_once_one_has_a_stream(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    query = {"ticket": await ticket_of(client)}
    answers = await asyncio.gather(*(nobody.get("/v1/changes/stream", params=query) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


async def test_a_ticket_lasts_for_a_minute(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient, superuser: Any
) -> None:
    ticket, later = await ticket_of(client), await ticket_of(client)
    lifetimes = "SELECT extract(epoch FROM expires_at - created_at) FROM quarry.change_tickets"
    assert all(55 < seconds < 65 for (seconds,) in superuser.execute(lifetimes).fetchall())
    superuser.execute(
        "UPDATE quarry.change_tickets SET created_at = created_at - interval '1 minute',"
        " expires_at = expires_at - interval '1 minute' WHERE id = (SELECT id FROM quarry.change_tickets"
        " ORDER BY created_at LIMIT 1)"
    )
    superuser.commit()
    await refused(nobody, ticket)
    assert (await nobody.get("/v1/changes/stream", params={"ticket": later})).status_code == 200


async def test_a_ticket_shown_as_another_tenants_opens_nothing_and_is_not_used_up(
    api: Api, globex: NewTenant, client: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    ticket = await ticket_of(client)
    secret = base64.urlsafe_b64decode(ticket.removeprefix("qt_"))[16:]
    await refused(nobody, "qt_" + base64.urlsafe_b64encode(globex.id.bytes + secret).decode())
    assert (await nobody.get("/v1/changes/stream", params={"ticket": ticket})).status_code == 200


@pytest.mark.parametrize("ticket", ["", "x", "qt_", "qt_" + "A" * 64, "qt_" + "A" * 63, "%00", "'--"])
async def test_what_is_no_ticket_opens_nothing(nobody: httpx.AsyncClient, ticket: str) -> None:
    await refused(nobody, ticket)


async def test_a_session_is_no_ticket(new: Factory, acme: NewTenant, nobody: httpx.AsyncClient) -> None:
    token = await new.token(acme)
    await refused(nobody, token)
    await refused(nobody, token.replace("qs_", "qt_"))


@pytest.mark.parametrize("path", ["/v1/changes/stream", "/v1/changes", "/v1/campaigns", "/v1/sessions/current"])
async def test_a_ticket_lets_nobody_in_anywhere_else(
    api: Api, client: httpx.AsyncClient, nobody: httpx.AsyncClient, path: str
) -> None:
    ticket = await ticket_of(client)
    problem(await (await api.client(Authorization=f"Bearer {ticket}")).get(path), 401, "unauthorized")
    as_session = await api.client(Authorization=f"Bearer {ticket.replace('qt_', 'qs_')}")
    problem(await as_session.get(path), 401, "unauthorized")
    if not path.endswith("stream"):
        assert (await nobody.get(path, params={"ticket": ticket})).status_code == 401


async def test_a_ticket_makes_no_further_ticket(api: Api, client: httpx.AsyncClient) -> None:
    holder = await api.client(Authorization=f"Bearer {await ticket_of(client)}")
    problem(await holder.post("/v1/changes/tickets"), 401, "unauthorized")


async def test_a_ticket_of_a_session_that_has_ended_opens_nothing(
    client: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    ticket = await ticket_of(client)
    assert (await client.delete("/v1/sessions/current")).status_code == 204
    await refused(nobody, ticket)


async def test_a_ticket_of_a_suspended_tenant_opens_nothing(
    acme: NewTenant, client: httpx.AsyncClient, nobody: httpx.AsyncClient, superuser: Any
) -> None:
    ticket = await ticket_of(client)
    superuser.execute("UPDATE app.tenants SET status = 'suspended' WHERE id = %s", [acme.id])
    superuser.commit()
    await refused(nobody, ticket, 403, "tenant_suspended")


async def test_a_stream_opened_by_a_ticket_ends_with_the_session_that_it_stands_for(
    api: Api, client: httpx.AsyncClient
) -> None:
    async with streaming(api, None, ticket=await ticket_of(client)) as stream:
        await stream.next()
        assert (await client.delete("/v1/sessions/current")).status_code == 204
        assert await stream.rest() == []
        assert stream.is_whole


async def test_a_stream_opened_by_a_keys_ticket_ends_with_the_key(api: Api, client: httpx.AsyncClient) -> None:
    made = (await client.post("/v1/keys", json={"name": "Page", "role": "viewer"})).json()
    program = await api.client(Authorization=f"Bearer {made['key']}")
    async with streaming(api, None, ticket=await ticket_of(program)) as stream:
        await stream.next()
        assert (await client.delete(f"/v1/keys/{made['id']}")).status_code == 204
        assert await stream.rest() == []


async def test_a_ticket_is_not_kept_as_it_is(client: httpx.AsyncClient, superuser: Any) -> None:
    ticket = await ticket_of(client)
    secret = base64.urlsafe_b64decode(ticket.removeprefix("qt_"))[16:]
    (row,) = superuser.execute("SELECT t::text FROM quarry.change_tickets AS t").fetchall()
    assert secret.hex() not in row[0]
    assert ticket[3:] not in row[0]


async def test_a_ticket_that_nobody_used_is_forgotten(
    api: Api, acme: NewTenant, client: httpx.AsyncClient, nobody: httpx.AsyncClient, superuser: Any
) -> None:
    await ticket_of(client)
    superuser.execute("UPDATE quarry.change_tickets SET created_at = now() - interval '1 hour', expires_at = now()")
    superuser.commit()
    kept = await ticket_of(client)
    await purging.purge(api.state["database"], acme.id, timedelta(hours=1))
    assert superuser.execute("SELECT count(*) FROM quarry.change_tickets").fetchone() == (1,)
    assert (await nobody.get("/v1/changes/stream", params={"ticket": kept})).status_code == 200


async def test_a_ticket_is_no_change(client: httpx.AsyncClient, nobody: httpx.AsyncClient) -> None:
    head = (await client.get("/v1/changes")).json()["head"]
    await nobody.get("/v1/changes/stream", params={"ticket": await ticket_of(client)})
    assert (await client.get("/v1/changes")).json()["head"] == head


async def test_nobody_but_the_signed_in_gets_a_ticket(nobody: httpx.AsyncClient) -> None:
    problem(await nobody.post("/v1/changes/tickets"), 401, "unauthorized")
