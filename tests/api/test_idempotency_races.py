"""Idempotency-Key where several requests meet, and where the answer to one is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from pydantic import SecretStr

from arranging.accounts import NewTenant
from arranging.application import Api, problem
from arranging.drafts import path_of
from arranging.factories import Factory
from arranging.proxy import proxied
from service.database.database import Database
from service.settings.settings import Settings
from service.work import Work

KEY = {"Idempotency-Key": "1"}


async def head(database: Database, tenant: NewTenant) -> int:
    async with Work(database, tenant.id) as work:
        return await work.log.head() or 0


def once(fate: str) -> Callable[[bytes], str | None]:
    """What befalls the next COMMIT of a caller, and none after it."""
    fates = [fate]

    def befall(data: bytes) -> str | None:
        # The service commits things of its own, too, for nobody.
        is_callers = b"app.actor_id" in data and data.endswith(b"COMMIT\0")
        return fates.pop() if fates and is_callers else None

    return befall


async def test_fifty_twins_make_one_row(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    answers = await asyncio.gather(*(client.post("/v1/campaigns", json={"name": "A"}, headers=KEY) for _ in range(50)))
    kinds = Counter((answer.status_code, answer.headers.get("idempotency-replayed")) for answer in answers)
    assert kinds[201, None] == 1
    assert set(kinds) <= {(201, None), (201, "true"), (409, None)}
    for answer in answers:
        if answer.status_code == 409:
            problem(answer, 409, "in_progress")
    (row,) = (await client.get("/v1/campaigns")).json()["items"]
    assert {answer.json()["id"] for answer in answers if answer.status_code == 201} == {row["id"]}


async def test_a_twin_does_not_wait_for_ever(serve: Any, acme: NewTenant, superuser: Any) -> None:
    client = await (await serve(database_lock_timeout=0.1)).client(acme)
    superuser.execute(
        "INSERT INTO quarry.idempotency_keys (tenant_id, caller_id, key, fingerprint, expires_at)"
        " VALUES (%s, %s, '1', sha256(''), now() + interval '1 hour')",
        (acme.id, acme.owner.id),
    )
    problem(await client.post("/v1/campaigns", json={"name": "A"}, headers=KEY), 409, "in_progress")
    superuser.rollback()
    assert (await client.post("/v1/campaigns", json={"name": "A"}, headers=KEY)).status_code == 201


async def test_of_fifty_changes_of_one_version_one_wins_and_goes_on_winning(
    api: Api, new: Factory, acme: NewTenant
) -> None:
    client, path = await api.client(acme), await path_of("campaigns", new, acme)

    async def change(n: int) -> httpx.Response:
        headers = {"If-Match": '"1"', "Idempotency-Key": f"key-{n}"}
        return await client.patch(path, json={"name": f"Name {n}"}, headers=headers)

    answers = await asyncio.gather(*map(change, range(50)))
    (won,) = [n for n, answer in enumerate(answers) if answer.status_code == 200]
    assert {answer.status_code for answer in answers} == {200, 412}
    assert (await client.patch(path, json={"name": "Later"}, headers={"If-Match": "*"})).json()["version"] == 3
    again = await change(won)
    assert (again.json(), again.headers["idempotency-replayed"]) == (answers[won].json(), "true")
    problem(await change((won + 1) % 50), 412, "stale_version")


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_a_lost_commit_is_cleared_up_by_repeating_it(
    serve: Any, new: Factory, acme: NewTenant, settings: Settings, database: Database, method: str
) -> None:
    parts = urlsplit(settings.serving_url())
    async with proxied(parts.hostname or "", parts.port or 0) as proxy:
        netloc = f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"
        api = await serve(database_url=SecretStr(urlunsplit(parts._replace(netloc=netloc))))
        client = await api.client(acme)
        for fate in ("drop", "deaf"):
            path = await path_of("campaigns", new, acme)
            target = "/v1/campaigns" if method == "POST" else path
            headers, before = {"Idempotency-Key": fate, "If-Match": '"1"'}, await head(database, acme)
            proxy.on_request = once(fate)
            body = None if method == "DELETE" else {"name": "Other"}
            answer = await client.request(method, target, json=body, headers=headers)
            problem(answer, 503, "commit_unknown")
            again = await client.request(method, target, json=body, headers=headers)
            assert again.status_code < 300, again.text
            assert ("idempotency-replayed" in again.headers) == (fate == "deaf")
            assert again.headers["consistency"].endswith(f"-{await head(database, acme)}")
            assert await head(database, acme) == before + 1
        proxy.on_request = lambda _: None
