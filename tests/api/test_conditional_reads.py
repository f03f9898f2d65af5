"""ETag and If-None-Match, HEAD."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from api.conftest import Serve
from arranging.accounts import NewTenant
from arranging.application import Api, problem, until
from arranging.drafts import KINDS, LISTS, PATCHES, draft_of, list_of, path_of
from arranging.factories import Factory
from changes.followers import NEVER
from service.cache import watermarks
from service.changes import relay as relays
from service.database.database import Database
from service.work import Work


async def test_what_the_client_has_already_is_not_sent_again(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    paths = [await path_of(kind, new, acme) for kind in KINDS] + [await list_of(kind, new, acme) for kind in LISTS]
    others = (
        "/v1/niches",
        "/v1/sessions",
        "/v1/keys",
        "/v1/audit",
        f"{await path_of('campaigns', new, acme)}/influencers",
    )
    for path in [*paths, *others]:
        etag = (await client.get(path)).headers["etag"]
        strong = etag.removeprefix("W/")
        for held in (etag, strong, f"W/{strong}", f'"x", {etag}', "*"):
            answer = await client.get(path, headers={"If-None-Match": held})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        for other in ('"x"', "", strong.strip('"'), f"{strong}x", 'W/"x", "y"'):
            assert (await client.get(path, headers={"If-None-Match": other})).status_code == 200
        headers = [*client.headers.raw, (b"If-None-Match", b'"x"'), (b"If-None-Match", etag.encode())]
        assert (await client.get(path, headers=headers)).status_code == 304


async def test_a_lists_etag_is_weak_and_moves_with_what_the_list_shows(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    for kind in LISTS:
        row = await path_of(kind, new, acme)
        path, etags = row.rpartition("/")[0], []
        # The row is another process's, which may be seen a moment later; what this one writes is seen at once.
        await client.post(path, json=draft_of(kind))
        for change in (
            lambda row=row, kind=kind: client.patch(row, json=PATCHES[kind], headers={"If-Match": "*"}),
            lambda path=path, kind=kind: client.post(path, json=draft_of(kind)),
            lambda row=row: client.delete(row, headers={"If-Match": "*"}),
        ):
            answers = [await client.get(path) for _ in range(2)]
            assert answers[0].headers["etag"] == answers[1].headers["etag"]
            etags.append(answers[0].headers["etag"])
            assert (await change()).status_code < 300  # type: ignore[no-untyped-call]
            assert (await client.get(path, headers={"If-None-Match": etags[-1]})).status_code == 200
        assert all(etag.startswith('W/"') and etag.endswith('"') for etag in etags)
        assert len(set(etags)) == 3


async def test_what_is_refused_is_never_unmodified(api: Api, acme: NewTenant) -> None:
    client, nobody = await api.client(acme), await api.client()
    for answer in (
        await client.get("/v1/campaigns/x", headers={"If-None-Match": "*"}),
        await client.get("/v1/campaigns?limit=x", headers={"If-None-Match": "*"}),
        await nobody.get("/v1/campaigns", headers={"If-None-Match": "*"}),
    ):
        assert answer.status_code in (401, 404, 422)


async def test_head_answers_as_get_does(api: Api, new: Factory, acme: NewTenant) -> None:
    client, nobody = await api.client(acme), await api.client()
    paths = [await path_of(kind, new, acme) for kind in KINDS]
    for path in [
        *paths,
        "/v1/campaigns",
        "/v1/campaigns/x",
        "/v1/niches",
        "/livez",
        "/v1/unknown",
        "/openapi.json",
        "/docs",
    ]:
        for asked in (client, nobody):
            found, head = await asked.get(path), await asked.head(path)
            assert head.status_code == found.status_code
            ignored = {"request-id", "date"}
            assert {n: v for n, v in head.headers.items() if n not in ignored} == {
                n: v for n, v in found.headers.items() if n not in ignored
            }
    etag = (await client.get(paths[0])).headers["etag"]
    assert (await client.head(paths[0], headers={"If-None-Match": etag})).status_code == 304


def runs(statement: str) -> float:
    """How often a statement has been run in this process."""
    return REGISTRY.get_sample_value("quarry_statement_seconds_count", {"statement": statement}) or 0.0


async def test_an_unchanged_list_is_not_read(serve: Serve, new: Factory, acme: NewTenant) -> None:
    # The cache would spare the statement as well.
    client = await (await serve(cache_ttl=0.0)).client(acme)
    for kind in LISTS:
        path = await list_of(kind, new, acme)
        before = runs(f"{kind}.page")
        etag = (await client.get(path)).headers["etag"]
        assert runs(f"{kind}.page") == before + 1, kind
        assert (await client.get(path, headers={"If-None-Match": etag})).status_code == 304
        assert runs(f"{kind}.page") == before + 1, kind


async def test_an_etag_of_one_tenant_never_holds_in_another(
    api: Api, acme: NewTenant, globex: NewTenant, database: Database
) -> None:
    client, stranger = await api.client(acme), await api.client(globex)
    heads = []
    for tenant in (acme, globex):
        async with Work(database, tenant.id) as work:
            heads.append(await work.log.head())
    assert heads[0] == heads[1]
    for path in ("/v1/campaigns", "/v1/brands", "/v1/influencers"):
        answer = await client.get(path)
        other = await stranger.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (other.status_code, other.content) == (200, answer.content)
        assert other.headers["etag"] != answer.headers["etag"]


async def test_an_etag_is_of_one_address(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    addresses = ("/v1/campaigns", "/v1/campaigns?limit=1", "/v1/campaigns?limit=2", "/v1/campaigns?q=S", "/v1/brands")
    etags = [(await client.get(address)).headers["etag"] for address in addresses]
    assert len(set(etags)) == len(addresses)


async def test_an_etag_moves_with_the_shared_data(
    api: Api, acme: NewTenant, add_niche: Callable[..., UUID], superuser: Any
) -> None:
    client, niche = await api.client(acme), add_niche("Tea")
    held = {path: (await client.get(path)).headers["etag"] for path in ("/v1/niches", "/v1/brands")}
    superuser.execute("UPDATE app.niches SET name = 'Coffee' WHERE id = %s", [niche])
    superuser.commit()
    for path, etag in held.items():
        await until(
            partial(client.get, path, headers={"If-None-Match": etag}), lambda answer: answer.status_code == 200
        )
    # A commit of the session's own may have moved it before.
    await until(partial(client.get, "/v1/niches"), lambda answer: answer.json()["items"][0]["name"] == "Coffee")


async def test_an_etag_never_vouches_for_less_than_the_numbers_that_it_is_of(
    serve: Serve, acme: NewTenant, add_niche: Callable[..., UUID], superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "POLL_EVERY", NEVER)
    monkeypatch.setattr(watermarks, "LEASE", NEVER)
    api = await serve()
    client, niche = await api.client(acme), add_niche("Tea")
    first = await client.get("/v1/niches")
    superuser.execute("UPDATE app.niches SET name = 'Coffee' WHERE id = %s", [niche])
    superuser.commit()
    # As after a second in which the database did not answer: it has to be asked where the tenant is.
    api.state["watermarks"]._shared_asked_at = -math.inf
    second = await client.get("/v1/niches", headers={"If-None-Match": first.headers["etag"]})
    assert second.headers["etag"] != first.headers["etag"]
    assert [each["name"] for each in second.json()["items"]] == ["Coffee"]


async def test_an_etag_of_another_release_does_not_hold(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    etag = (await client.get("/v1/campaigns")).headers["etag"]
    api.state["revision"] = "the next one"
    assert (await client.get("/v1/campaigns", headers={"If-None-Match": etag})).status_code == 200


async def test_an_etag_of_before_a_restore_does_not_hold(api: Api, acme: NewTenant, platform: Database) -> None:
    client = await api.client(acme)
    etag = (await client.get("/v1/campaigns")).headers["etag"]
    async with Work(platform, None) as work:
        await work.installation.raise_epoch()
    held = {"If-None-Match": etag}
    answer = await until(partial(client.get, "/v1/campaigns", headers=held), lambda answer: answer.status_code == 200)
    assert answer.headers["etag"] != etag


async def test_an_asterisk_holds_of_what_is_there_alone(api: Api, acme: NewTenant) -> None:
    client, star = await api.client(acme), {"If-None-Match": "*"}
    problem(await client.get(f"/v1/campaigns/{uuid4()}/contents", headers=star), 404, "not_found")
    assert (await client.get("/v1/campaigns", headers=star)).status_code == 304
    assert (await client.get("/v1/campaigns", headers={"If-None-Match": '"*"'})).status_code == 200


async def test_one_who_holds_an_etag_is_shut_out_like_anybody(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    etag = (await client.get("/v1/campaigns")).headers["etag"]
    await client.delete("/v1/sessions/current")
    problem(await client.get("/v1/campaigns", headers={"If-None-Match": etag}), 401, "unauthorized")
