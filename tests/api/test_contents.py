"""/v1/campaigns/{campaign_id}/contents"""

from __future__ import annotations

from uuid import uuid4

from arranging.accounts import NewTenant
from arranging.application import Api, problem, version_of, wrong_fields
from arranging.factories import Factory

ANY = {"If-Match": "*"}


async def test_a_content_is_created_in_its_campaign(api: Api, new: Factory, acme: NewTenant) -> None:
    client, campaign = await api.client(acme), await new.campaign(acme)
    answer = await client.post(f"/v1/campaigns/{campaign.id}/contents", json={"kind": "reel", "title": " A reel "})
    assert answer.status_code == 201
    created = answer.json()
    assert created == {
        "id": created["id"], "campaign_id": str(campaign.id), "kind": "reel", "title": "A reel", "body": None, "url": None,
        "status": "draft", "published_at": None, "created_at": created["created_at"],
        "updated_at": created["created_at"], "version": 1,
    }  # fmt: skip
    assert answer.headers["location"] == f"/v1/campaigns/{campaign.id}/contents/{created['id']}"
    assert (await client.get(answer.headers["location"])).json() == created


async def test_a_content_is_found_in_its_own_campaign_only(
    api: Api, new: Factory, acme: NewTenant, globex: NewTenant
) -> None:
    client, campaign, other = await api.client(acme), await new.campaign(acme), await new.campaign(acme)
    foreign = await new.campaign(globex)
    content = (await new.content(acme, campaign)).id
    for parent in (other.id, foreign.id, uuid4()):
        path = f"/v1/campaigns/{parent}/contents/{content}"
        for answer in (
            await client.get(path),
            await client.patch(path, json={"title": "Other"}, headers=ANY),
            await client.delete(path, headers=ANY),
            await client.post(f"{path}/restore"),
        ):
            problem(answer, 404, "not_found")
    for parent in (foreign.id, uuid4()):
        path = f"/v1/campaigns/{parent}/contents"
        for query in ("", "?limit=x"):
            problem(await client.get(path + query), 404, "not_found")
        for body in ({"kind": "post", "title": "A"}, {"kind": "song"}):
            problem(await client.post(path, json=body), 404, "not_found")
    assert (await client.get(f"/v1/campaigns/{other.id}/contents")).json() == {"items": [], "next": None}


async def test_the_moment_of_publication_is_set_by_the_status(api: Api, new: Factory, acme: NewTenant) -> None:
    client, campaign = await api.client(acme), await new.campaign(acme)
    path = f"/v1/campaigns/{campaign.id}/contents/{(await new.content(acme, campaign)).id}"
    for status in ("submitted", "approved"):
        assert (await client.patch(path, json={"status": status}, headers=ANY)).json()["published_at"] is None
    published = (await client.patch(path, json={"status": "published"}, headers=ANY)).json()
    assert published["published_at"] == published["updated_at"]
    renamed = (await client.patch(path, json={"title": "Other"}, headers=ANY)).json()
    assert renamed["published_at"] == published["published_at"]
    assert (await client.patch(path, json={"status": "draft"}, headers=ANY)).json()["published_at"] is None
    at_once = await client.post(path.rpartition("/")[0], json={"kind": "post", "title": "A", "status": "published"})
    assert at_once.json()["published_at"] == at_once.json()["created_at"]


async def test_a_deleted_content_is_gone_until_it_is_restored(api: Api, new: Factory, acme: NewTenant) -> None:
    client, campaign = await api.client(acme), await new.campaign(acme)
    path = f"/v1/campaigns/{campaign.id}/contents/{(await new.content(acme, campaign, status='published')).id}"
    before = (await client.get(path)).json()
    assert (await client.delete(path, headers={"If-Match": '"1"'})).status_code == 204
    problem(await client.get(path), 404, "not_found")
    assert (await client.get(path.rpartition("/")[0])).json()["items"] == []
    for _ in range(2):
        restored = await client.post(f"{path}/restore")
        assert restored.json() == {**before, "version": 3, "updated_at": restored.json()["updated_at"]}
        assert (restored.status_code, version_of(restored)) == (200, 3)
    assert (await client.get(path)).json() == restored.json()
    problem(await client.post(f"/v1/campaigns/{campaign.id}/contents/{uuid4()}/restore"), 404, "not_found")


async def test_the_list_is_filtered(api: Api, new: Factory, acme: NewTenant) -> None:
    client, campaign = await api.client(acme), await new.campaign(acme)
    await new.content(acme, await new.campaign(acme), title="elsewhere")
    for title, kind, status in (("a", "post", "draft"), ("b", "post", "approved"), ("c", "video", "approved")):
        await new.content(acme, campaign, title=title, kind=kind, status=status)

    async def found(**filters: str) -> str:
        answer = await client.get(f"/v1/campaigns/{campaign.id}/contents", params=filters)
        return "".join(item["title"] for item in answer.json()["items"])

    assert await found() == "cba"
    assert await found(kind="post") == "ba"
    assert await found(kind="post", status="approved") == "b"
    assert await found(status="published") == ""
    for name, value in (("kind", "song"), ("status", "x"), ("title", "a")):
        answer = await client.get(f"/v1/campaigns/{campaign.id}/contents", params={name: value})
        assert wrong_fields(answer) == [name]
