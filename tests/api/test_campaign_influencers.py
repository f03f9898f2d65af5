"""/v1/campaigns/{campaign_id}/influencers"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from arranging.accounts import NewTenant
from arranging.application import Api, problem, version_of, wrong_fields
from arranging.factories import Factory

ANY = {"If-Match": "*"}


async def test_an_influencer_is_put_on_a_campaign(api: Api, new: Factory, acme: NewTenant) -> None:
    client, campaign, influencer = await api.client(acme), await new.campaign(acme), await new.influencer(acme)
    answer = await client.put(f"/v1/campaigns/{campaign.id}/influencers/{influencer.id}", json={})
    placed = answer.json()
    assert placed == {
        "id": placed["id"], "campaign_id": str(campaign.id), "influencer_id": str(influencer.id),
        "influencer_name": influencer.name, "influencer_username": influencer.username, "status": "invited",
        "fee_minor": None, "currency": None, "created_at": placed["created_at"], "updated_at": placed["created_at"],
        "version": 1,
    }  # fmt: skip
    assert (answer.status_code, version_of(answer)) == (200, 1)
    assert (await client.get(f"/v1/campaigns/{campaign.id}/influencers")).json() == {"items": [placed], "next": None}


async def test_putting_them_there_again_says_all_that_was_agreed_again(api: Api, new: Factory, acme: NewTenant) -> None:
    client, campaign, influencer = await api.client(acme), await new.campaign(acme), await new.influencer(acme)
    path = f"/v1/campaigns/{campaign.id}/influencers/{influencer.id}"
    first = (await client.put(path, json={})).json()
    agreed = {"status": "accepted", "fee_minor": 75_000, "currency": "EUR"}
    for version, body, expected in (
        (2, agreed, agreed),
        (2, agreed, agreed),
        (3, {"status": "declined"}, {"status": "declined", "fee_minor": None, "currency": None}),
        (4, {"fee_minor": 0}, {"status": "invited", "fee_minor": 0, "currency": "USD"}),
    ):
        placed = await client.put(path, json=body)
        assert placed.json() == {**first, **expected, "version": version, "updated_at": placed.json()["updated_at"]}
        assert version_of(placed) == version
    assert len((await client.get(path.rpartition("/")[0])).json()["items"]) == 1


async def test_a_fee_without_a_currency_is_in_the_campaigns(api: Api, new: Factory, acme: NewTenant) -> None:
    client, campaign, influencer = (
        await api.client(acme),
        await new.campaign(acme, currency="JPY"),
        await new.influencer(acme),
    )
    path = f"/v1/campaigns/{campaign.id}/influencers/{influencer.id}"
    for body, currency in (
        ({"fee_minor": 5}, "JPY"),
        ({"fee_minor": 5, "currency": None}, "JPY"),
        ({"fee_minor": 5, "currency": "EUR"}, "EUR"),
    ):
        assert (await client.put(path, json=body)).json()["currency"] == currency


async def test_what_is_agreed_has_its_limits(api: Api, new: Factory, acme: NewTenant) -> None:
    client, campaign, influencer = await api.client(acme), await new.campaign(acme), await new.influencer(acme)
    path = f"/v1/campaigns/{campaign.id}/influencers/{influencer.id}"
    wrong: dict[str, list[Any]] = {
        "status": ["", "Invited", None, 1],
        "fee_minor": [-1, 2**53, 1.5, "5", True],
        "currency": ["", "usd", "XXX", "ZZZ", 840, "EUR"],
        "version": [1],
        "influencer_id": [str(influencer.id)],
    }
    for field, values in wrong.items():
        for value in values:
            assert (value, wrong_fields(await client.put(path, json={field: value}))) == (value, [field])
    assert (await client.get(path.rpartition("/")[0])).json()["items"] == []
    assert (await client.put(path, json={"fee_minor": 2**53 - 1})).json()["fee_minor"] == 2**53 - 1


async def test_what_is_not_there_is_not_found_whatever_else_is_wrong(
    api: Api, new: Factory, acme: NewTenant, globex: NewTenant
) -> None:
    client, campaign, influencer = await api.client(acme), await new.campaign(acme), await new.influencer(acme)
    gone, lost = await new.campaign(acme), await new.influencer(acme)
    await client.delete(f"/v1/campaigns/{gone.id}", headers=ANY)
    await client.delete(f"/v1/influencers/{lost.id}", headers=ANY)
    foreign, stranger = await new.campaign(globex), await new.influencer(globex)
    pairs = [(id, influencer.id) for id in (gone.id, foreign.id, uuid4(), "x")]
    pairs += [(campaign.id, id) for id in (lost.id, stranger.id, uuid4(), "x")]
    for campaign_id, influencer_id in pairs:
        path = f"/v1/campaigns/{campaign_id}/influencers/{influencer_id}"
        for body in ({}, {"status": "x"}):
            problem(await client.put(path, json=body), 404, "not_found")
        problem(await client.delete(path), 404, "not_found")
    for campaign_id in (gone.id, foreign.id, uuid4()):
        for query in ("", "?status=x"):
            problem(await client.get(f"/v1/campaigns/{campaign_id}/influencers{query}"), 404, "not_found")


async def test_an_influencer_is_taken_off_a_campaign(api: Api, new: Factory, acme: NewTenant) -> None:
    client, campaign, influencer = await api.client(acme), await new.campaign(acme), await new.influencer(acme)
    path = f"/v1/campaigns/{campaign.id}/influencers/{influencer.id}"
    await client.put(path, json={"status": "accepted"})
    answer = await client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    problem(await client.delete(path), 404, "not_found")
    assert (await client.get(path.rpartition("/")[0])).json()["items"] == []
    assert (await client.put(path, json={})).json()["version"] == 1


async def test_the_list_has_live_influencers_only_is_filtered_and_has_pages(
    api: Api, new: Factory, acme: NewTenant
) -> None:
    client, campaign, other = await api.client(acme), await new.campaign(acme), await new.campaign(acme)
    path = f"/v1/campaigns/{campaign.id}/influencers"
    for name, status in (("a", "invited"), ("b", "accepted"), ("c", "declined"), ("d", "accepted"), ("e", "removed")):
        influencer = await new.influencer(acme, name=name)
        assert (await client.put(f"{path}/{influencer.id}", json={"status": status})).status_code == 200
    await client.put(f"/v1/campaigns/{other.id}/influencers/{influencer.id}", json={"status": "declined"})
    assert (await client.delete(f"/v1/influencers/{influencer.id}", headers=ANY)).status_code == 204

    async def found(**filters: str) -> str:
        return "".join(item["influencer_name"] for item in (await client.get(path, params=filters)).json()["items"])

    assert await found() == "dcba"
    assert (await found(status="accepted"), await found(status="removed")) == ("db", "")
    following = (await client.get(path, params={"limit": "2"})).json()["next"]
    assert await found(limit="2", after=following) == "ba"
    for name, value in (("status", "x"), ("influencer_id", str(influencer.id)), ("limit", "0")):
        assert wrong_fields(await client.get(path, params={name: value})) == [name]
    assert (
        await client.get(path, headers={"If-None-Match": (await client.get(path)).headers["etag"]})
    ).status_code == 304
