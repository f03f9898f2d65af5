"""ETag and If-None-Match, HEAD."""

from __future__ import annotations

from application import Api
from factories import Factory, NewTenant
from resources import KINDS, LISTS, PATCHES, draft_of, list_of, path_of


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
