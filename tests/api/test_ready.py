"""Ready answers: sent again without asking anybody, and never longer or to others than the cached rows that they are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from arranging.accounts import NewTenant
from arranging.application import Api, problem, until
from arranging.drafts import draft_of, list_of, path_of
from arranging.factories import Factory
from service.http.ready import ReadyAnswer, ReadyAnswers
from service.work import Work


@pytest.fixture
def ready(api: Api) -> ReadyAnswers:
    found: ReadyAnswers = api.state["ready"]
    return found


async def made_ready(ready: ReadyAnswers, ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """The answer to a GET that has become a ready one."""
    sent: list[ReadyAnswer | None] = []
    find = ready.find
    ready.find = lambda key: (sent.append(find(key)), sent[-1])[1]  # type: ignore[method-assign, func-returns-value]
    answer = await until(ask, lambda _: sent[-1] is not None)
    del ready.find
    return answer


async def test_an_answer_that_is_sent_again_is_the_same(
    api: Api, ready: ReadyAnswers, new: Factory, acme: NewTenant
) -> None:
    client = await api.client(acme)
    for path in (await path_of("campaigns", new, acme), await list_of("users", new, acme), "/v1/tenant"):
        first = await client.get(path)
        again = await made_ready(ready, lambda path=path: client.get(path))
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["request-id"] != first.headers["request-id"]
        for name in ("etag", "cache-control", "vary", "content-type", "content-length"):
            assert again.headers[name] == first.headers[name]


async def test_conditional_requests_are_answered_as_ever(
    api: Api, ready: ReadyAnswers, new: Factory, acme: NewTenant
) -> None:
    client, path = await api.client(acme), await path_of("campaigns", new, acme)
    etag = (await made_ready(ready, lambda: client.get(path))).headers["etag"]
    assert (await client.get(path, headers={"If-None-Match": etag})).status_code == 304
    assert (await client.head(path)).content == b""
    problem(await client.get(path, headers={"Consistency": "x"}), 400, "malformed")


async def test_a_write_is_seen_by_the_next_read(api: Api, ready: ReadyAnswers, new: Factory, acme: NewTenant) -> None:
    client, path = await api.client(acme), await path_of("campaigns", new, acme)
    await made_ready(ready, lambda: client.get("/v1/campaigns"))
    await made_ready(ready, lambda: client.get(path))
    assert (await client.patch(path, json={"name": "Renamed"}, headers={"If-Match": "*"})).status_code == 200
    assert (await client.get(path)).json()["name"] == "Renamed"
    assert (await client.get("/v1/campaigns")).json()["items"][0]["name"] == "Renamed"


async def test_a_lists_etag_moves_with_each_commit(
    api: Api, ready: ReadyAnswers, new: Factory, acme: NewTenant
) -> None:
    client, path = await api.client(acme), await list_of("campaigns", new, acme)
    before = await made_ready(ready, lambda: client.get(path))
    assert (await client.post("/v1/brands", json=draft_of("brands"))).status_code == 201
    after = await client.get(path)
    assert after.content == before.content
    assert after.headers["etag"] != before.headers["etag"]


async def test_what_ends_a_session_ends_its_ready_answers(
    api: Api, ready: ReadyAnswers, new: Factory, acme: NewTenant
) -> None:
    client, path = await api.client(acme), await path_of("campaigns", new, acme)
    other = await api.client(acme)
    await made_ready(ready, lambda: other.get(path))
    await made_ready(ready, lambda: client.get(path))
    assert (await client.delete("/v1/sessions/current")).status_code == 204
    problem(await client.get(path), 401, "unauthorized")
    assert (await other.get(path)).status_code == 200


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (lambda work, user: work.users.update(user.id, given=["role"], role="viewer"), 403, "forbidden"),
        (lambda work, user: work.users.update(user.id, given=["is_active"], is_active=False), 401, "unauthorized"),
        (lambda work, user: work.users.remove(user.id), 401, "unauthorized"),
    ],
)
async def test_what_another_process_changes_is_seen_within_a_second(
    api: Api, ready: ReadyAnswers, new: Factory, acme: NewTenant, change: Any, status: int, code: str
) -> None:
    admin = await new.user(acme.id, email="admin@acme.example", role="admin")
    client = await api.client(acme, admin)
    await made_ready(ready, lambda: client.get("/v1/users"))
    await client.get("/v1/keys")
    async with Work(new.database, acme.id) as work:
        await change(work, admin)
    path = "/v1/keys" if status == 403 else "/v1/users"
    problem(await until(lambda: client.get(path), lambda answer: answer.status_code != 200), status, code)


async def test_a_new_epoch_has_new_etags(
    api: Api, ready: ReadyAnswers, new: Factory, acme: NewTenant, superuser: Any
) -> None:
    client, path = await api.client(acme), await list_of("campaigns", new, acme)
    before = await made_ready(ready, lambda: client.get(path))
    superuser.execute("UPDATE app.installation SET epoch = epoch + 1")
    superuser.commit()
    await until(lambda: client.get(path), lambda answer: answer.headers["etag"] != before.headers["etag"])
    after = await made_ready(ready, lambda: client.get(path))
    assert after.headers["etag"] != before.headers["etag"]


async def test_two_tenants_never_share_an_answer(
    api: Api, ready: ReadyAnswers, acme: NewTenant, globex: NewTenant
) -> None:
    for tenant in (acme, globex):
        client = await api.client(tenant)
        answer = await made_ready(ready, lambda client=client: client.get("/v1/tenant"))
        assert answer.json()["domain"] == tenant.domain


async def test_nothing_but_a_whole_answer_of_cached_rows_is_kept(
    api: Api, ready: ReadyAnswers, new: Factory, acme: NewTenant
) -> None:
    client, nobody = await api.client(acme), await api.client()
    for _ in range(3):
        await client.get("/v1/sessions")  # not cached
        await client.get("/v1/campaigns?limit=x")
        await client.get(f"/v1/campaigns/{acme.id}")
        await nobody.get("/v1/campaigns")
        await nobody.get("/livez")
    assert not ready._ready


async def test_the_number_of_ready_answers_is_bounded(serve: Any, new: Factory, acme: NewTenant) -> None:
    api = await serve(cache_max_entries=12)
    client, ready = await api.client(acme), api.state["ready"]
    for limit in range(1, 9):
        await made_ready(ready, lambda limit=limit: client.get(f"/v1/campaigns?limit={limit}"))
    assert len(ready._ready) == 3
    assert ready._bytes == sum(each.size for each in ready._ready.values())
