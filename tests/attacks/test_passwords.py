"""Guessing passwords, and keeping others from signing in by it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api, problem, wrong_fields
from arranging.factories import Factory
from service.accounts.passwords import QUEUE, THREADS, Passwords
from service.errors import HashingBusy

SIGN_IN = {"tenant": "acme.example", "email": "owner@acme.example"}


async def at(api: Api, address: str) -> httpx.AsyncClient:
    """A client with this network address."""
    transport = httpx.ASGITransport(api, client=(address, 4711))
    return await api.stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://quarry.test"))


async def attempt(client: httpx.AsyncClient, password: str = "wrong") -> int:
    return (await client.post("/v1/sessions", json={**SIGN_IN, "password": password})).status_code


async def test_a_stranger_locks_nobody_out(serve: Any, acme: NewTenant) -> None:
    api = await serve(rate_limit_sign_in_account="3/5minutes", rate_limit_sign_in_strangers="6/hour")
    person, stranger = await at(api, "192.0.2.1"), await at(api, "198.51.100.1")
    assert await attempt(person, PASSWORD) == 201
    assert [await attempt(stranger) for _ in range(5)] == [401] * 3 + [429] * 2
    for number in range(2, 9):
        await attempt(await at(api, f"198.51.100.{number}"))
    # From many places together no more than the account's limit, and the person is let in where they are known.
    assert await attempt(await at(api, "203.0.113.9"), PASSWORD) == 429
    assert await attempt(person, PASSWORD) == 201


async def test_guesses_at_one_s_own_password_are_few_and_in_the_audit(
    serve: Any, new: Factory, acme: NewTenant
) -> None:
    api = await serve(rate_limit_current_password="3/15minutes")
    member = await new.user(acme.id)
    client, owner = await api.client(acme, member), await api.client(acme)
    path, body = f"/v1/users/{member.id}/password", {"password": "correct horse battery"}
    for _ in range(3):
        assert wrong_fields(await client.put(path, json={**body, "current_password": "guess"})) == ["current_password"]
    problem(await client.put(path, json={**body, "current_password": PASSWORD}), 429, "rate_limited")
    items = (await owner.get("/v1/audit/sign-ins")).json()["items"]
    assert [item["user_id"] for item in items] == [str(member.id)] * 3


@pytest.mark.parametrize(
    "password",
    [
        "1234567890",
        "Qwertyuiop",
        "password123",
        "Password123!",
        "passwordpassword",
        "P@ssw0rd2024",
        "aaaaaaaaaaaa",
        "ada@acme.example",
        "acme.example1",
        "AdaLovelace!",
    ],
)
async def test_password_that_would_be_guessed_at_once_is_refused(api: Api, acme: NewTenant, password: str) -> None:
    client = await api.client(acme)
    draft = {"email": "ada@acme.example", "display_name": "Ada Lovelace", "role": "member"}
    answer = await client.post("/v1/users", json={**draft, "password": password})
    if password == "AdaLovelace!":
        assert wrong_fields(await client.post("/v1/users", json={**draft, "password": "Lovelace1!"})) == ["password"]
        return
    assert wrong_fields(answer) == ["password"]


async def test_crowd_of_one_address_waits_for_itself() -> None:
    order: list[str] = []

    async def one(passwords: Passwords, whose: str) -> None:
        await passwords.verify("x", None, whose=whose)
        order.append(whose)

    async with Passwords.open() as passwords:
        crowd = [asyncio.create_task(one(passwords, "crowd")) for _ in range(THREADS + QUEUE // 2)]
        await asyncio.sleep(0)
        with pytest.raises(HashingBusy):
            await passwords.verify("x", None, whose="crowd")
        await one(passwords, "other")
        assert order.index("other") <= THREADS + 1
        await asyncio.gather(*crowd)
