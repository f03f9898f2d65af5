"""If-Match, on everything that has a version: 404, 428, 412, 422, in this order."""

from __future__ import annotations

import asyncio

import pytest

from arranging.accounts import NewTenant
from arranging.application import Api, problem, version_of, wrong_fields
from arranging.drafts import DELETABLE, KINDS, PATCHES, path_of
from arranging.factories import Factory

UNMET = ('"77"', 'W/"1"', '"77", W/"1"', "1", '"01"', '"1', "", "garbage", '"1"*', '"*"', '*, "77"', '"-1"', '"²"')


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_change_says_which_version_it_means(api: Api, new: Factory, acme: NewTenant, method: str) -> None:
    client = await api.client(acme)
    for kind in KINDS if method == "PATCH" else DELETABLE:
        path, body = await path_of(kind, new, acme), PATCHES[kind] if method == "PATCH" else None
        before = await client.get(path)
        assert version_of(before) == before.json()["version"]
        problem(await client.request(method, path, json=body), 428, "precondition_required")
        for tag in UNMET:
            answer = await client.request(method, path, json=body, headers={"If-Match": tag.encode("latin-1")})
            problem(answer, 412, "stale_version")
        assert (await client.get(path)).json() == before.json()
        changed = await client.request(method, path, json=body, headers={"If-Match": before.headers["etag"]})
        assert changed.status_code == (200 if method == "PATCH" else 204)


async def test_a_change_raises_the_version_by_one(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    for kind in KINDS:
        path = await path_of(kind, new, acme)
        before = (await client.get(path)).json()
        changed = await client.patch(path, json=PATCHES[kind], headers={"If-Match": '"1"'})
        after = changed.json()
        assert after == {**before, **PATCHES[kind], "version": 2, "updated_at": after["updated_at"]}
        assert after["updated_at"] > before["updated_at"]
        assert version_of(changed) == 2
        assert (await client.get(path)).json() == after
        problem(await client.patch(path, json=PATCHES[kind], headers={"If-Match": '"1"'}), 412, "stale_version")


async def test_any_version_or_one_of_several_may_be_meant(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    for kind in DELETABLE:
        for tags in ("*", ' "1" ', '"9", "1"', '"1","1"', 'W/"9", "1", "x"'):
            path = await path_of(kind, new, acme)
            changed = await client.patch(path, json=PATCHES[kind], headers={"If-Match": tags})
            assert changed.json()["version"] == 2
            assert (await client.delete(path, headers={"If-Match": tags.replace("1", "2")})).status_code == 204


async def test_of_two_changes_of_one_version_exactly_one_succeeds(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    for tags in ('"1"', '"1", "9"') * 4:
        path = await path_of("campaigns", new, acme)
        changes = (client.patch(path, json={"name": name}, headers={"If-Match": tags}) for name in ("First", "Second"))
        answers = sorted(await asyncio.gather(*changes), key=lambda answer: answer.status_code)
        assert answers[0].status_code == 200
        problem(answers[1], 412, "stale_version")
        assert (await client.get(path)).json() == answers[0].json()


async def test_one_header_or_several_mean_the_same(api: Api, new: Factory, acme: NewTenant) -> None:
    client, path = await api.client(acme), await path_of("campaigns", new, acme)
    headers = [*client.headers.raw, (b"If-Match", b'"9"'), (b"If-Match", b'"1"')]
    assert (await client.patch(path, json={"name": "Other"}, headers=headers)).status_code == 200


async def test_a_row_that_is_not_there_is_not_found_whatever_else_is_wrong(
    api: Api, new: Factory, acme: NewTenant
) -> None:
    client = await api.client(acme)
    for kind in DELETABLE:
        path = await path_of(kind, new, acme)
        await client.delete(path, headers={"If-Match": "*"})
        for headers in ({}, {"If-Match": '"1"'}, {"If-Match": "*"}, {"If-Match": '"1", "2"'}, {"If-Match": "x"}):
            for body in (PATCHES[kind], {"unknown": 1}):
                problem(await client.patch(path, json=body, headers=headers), 404, "not_found")
            problem(await client.delete(path, headers=headers), 404, "not_found")


async def test_the_version_is_compared_before_the_body_is_looked_at(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    for kind in KINDS:
        path = await path_of(kind, new, acme)
        problem(await client.patch(path, json={"unknown": 1}), 428, "precondition_required")
        problem(await client.patch(path, json={"unknown": 1}, headers={"If-Match": '"7"'}), 412, "stale_version")
        assert wrong_fields(await client.patch(path, json={"unknown": 1}, headers={"If-Match": '"1"'})) == ["unknown"]


async def test_nobody_above_the_caller_is_changed_whatever_else_is_wrong(api: Api, acme: NewTenant) -> None:
    admin = await api.client(acme, await api.new.user(acme.id, role="admin"))
    path = f"/v1/users/{acme.owner.id}"
    for headers in ({}, {"If-Match": '"7"'}, {"If-Match": "*"}):
        problem(await admin.patch(path, json={"display_name": "Other"}, headers=headers), 403, "forbidden")
        problem(await admin.delete(path, headers=headers), 403, "forbidden")
