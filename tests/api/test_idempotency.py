"""Idempotency-Key: repeating a request repeats its answer, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx

from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api, problem
from arranging.drafts import DELETABLE, KINDS, LISTS, PATCHES, draft_of, list_of, path_of
from arranging.factories import Factory
from service.database.database import Database
from service.work import Work

KEY = {"Idempotency-Key": "1"}
ANY = {"If-Match": "*"}
Request = tuple[str, str, dict[str, Any] | None]


def keyed(**headers: str) -> dict[str, str]:
    """Headers with a key of their own."""
    return {"Idempotency-Key": uuid4().hex, "If-Match": "*", **headers}


def same(first: httpx.Response, again: httpx.Response) -> bool:
    """Whether the second is the first one, replayed."""
    ignored = {"request-id", "idempotency-replayed"}
    shown = [{name: value for name, value in each.headers.items() if name not in ignored} for each in (first, again)]
    assert "idempotency-replayed" not in first.headers
    return (
        again.headers.get("idempotency-replayed") == "true"
        and (first.status_code, first.content) == (again.status_code, again.content)
        and shown[0] == shown[1]
    )


async def head(database: Database, tenant: NewTenant) -> int | None:
    async with Work(database, tenant.id) as work:
        return await work.log.head()


async def requests(new: Factory, acme: NewTenant, niche: UUID) -> list[Request]:
    """A request of every kind that changes something."""
    made: list[Request] = [("POST", await list_of(kind, new, acme), draft_of(kind)) for kind in LISTS]
    made += [("PATCH", await path_of(kind, new, acme), PATCHES[kind]) for kind in KINDS]
    made += [("DELETE", await path_of(kind, new, acme), None) for kind in DELETABLE]
    profile, campaign = await path_of("brands", new, acme), await path_of("campaigns", new, acme)
    placed = f"{campaign}/influencers/{(await new.influencer(acme)).id}"
    made += [("PUT", f"{profile}/niches/{niche}", None), ("DELETE", f"{profile}/niches/{niche}", None)]
    made += [("PUT", placed, {"fee_minor": 5}), ("DELETE", placed, None)]
    made += [("DELETE", campaign, None), ("POST", f"{campaign}/restore", None), ("POST", "/v1/keys", {"name": "A"})]
    change = {"password": "a new password", "current_password": PASSWORD}
    return [*made, ("PUT", f"/v1/users/{acme.owner.id}/password", change)]


async def test_a_repeated_write_is_answered_the_same_and_done_once(
    api: Api, new: Factory, acme: NewTenant, database: Database, add_niche: Callable[..., UUID]
) -> None:
    client = await api.client(acme)
    for method, path, body in await requests(new, acme, add_niche("Tea")):
        headers, before = keyed(), await head(database, acme)
        first = await client.request(method, path, json=body, headers=headers)
        assert first.status_code < 300, first.text
        after = await head(database, acme)
        assert after != before
        await new.campaign(acme)
        for _ in range(2):
            again = await client.request(method, path, json=body, headers=headers)
            assert same(first, again), (method, path, again.headers, again.text)
        assert first.headers["consistency"].endswith(f"-{after}")
        assert await head(database, acme) == (after or 0) + 1


async def test_a_key_belongs_to_one_request(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    path, other = await path_of("campaigns", new, acme), await path_of("campaigns", new, acme)
    headers = keyed(**{"If-Match": '"1"'})
    assert (await client.patch(path, json={"name": "A"}, headers=headers)).status_code == 200
    for method, target, body, changed in (
        ("PATCH", path, {"name": "B"}, {}),
        ("PATCH", other, {"name": "A"}, {}),
        ("PATCH", f"{path}?x=1", {"name": "A"}, {}),
        ("PATCH", path, {"name": "A"}, {"If-Match": "*"}),
        ("DELETE", path, None, {}),
        ("POST", "/v1/campaigns", {"name": "A"}, {}),
    ):
        answer = await client.request(method, target, json=body, headers={**headers, **changed})
        problem(answer, 422, "key_reused")
    assert (await client.get(other)).json()["version"] == 1


async def test_callers_have_keys_of_their_own(api: Api, new: Factory, acme: NewTenant, globex: NewTenant) -> None:
    owner, stranger = await api.client(acme), await api.client(globex)
    member = await api.client(acme, await new.user(acme.id))
    key = (await owner.post("/v1/keys", json={"name": "A"})).json()["key"]
    program = await api.client(Authorization=f"Bearer {key}")
    ids = set()
    for client in (owner, member, program, stranger, await api.client(acme)):
        answer = await client.post("/v1/campaigns", json={"name": "A"}, headers=KEY)
        assert answer.status_code == 201
        ids.add(answer.json()["id"])
    # The last client is another session of the first caller.
    assert len(ids) == 4


async def test_a_failure_is_not_remembered(api: Api, new: Factory, acme: NewTenant) -> None:
    client, path = await api.client(acme), await path_of("campaigns", new, acme)
    taken = draft_of("brands")
    await client.post("/v1/brands", json=taken)
    for answer, status in (
        (await client.post("/v1/campaigns", json={"name": ""}, headers=KEY), 422),
        (await client.post("/v1/brands", json=taken, headers=KEY), 409),
        (await client.patch(path, json={"name": "B"}, headers={**KEY, "If-Match": '"7"'}), 412),
        (await client.delete(path, headers=KEY), 428),
        (await client.post(f"/v1/brands/{uuid4()}/restore", headers=KEY), 404),
        (await client.post("/v1/campaigns", json={"name": "A"}, headers=KEY), 201),
    ):
        assert answer.status_code == status
        assert "idempotency-replayed" not in answer.headers


async def test_a_caller_who_may_no_longer_is_refused(api: Api, new: Factory, acme: NewTenant) -> None:
    owner, member = await api.client(acme), await new.user(acme.id)
    client = await api.client(acme, member)
    assert (await client.post("/v1/campaigns", json={"name": "A"}, headers=KEY)).status_code == 201
    await owner.patch(f"/v1/users/{member.id}", json={"role": "viewer"}, headers=ANY)
    problem(await client.post("/v1/campaigns", json={"name": "A"}, headers=KEY), 403, "forbidden")


async def test_a_key_expires(api: Api, acme: NewTenant, superuser: Any) -> None:
    client = await api.client(acme)
    first = await client.post("/v1/campaigns", json={"name": "A"}, headers=KEY)
    superuser.execute("UPDATE quarry.idempotency_keys SET created_at = now() - interval '1 day', expires_at = now()")
    superuser.commit()
    again = await client.post("/v1/campaigns", json={"name": "B"}, headers=KEY)
    assert again.status_code == 201
    assert again.json()["id"] != first.json()["id"]
    assert same(again, await client.post("/v1/campaigns", json={"name": "B"}, headers=KEY))


async def test_what_is_no_key_is_malformed(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    for wrong in (b"", b"x" * 201, "schlüssel".encode(), b"two words", b"\x01", b"a\tb"):
        headers = [*client.headers.raw, (b"Idempotency-Key", wrong)]
        problem(await client.post("/v1/campaigns", json={"name": "A"}, headers=headers), 400, "malformed")
        assert (await client.get("/v1/campaigns", headers=headers)).json()["items"] == []
    twice = [*client.headers.raw, (b"Idempotency-Key", b"1"), (b"Idempotency-Key", b"1")]
    problem(await client.post("/v1/campaigns", json={"name": "A"}, headers=twice), 400, "malformed")
    for right in ("x" * 200, "!#$%&'()*+,-./:;<=>?@[]^_`{|}~\"\\"):
        made = await client.post("/v1/campaigns", json={"name": "A"}, headers={"Idempotency-Key": right})
        assert made.status_code == 201


async def test_signing_in_and_codes_know_no_keys(api: Api, acme: NewTenant, superuser: Any) -> None:
    client = await api.client(acme)
    credentials = {"tenant": acme.domain, "email": "owner@acme.example", "password": PASSWORD}
    tokens = [(await client.post("/v1/sessions", json=credentials, headers=KEY)).json()["token"] for _ in range(2)]
    assert tokens[0] != tokens[1]
    for _ in range(2):
        sent = await client.post("/v1/otps", json={"phone": "+14155550100"}, headers=KEY)
        assert (sent.status_code, "idempotency-replayed" in sent.headers) == (202, False)
    for path in ("/v1/sessions", "/v1/sessions/current"):
        assert (await client.delete(path, headers=KEY)).status_code == 204
    assert superuser.execute("SELECT count(*) FROM quarry.idempotency_keys").fetchone() == (0,)
    assert superuser.execute("SELECT count(*) FROM quarry.otps").fetchone() == (2,)


async def test_the_answer_is_kept_sealed(api: Api, acme: NewTenant, superuser: Any) -> None:
    client = await api.client(acme)
    draft = draft_of("brands")
    assert (await client.post("/v1/brands", json=draft, headers=KEY)).status_code == 201
    answer, row = superuser.execute("SELECT answer, k::text FROM quarry.idempotency_keys AS k").fetchone()
    assert answer[:1] == b"\x01"
    for plain in (draft["email"], draft["phone"], draft["username"]):
        assert plain not in row
        assert plain.encode() not in answer
