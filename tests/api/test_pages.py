"""Lists: pages, cursors and their order."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import chain
from uuid import UUID

import httpx

from arranging.accounts import NewTenant
from arranging.application import Api, wrong_fields
from arranging.drafts import LISTS, list_of, path_of
from arranging.factories import Factory
from service.database.database import Database
from service.work import Work


async def walk(client: httpx.AsyncClient, path: str, **query: str) -> list[list[str]]:
    """The ids of every page, following the cursors to the end."""
    pages, after = [], {}
    while True:
        content = (await client.get(path, params={**query, **after})).json()
        assert set(content) == {"items", "next"}
        pages.append([item["id"] for item in content["items"]])
        if content["next"] is None:
            return pages
        after = {"after": content["next"]}


async def test_every_page_but_the_last_is_full_and_every_row_is_seen_once(
    api: Api, new: Factory, acme: NewTenant, globex: NewTenant
) -> None:
    client = await api.client(acme)
    await new.campaign(globex)
    ids = [str((await new.campaign(acme, f"Campaign {n}")).id) for n in range(7)]
    for limit, sizes in ((1, [1] * 7), (2, [2, 2, 2, 1]), (3, [3, 3, 1]), (6, [6, 1]), (7, [7]), (200, [7])):
        pages = await walk(client, "/v1/campaigns", limit=str(limit))
        assert [len(page) for page in pages] == sizes
        assert list(chain.from_iterable(pages)) == ids[::-1]


async def test_rows_of_one_moment_are_each_seen_once(
    api: Api, acme: NewTenant, database: Database, add_niche: Callable[..., UUID]
) -> None:
    client = await api.client(acme)
    async with Work(database, acme.id) as work:
        ids = {str((await work.campaigns.create(name="Twin", owner_id=acme.owner.id)).id) for _ in range(9)}
    for limit in ("1", "2", "4", "9"):
        pages = await walk(client, "/v1/campaigns", limit=limit)
        assert list(chain.from_iterable(pages)) == sorted(ids, reverse=True)
    assert await walk(client, "/v1/campaigns", limit="5", q="twin") == await walk(client, "/v1/campaigns", limit="5")


async def test_every_list_has_pages(api: Api, new: Factory, acme: NewTenant, add_niche: Callable[..., UUID]) -> None:
    client = await api.client(acme)
    campaign = await new.campaign(acme)
    for n in range(3):
        await new.campaign(acme)
        await new.content(acme, campaign)
        await new.user(acme.id, email=f"{n}@acme.example")
        await api.client(acme)
        add_niche(f"Niche {n}")
        await new.brand(acme)
        placed = f"/v1/campaigns/{campaign.id}/influencers/{(await new.influencer(acme)).id}"
        assert (await client.put(placed, json={})).status_code == 200
        assert (await client.post("/v1/keys", json={"name": "A"})).status_code == 201
        wrong = {"tenant": acme.domain, "email": "nobody@acme.example", "password": "wrong"}
        assert (await client.post("/v1/sessions", json=wrong)).status_code == 401
    for path, count in (
        ("/v1/campaigns", 4), (f"/v1/campaigns/{campaign.id}/contents", 3), ("/v1/users", 4), ("/v1/sessions", 4),
        ("/v1/niches", 3), ("/v1/brands", 3), ("/v1/influencers", 3), (f"/v1/campaigns/{campaign.id}/influencers", 3),
        ("/v1/keys", 3), ("/v1/audit/sign-ins", 3),
    ):  # fmt: skip
        whole = (await client.get(path)).json()["items"]
        pages = await walk(client, path, limit="2")
        assert list(chain.from_iterable(pages)) == [item["id"] for item in whole]
        assert (len(whole), len(pages)) == (count, 2)
        moments = [item["created_at"] for item in whole]
        assert moments == sorted(moments, reverse=True)


async def test_a_row_that_comes_or_goes_between_two_pages_moves_no_other(
    api: Api, new: Factory, acme: NewTenant
) -> None:
    client = await api.client(acme)
    ids = [str((await new.campaign(acme)).id) for _ in range(6)][::-1]
    first = (await client.get("/v1/campaigns?limit=2")).json()
    await new.campaign(acme)
    for gone in (ids[1], ids[2]):
        await client.delete(f"/v1/campaigns/{gone}", headers={"If-Match": "*"})
    second = (await client.get("/v1/campaigns", params={"limit": "2", "after": first["next"]})).json()
    assert [item["id"] for item in second["items"]] == ids[3:5]


async def test_a_page_has_fifty_rows_unless_another_number_up_to_two_hundred_is_asked_for(
    api: Api, acme: NewTenant, database: Database
) -> None:
    client = await api.client(acme)
    async with Work(database, acme.id) as work:
        for n in range(201):
            await work.campaigns.create(name=f"Campaign {n}", owner_id=acme.owner.id)
    for query, size in (("", 50), ("?limit=1", 1), ("?limit=51", 51), ("?limit=200", 200)):
        content = (await client.get(f"/v1/campaigns{query}")).json()
        assert len(content["items"]) == size
        assert content["next"]


async def test_a_wrong_query_is_refused_by_name(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    cursor = base64.urlsafe_b64encode
    others = (
        "/v1/niches",
        "/v1/sessions",
        "/v1/keys",
        "/v1/audit/sign-ins",
        f"{await path_of('campaigns', new, acme)}/influencers",
    )
    for path in [*[await list_of(kind, new, acme) for kind in LISTS], *others]:
        for limit in ("0", "201", "-1", "1.5", "x", "", "10e1", "9" * 5_000, "0x10", "٣x"):
            assert wrong_fields(await client.get(path, params={"limit": limit})) == ["limit"]
        for after in (
            "", "x", "null", "é", "=" * 32, "A" * 31, "A" * 33, "A" * 5_000, cursor(b"\x7f" + b"\xff" * 23).decode(),
            cursor(b"\x80" + b"\0" * 23).decode(), "\x00" * 32,
        ):  # fmt: skip
            assert wrong_fields(await client.get(path, params={"after": after})) == ["after"]
        assert wrong_fields(await client.get(f"{path}?limit=2&limit=3&x=1&x=1")) == ["limit", "x"]
        assert wrong_fields(await client.get(f"{path}?offset=1")) == ["offset"]


async def test_many_query_parameters_are_refused_in_a_moment(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    assert len(wrong_fields(await client.get("/v1/campaigns?" + "&".join(f"x{n}=" for n in range(9_000))))) == 50


async def test_any_cursor_that_can_be_read_leads_somewhere(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    campaign = await new.campaign(acme)
    for microseconds, count in ((0, 0), (253_402_300_799_999_999, 1), (-62_135_596_800_000_000, 0)):
        raw = microseconds.to_bytes(8, "big", signed=True) + campaign.id.bytes
        answer = await client.get("/v1/campaigns", params={"after": base64.urlsafe_b64encode(raw).decode()})
        assert len(answer.json()["items"]) == count
