"""/v1/influencers, and the niches that they and brands have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from arranging.accounts import NewTenant
from arranging.application import Api, problem, version_of, wrong_fields
from arranging.drafts import draft_of, path_of
from arranging.factories import Factory
from service.metrics import RETRIES

AddNiche = Callable[..., UUID]

ANY = {"If-Match": "*"}
PROFILES = ("brands", "influencers")
DRAFT = {"name": "Mina Park", "username": "mina.park_1", "email": "mina@example.com", "phone": "+14155550123"}
REST = {
    "date_of_birth": "1998-04-12", "gender": "female", "bio": "Coffee.\nTravel.", "profile_image": "https://example.com/m.png",
}  # fmt: skip


async def test_an_influencer_is_created_with_all_fields_and_niches(
    api: Api, acme: NewTenant, add_niche: AddNiche
) -> None:
    client, niche = await api.client(acme), str(add_niche("Travel"))
    body: dict[str, Any] = {**DRAFT, **REST, "is_active": False}
    answer = await client.post(
        "/v1/influencers", json={**body, "email": "Mina@Example.COM ", "niche_ids": [niche, niche]}
    )
    created = answer.json()
    assert created == {
        **body, "id": created["id"], "is_phone_verified": False, "niches": [{"id": niche, "name": "Travel", "icon": None}],
        "created_at": created["created_at"], "updated_at": created["created_at"], "version": 1,
    }, answer.text  # fmt: skip
    assert (answer.status_code, version_of(answer)) == (201, 1)
    assert answer.headers["location"] == f"/v1/influencers/{created['id']}"
    assert (await client.get(answer.headers["location"])).json() == created
    assert (await client.get("/v1/influencers")).json()["items"] == [created]


async def test_what_is_left_out_of_an_influencer_has_its_default(api: Api, acme: NewTenant) -> None:
    created = (await (await api.client(acme)).post("/v1/influencers", json=DRAFT)).json()
    assert {name: created[name] for name in DRAFT} == DRAFT
    assert (created["is_active"], created["is_phone_verified"], created["niches"]) == (True, False, [])
    assert {created[name] for name in REST} == {None}


async def test_a_niche_is_attached_once_and_raises_the_version_once(
    api: Api, new: Factory, acme: NewTenant, add_niche: AddNiche
) -> None:
    client, niche = await api.client(acme), add_niche("Tea")
    for kind in PROFILES:
        path = await path_of(kind, new, acme)
        for _ in range(2):
            attached = await client.put(f"{path}/niches/{niche}")
            assert (attached.status_code, version_of(attached), attached.json()["version"]) == (200, 2, 2)
            assert [each["id"] for each in attached.json()["niches"]] == [str(niche)]
            assert (await client.get(path)).json() == attached.json()
        assert (await client.delete(f"{path}/niches/{niche}")).status_code == 204
        problem(await client.delete(f"{path}/niches/{niche}"), 404, "not_found")
        detached = (await client.get(path)).json()
        assert (detached["niches"], detached["version"]) == ([], 3)
        problem(await client.put(f"{path}/niches/{uuid4()}"), 404, "not_found")
        problem(await client.put(f"/v1/{kind}/{uuid4()}/niches/{niche}"), 404, "not_found")


async def test_niche_ids_are_all_the_niches_of_a_profile(
    api: Api, new: Factory, acme: NewTenant, add_niche: AddNiche
) -> None:
    client, (a, b, c) = await api.client(acme), [str(add_niche(name)) for name in "abc"]
    for kind in PROFILES:
        path = await path_of(kind, new, acme)
        for given, version in (([b, a], 2), ([a, b, a], 2), ([c, a], 3), ([], 4), ([], 4)):
            changed = await client.patch(path, json={"niche_ids": given}, headers={"If-Match": "*"})
            assert ([each["id"] for each in changed.json()["niches"]], changed.json()["version"]) == (
                sorted(set(given), key=[a, b, c].index), version,
            )  # fmt: skip
            assert version_of(changed) == version
        problem(await client.patch(path, json={"niche_ids": [a]}, headers={"If-Match": '"1"'}), 412, "stale_version")
        assert (await client.patch(path, json={"bio": "x"}, headers=ANY)).json()["niches"] == []
        both = await client.patch(path, json={"bio": "y", "niche_ids": [a]}, headers={"If-Match": '"5"'})
        assert (both.json()["bio"], len(both.json()["niches"]), both.json()["version"]) == ("y", 1, 6)


async def test_changes_of_niches_do_not_get_in_each_others_way(
    api: Api, new: Factory, acme: NewTenant, add_niche: AddNiche
) -> None:
    client, niches = await api.client(acme), [str(add_niche(name)) for name in "abcde"]
    before = RETRIES.labels(reason="Contention")._value.get()
    for kind in PROFILES:
        path = await path_of(kind, new, acme)
        bodies = [{"niche_ids": niches[: n % 5], "bio": str(n)} for n in range(10)]
        answers = await asyncio.gather(
            *(client.request(method, f"{path}/niches/{id}") for id in niches * 4 for method in ("PUT", "DELETE")),
            *(client.patch(path, json=body, headers=ANY) for body in bodies),
        )
        assert {answer.status_code for answer in answers} <= {200, 204, 404}
    assert RETRIES.labels(reason="Contention")._value.get() == before


async def test_a_niche_that_is_not_there_is_a_mistake_in_niche_ids(
    api: Api, new: Factory, acme: NewTenant, add_niche: AddNiche
) -> None:
    client, niche = await api.client(acme), str(add_niche("Tea"))
    for kind in PROFILES:
        path = await path_of(kind, new, acme)
        for wrong in ([str(uuid4())], [niche, str(acme.id)], [str(uuid4())] * 51, None, niche, {}):
            draft: dict[str, Any] = {**draft_of(kind), "niche_ids": wrong}
            assert wrong_fields(await client.post(f"/v1/{kind}", json=draft)) == ["niche_ids"]
            assert wrong_fields(await client.patch(path, json={"bio": "x", "niche_ids": wrong}, headers=ANY)) == [
                "niche_ids"
            ]
        assert [(each["niches"], each["bio"]) for each in (await client.get(f"/v1/{kind}")).json()["items"]] == [
            ([], None)
        ]


async def test_an_influencer_stays_while_invited_to_or_on_live_campaigns(
    api: Api, new: Factory, acme: NewTenant
) -> None:
    client, influencer = await api.client(acme), await new.influencer(acme)
    path, campaign = f"/v1/influencers/{influencer.id}", f"/v1/campaigns/{(await new.campaign(acme)).id}"
    for status, expected in (("invited", 409), ("accepted", 409), ("declined", 204), ("removed", 204)):
        placed = await client.put(f"{campaign}/influencers/{influencer.id}", json={"status": status})
        assert placed.status_code == 200
        assert (await client.delete(path, headers=ANY)).status_code == expected
        await client.post(f"{path}/restore")
    await client.put(f"{campaign}/influencers/{influencer.id}", json={})
    problem(await client.delete(path, headers=ANY), 409, "in_use")
    assert (await client.delete(campaign, headers=ANY)).status_code == 204
    assert (await client.delete(path, headers=ANY)).status_code == 204


async def test_the_list_is_filtered(api: Api, new: Factory, acme: NewTenant, globex: NewTenant) -> None:
    client = await api.client(acme)
    await new.influencer(globex, name="Mina", username="aaa")
    await new.influencer(acme, name="Mina", username="aaa", email="a@example.com", phone="+14155550001")
    await new.influencer(acme, name="MINE 100%_x", username="bbb", is_active=False)

    async def found(**filters: str) -> list[str]:
        return [item["username"] for item in (await client.get("/v1/influencers", params=filters)).json()["items"]]

    assert await found() == await found(q="mIn") == ["bbb", "aaa"]
    assert await found(q="mine 100%_") == await found(is_active="false") == ["bbb"]
    assert await found(q="ina") == await found(q="%") == await found(username="ccc") == []
    assert (
        await found(username="aaa")
        == await found(email="A@Example.com")
        == await found(phone="+14155550001")
        == ["aaa"]
    )
    # As people write it: the plus arrives as a space.
    assert len((await client.get("/v1/influencers?phone=+14155550001")).json()["items"]) == 1
    for name, value in (
        ("username", "A"),
        ("email", "x"),
        ("phone", "1"),
        ("q", ""),
        ("is_active", "x"),
        ("gender", "male"),
    ):
        assert wrong_fields(await client.get("/v1/influencers", params={name: value})) == [name]
