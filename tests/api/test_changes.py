"""GET /v1/changes: pages of what was committed, in order, of one's own tenant, without a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api, problem, wrong_fields
from arranging.drafts import PATCHES, path_of
from arranging.factories import Factory
from changes.followers import change, prune
from service.api import changes
from service.database.database import Database
from service.tables import SHOWN
from service.work import Work


async def page(client: httpx.AsyncClient, **query: Any) -> Any:
    answer = await client.get("/v1/changes", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def everything(client: httpx.AsyncClient) -> list[Any]:
    """All items, by way of `next`."""
    items, following = [], {}
    while found := (answer := await page(client, limit=200, **following))["items"]:
        items += found
        following = {"since": answer["next"]}
    return items


@pytest.fixture
def forget(superuser: Any) -> Callable[[NewTenant], int]:
    """Prunes all that a tenant has committed so far; answers how many commits that were."""

    def forget(tenant: NewTenant) -> int:
        pruned = prune(superuser, tenant)
        superuser.commit()
        return pruned

    return forget


def number(position: str) -> int:
    return int(position.partition("-")[2])


async def test_every_commit_is_told_once_and_in_order(api: Api, acme: NewTenant, database: Database) -> None:
    client = await api.client(acme)
    last = await change(database, acme, times=7)
    items = await everything(client)
    assert [number(item["id"]) for item in items] == list(range(1, last + 1))
    assert sorted(item["at"] for item in items) == [item["at"] for item in items]


async def test_a_page_has_what_follows_its_since_up_to_its_limit(api: Api, acme: NewTenant, database: Database) -> None:
    client = await api.client(acme)
    head = (await page(client))["head"]
    last = await change(database, acme, times=5)
    first = await page(client, since=head, limit=3)
    assert [number(item["id"]) for item in first["items"]] == [last - 4, last - 3, last - 2]
    second = await page(client, since=first["next"], limit=3)
    assert [number(item["id"]) for item in second["items"]] == [last - 1, last]
    assert [number(each["next"]) for each in (first, second)] == [last - 2, last]


async def test_a_page_says_how_far_the_tenant_is(api: Api, acme: NewTenant, database: Database) -> None:
    client = await api.client(acme)
    last = await change(database, acme, times=3)
    heads = [number((await page(client, limit=limit))["head"]) for limit in (1, 200)]
    assert heads == [last, last]


async def test_at_the_head_there_is_nothing_yet_and_a_place_to_go_on_from(
    api: Api, acme: NewTenant, database: Database
) -> None:
    client = await api.client(acme)
    head = (await page(client))["head"]
    assert await page(client, since=head) == {"items": [], "next": head, "head": head}
    last = await change(database, acme)
    assert [number(item["id"]) for item in (await page(client, since=head))["items"]] == [last]


async def test_an_item_is_a_transaction_with_the_rows_and_columns_that_it_changed(
    api: Api, new: Factory, acme: NewTenant, database: Database
) -> None:
    client, campaign = await api.client(acme), await new.campaign(acme)
    head = (await page(client))["head"]
    async with Work(database, acme.id) as work:
        content = await work.contents.create(campaign.id, kind="reel", title="A reel")
        await work.campaigns.update(campaign.id, given=["name", "description"], name="Autumn", description="Leaves")
    (item,) = (await page(client, since=head))["items"]
    assert set(item) == {"id", "at", "changes"}
    assert sorted(item["changes"], key=lambda each: each["op"]) == [
        {"table": "contents", "op": "insert", "id": str(content.id), "columns": None},
        {"table": "campaigns", "op": "update", "id": str(campaign.id), "columns": ["name", "description"]},
    ]


async def test_columns_that_the_api_has_no_field_for_are_nobodys_news(api: Api, new: Factory, acme: NewTenant) -> None:
    client, brand = await api.client(acme), await new.brand(acme)
    new_password = {"password": "another long password", "current_password": PASSWORD}
    assert (await client.put(f"/v1/users/{acme.owner.id}/password", json=new_password)).status_code == 204
    renamed = await client.patch(f"/v1/brands/{brand.id}", json={"email": "new@example.com"}, headers={"If-Match": "*"})
    assert renamed.status_code == 200
    (*_, user, brand_change) = [each for item in await everything(client) for each in item["changes"]]
    assert (user["table"], user["columns"]) == ("users", [])
    assert (brand_change["table"], brand_change["columns"]) == ("brands", ["email"])


async def test_a_position_is_the_one_that_the_write_was_answered_with(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    answer = await client.post("/v1/campaigns", json={"name": "Summer"})
    told = await page(client)
    assert told["items"][-1]["id"] == told["head"] == told["next"] == answer.headers["consistency"]


async def test_another_tenants_commits_are_never_among_them(
    api: Api, acme: NewTenant, globex: NewTenant, database: Database
) -> None:
    client, stranger = await api.client(acme), await api.client(globex)
    for _ in range(3):
        await change(database, globex)
        await change(database, acme)
    rows = [{each["id"] for item in await everything(who) for each in item["changes"]} for who in (client, stranger)]
    assert [len(each) for each in rows] == [5, 5]
    assert str(globex.owner.id) in rows[1]
    assert not rows[0] & rows[1]


async def test_a_commit_of_private_tables_alone_has_its_number_and_no_changes(
    api: Api, new: Factory, acme: NewTenant
) -> None:
    client = await api.client(acme)
    head = (await page(client))["head"]
    await new.token(acme)
    assert (await client.post("/v1/keys", json={"name": "Program"})).status_code == 201
    items = (await page(client, since=head))["items"]
    assert [item["changes"] for item in items] == [[], []]
    assert [number(item["id"]) for item in items] == [number(head) + 1, number(head) + 2]


async def test_of_a_commit_only_the_public_tables_are_told(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    key = {"Idempotency-Key": "1"}
    written = await client.post("/v1/campaigns", json={"name": "Summer"}, headers=key)
    (told,) = (await page(client))["items"][-1:]
    assert [(each["table"], each["id"]) for each in told["changes"]] == [("campaigns", written.json()["id"])]


async def test_no_value_of_a_row_is_told(
    api: Api, new: Factory, acme: NewTenant, add_niche: Callable[..., UUID]
) -> None:
    client, niche = await api.client(acme), add_niche("Marmalade")
    brand = await new.brand(acme, brand_name="Zanzibar", email="zanzibar@example.com", phone="+14155550177")
    path = f"/v1/brands/{brand.id}"
    assert (await client.put(f"{path}/niches/{niche}", json={})).status_code == 200
    for kind in ("users", "influencers", "contents", "tenant"):
        await client.patch(await path_of(kind, new, acme), json=PATCHES[kind], headers={"If-Match": "*"})
    items = await everything(client)
    assert {each["table"] for item in items for each in item["changes"]} <= SHOWN
    for item in items:
        for each in item["changes"]:
            assert set(each) == {"table", "op", "id", "columns"}
            assert all(re.fullmatch(r"[a-z_]+", column) for column in each["columns"] or ["none"])
            assert str(UUID(each["id"])) == each["id"]
    assert "Renamed" in (await client.get("/v1/tenant")).text
    for value in ("Zanzibar", "zanzibar", "4155550177", "Renamed", "Marmalade", "@"):
        assert value not in str(items)


async def test_of_a_commit_that_is_too_large_the_first_changes_are_told_and_that_there_were_more(
    api: Api, acme: NewTenant, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST_CHANGES", 3)
    client = await api.client(acme)
    head = (await page(client))["head"]
    for count in (3, 4):
        async with Work(database, acme.id) as work:
            created = [await work.campaigns.create(name="Summer", owner_id=acme.owner.id) for _ in range(count)]
    whole, cut = (await page(client, since=head))["items"]
    assert (len(whole["changes"]), "truncated" in whole) == (3, False)
    assert [each["id"] for each in cut["changes"]] == [str(each.id) for each in created[:3]]
    assert cut["truncated"] is True


async def test_large_commits_are_told_a_few_at_a_time_and_all_of_them(
    api: Api, acme: NewTenant, database: Database, superuser: Any
) -> None:
    client = await api.client(acme)
    head = (await page(client))["head"]
    for _ in range(3):
        bound = "SELECT set_config('app.tenant_id', %s, true), set_config('search_path', 'quarry', true)"
        superuser.execute(bound, [str(acme.id)])
        superuser.execute(
            "INSERT INTO campaigns (tenant_id, name, owner_id) SELECT %s, 'Many', %s FROM generate_series(1, 10001)",
            [acme.id, acme.owner.id],
        )
        superuser.commit()
    first = await page(client, since=head)
    assert 1 <= len(first["items"]) < 3
    rest = (await page(client, since=first["next"]))["items"]
    assert [number(item["id"]) - number(head) for item in first["items"] + rest] == [1, 2, 3]
    assert [(len(item["changes"]), item["truncated"]) for item in first["items"] + rest] == [(10_000, True)] * 3


async def test_what_is_not_kept_any_more_is_gone(
    api: Api, acme: NewTenant, database: Database, forget: Callable[[NewTenant], int]
) -> None:
    client = await api.client(acme)
    before, floor = (await page(client, limit=1))["next"], (await page(client))["head"]
    assert forget(acme) == number(floor)
    problem(await client.get("/v1/changes", params={"since": before}), 410, "gone")
    last = await change(database, acme)
    problem(await client.get("/v1/changes", params={"since": before}), 410, "gone")
    assert [number(item["id"]) for item in (await page(client, since=floor))["items"]] == [last]


async def test_without_a_since_a_page_begins_with_the_oldest_that_is_kept(
    api: Api, acme: NewTenant, database: Database, forget: Callable[[NewTenant], int]
) -> None:
    client = await api.client(acme)
    floor = number((await page(client))["head"])
    forget(acme)
    assert (await page(client))["items"] == []
    last = await change(database, acme, times=2)
    assert [number(item["id"]) for item in (await page(client))["items"]] == [floor + 1, last]


@pytest.mark.parametrize("since", ["{epoch}-{after}", "{earlier}-{head}", "{later}-{head}", "{earlier}-0"])
async def test_a_place_of_the_future_or_of_another_life_is_gone(api: Api, acme: NewTenant, since: str) -> None:
    client = await api.client(acme)
    epoch, head = map(int, (await page(client))["head"].split("-"))
    text = since.format(epoch=epoch, head=head, after=head + 1, earlier=epoch - 1, later=epoch + 1)
    problem(await client.get("/v1/changes", params={"since": text}), 410, "gone")


async def test_another_life_of_the_database_begins_another_epoch(
    api: Api, acme: NewTenant, platform: Database, database: Database
) -> None:
    client = await api.client(acme)
    before = (await page(client))["head"]
    async with Work(platform, None) as work:
        await work.installation.raise_epoch()
    last = await change(database, acme)
    problem(await client.get("/v1/changes", params={"since": before}), 410, "gone")
    epoch = int(before.partition("-")[0]) + 1
    assert (await page(client))["head"] == f"{epoch}-{last}"


@pytest.mark.parametrize("since", ["", "x", "1", "1-", "-1", "1--1", "01-1", "1-01", "1-1 ", "1-x", "1-1-1", "9" * 30])
async def test_what_is_no_position_is_invalid(api: Api, acme: NewTenant, since: str) -> None:
    client = await api.client(acme)
    assert wrong_fields(await client.get("/v1/changes", params={"since": since})) == ["since"]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", ""])
async def test_a_limit_is_from_1_to_200(api: Api, acme: NewTenant, limit: str) -> None:
    client = await api.client(acme)
    assert wrong_fields(await client.get("/v1/changes", params={"limit": limit})) == ["limit"]


async def test_nobody_but_the_signed_in_is_told(api: Api) -> None:
    nobody = await api.client()
    problem(await nobody.get("/v1/changes?limit=x"), 401, "unauthorized")


async def test_a_program_is_told_with_the_least_of_roles(api: Api, acme: NewTenant) -> None:
    owner = await api.client(acme)
    made = await owner.post("/v1/keys", json={"name": "Reader", "role": "viewer"})
    program = await api.client(Authorization=f"Bearer {made.json()['key']}")
    assert await page(program) == await page(owner)
