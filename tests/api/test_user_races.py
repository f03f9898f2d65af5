"""Users who are changed from two sides at once: who comes second sees what the first one did."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api, problem
from arranging.factories import Factory
from service.accounts import tokens
from service.database.database import Database
from service.work import Work

ANY = {"If-Match": "*"}


@pytest.fixture
def someone_waits(superuser: Any) -> Callable[[], Awaitable[None]]:
    """Waits until a statement waits for a lock."""
    superuser.autocommit = True

    async def wait() -> None:
        async with asyncio.timeout(30):
            text = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            while not superuser.execute(text).fetchone()[0]:
                await asyncio.sleep(0.01)

    return wait


async def test_an_admin_does_not_reach_somebody_who_is_becoming_an_owner(
    api: Api, new: Factory, acme: NewTenant, database: Database, someone_waits: Callable[[], Awaitable[None]]
) -> None:
    admin = await api.client(acme, await new.user(acme.id, role="admin"))
    for method, path, body in (
        ("PATCH", "", {"display_name": "Mine"}),
        ("PUT", "/password", {"password": "a new password"}),
    ):
        member = await new.user(acme.id, email=f"{uuid4().hex}@acme.example")
        async with Work(database, acme.id) as work:
            await work.users.update(member.id, given=["role"], role="owner")
            request = asyncio.create_task(admin.request(method, f"/v1/users/{member.id}{path}", json=body, headers=ANY))
            await someone_waits()
        problem(await request, 403, "forbidden")


async def test_a_session_opened_with_the_old_password_ends_with_it(
    api: Api, acme: NewTenant, database: Database, someone_waits: Callable[[], Awaitable[None]]
) -> None:
    owner = await api.client(acme)
    text, token = tokens.issue(acme.id)
    change = {"password": "a new password", "current_password": PASSWORD}
    async with Work(database, acme.id) as work:
        assert await work.sessions.create(
            user_id=acme.owner.id, password_hash=acme.password_hash, token_hash=token.hash,
            token_mac=work.binding.mac(tokens.session_fields(token.hash, acme.owner.id)), ip=None, user_agent=None,
            lifetime=timedelta(hours=1),
        )  # fmt: skip
        request = asyncio.create_task(owner.put(f"/v1/users/{acme.owner.id}/password", json=change))
        await someone_waits()
    assert (await request).status_code == 204
    thief = await api.client(Authorization=f"Bearer {text}")
    problem(await thief.get("/v1/tenant"), 401, "unauthorized")


async def test_owners_step_down_at_once_without_waiting_for_each_others_keys(
    api: Api, new: Factory, acme: NewTenant
) -> None:
    client = await api.client(acme)
    owners = [await new.user(acme.id, email=f"{n}@acme.example", role="owner") for n in range(8)]
    answers = await asyncio.gather(
        *(
            client.patch(
                f"/v1/users/{each.id}", json={"role": "member"}, headers={**ANY, "Idempotency-Key": str(each.id)}
            )
            for each in owners
        )
    )
    assert [answer.status_code for answer in answers] == [200] * 8


async def test_right_passwords_at_once_all_get_in_while_an_old_hash_is_renewed(api: Api, acme: NewTenant) -> None:
    nobody = await api.client()
    body = {"tenant": acme.domain, "email": "owner@acme.example", "password": PASSWORD}
    answers = await asyncio.gather(*(nobody.post("/v1/sessions", json=body) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [201] * 4
