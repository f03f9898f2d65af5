"""Anything at all, sent to every route: the answer is a sensible one, and another tenant's rows stay as they are."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api, problem
from arranging.drafts import LISTS, draft_of, path_of
from arranging.witnesses import everything
from service.api.routes import ENDPOINTS
from service.database.database import Database
from service.http.answers import STATUS
from service.work import Work

AddNiche = Callable[..., UUID]

FIELDS = (
    "name", "description", "status", "owner_id", "brand_id", "budget_minor", "currency", "starts_on", "ends_on", "kind",
    "title", "body", "url", "email", "display_name", "password", "current_password", "role", "is_active", "features",
    "configuration", "tenant", "id", "tenant_id", "version", "limit", "after", "q", "x", "username", "phone", "bio",
    "profile_image", "date_of_birth", "gender", "brand_name", "legal_entity_name", "company_type", "brand_email", "poc_name",
    "poc_email", "poc_contact_number", "gst_document", "niche_ids", "is_phone_verified", "fee_minor", "expires_at", "code",
    "user_id", "actor_id", "row_id", "table",
)  # fmt: skip
TEXTS = (
    "", " ", "Summer", "draft", "active", "archived", "post", "published", "owner", "member", "USD", "2026-06-01", "9999-12-31",
    "https://example.com", "a@b.example", "owner@acme.example", "acme.example", PASSWORD, "\x00", "\ufffe", "\U0010ffff",
    "\u202e", "x" * 300, "'; --", "%s", "{}", "$1", "\\", "İ", "ß" * 200, "0", "-1", "1e400", "true", "null",
    "+14155550100", "123456", "mina.park", "female", "llp", "accepted", "admin", "campaigns", "9999-12-31T23:59:59-01:00",
)  # fmt: skip
KEYS = ("1", "2", "3", "", "x" * 201, "\xff", "a b")
DRAFTED = (*LISTS, "keys", "otps")
TAGS = ("*", '"1"', '"2"', 'W/"1"', '"1", "2"', "", "x", '"99999999999"', '"', "\xff", "*, *", '"2147483648"')


class Sender:
    """Makes requests from a seed, out of parts that nearly fit."""

    def __init__(self, chance: random.Random, rows: list[str], owners: list[str]) -> None:
        self.chance, self.rows = chance, rows
        self.ids = sorted({part for row in rows for part in row.split("/") if len(part) == 36} | set(owners))

    def value(self, depth: int = 0) -> Any:
        chance = self.chance
        kind = chance.randrange(11 if depth < 4 else 8)
        if kind < 4:
            return chance.choice(TEXTS)
        if kind == 4:
            return chance.choice(self.ids)
        if kind < 7:
            return chance.choice((None, True, False, 0, -1, 5.5, 2**31, 2**53, 2**63, 10**40, 1e308, -0.0))
        if kind == 7:
            return "".join(chr(chance.randrange(0xD800)) for _ in range(chance.randrange(12)))
        if kind == 8:
            return [self.value(depth + 1) for _ in range(chance.randrange(3))]
        return {self.text(): self.value(depth + 1) for _ in range(chance.randrange(4))}

    def text(self) -> str:
        return self.chance.choice((*TEXTS, *FIELDS))

    def body(self, path: str) -> bytes:
        if self.chance.random() < 0.1:
            return self.chance.choice((b"", b"{", b"[]", b"null", b"\xff", b"NaN", b'{"name": 1e999}', b"[" * 3_000))
        names = self.chance.sample(FIELDS, self.chance.randrange(6))
        kind = path.rpartition("/")[2]
        draft = draft_of(kind) if kind in DRAFTED else {}
        if self.chance.random() < 0.5:
            return json.dumps(draft | {name: self.value() for name in set(names) & set(draft)}).encode()
        return json.dumps({name: self.value() for name in names}).encode()

    def path(self, path: str) -> str:
        """The path with ids in it: half of the time those of a row that is there."""
        parts = []
        places = re.sub(r"\{\w+\}", "([^/]+)", path)
        fitting = [match for row in self.rows if (match := re.match(places, row + path.rpartition("}")[2]))]
        if fitting and self.chance.random() < 0.5:
            return self.chance.choice(fitting).group()
        for part in path.split("/"):
            odd = self.chance.choice(("x", "%00", "%ff", "0", "..", "%C3%A9", "'", str(uuid4())))
            parts.append(part if "{" not in part else self.chance.choice([*self.ids, odd]))
        return "/".join(parts)

    def request(self, client: httpx.AsyncClient) -> httpx.Request:
        chance = self.chance
        endpoint = chance.choice(ENDPOINTS)
        headers = {"Content-Type": chance.choice(("application/json",) * 9 + ("text/plain",))}
        if chance.random() < 0.8:
            headers["If-Match"] = chance.choice((*TAGS, *("*",) * 9))
        if chance.random() < 0.3:
            headers["Idempotency-Key"] = chance.choice(KEYS)
        if chance.random() < 0.2:
            headers[chance.choice(("If-None-Match", "Consistency", "Request-Id", "Host", "User-Agent"))] = (
                chance.choice(TAGS)
            )
        params = {chance.choice(FIELDS): str(self.value()) for _ in range(chance.randrange(3))}
        method = endpoint.method if chance.random() < 0.95 else chance.choice(("GET", "HEAD", "PUT", "OPTIONS"))
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        path = self.path(endpoint.path)
        return client.build_request(
            method,
            path,
            content=self.body(endpoint.path),
            headers=encoded,
            params=params if chance.random() < 0.4 else None,
        )


async def throw(
    api: Api, acme: NewTenant, globex: NewTenant, database: Database, add_niche: AddNiche, *, count: int
) -> Counter[str]:
    """Send `count` random requests as members of acme and as their admin; answers how often each code came."""
    new = api.new
    rows = [row for tenant in (acme, globex) for row in await rows_of(api, tenant, add_niche)]
    before = await everything(database, globex)
    users = [await new.user(acme.id, email=f"{role}@acme.example", role=role) for role in ("member", "admin")]
    codes = Counter[str]()
    sender = Sender(random.Random(f"quarry {count}"), rows, [str(acme.owner.id), str(globex.owner.id)])
    clients: list[httpx.AsyncClient] = []
    for number in range(count):
        if number % 20 == 0:
            # The sessions end now and then: signing out is one of the requests.
            async with Work(database, acme.id) as work:
                for user in users:
                    await work.users.update(user.id, given=["is_active", "role"], is_active=True, role=user.role)
            clients = [await api.client(acme, user) for user in users]
        client = clients[number % 3 == 0]
        request = sender.request(client)
        answer = await client.send(request)
        seen = f"{request.method} {request.url} {dict(request.headers)} {request.content!r}: {answer.text}"
        assert answer.status_code < 500, seen
        if answer.status_code >= 400 and request.method != "HEAD":
            code = answer.json()["code"]
            problem(answer, STATUS[code], code)
            codes[code] += 1
        else:
            codes[str(answer.status_code)] += 1
    assert await everything(database, globex) == before
    return codes


async def rows_of(api: Api, tenant: NewTenant, add_niche: AddNiche) -> list[str]:
    """Addresses of rows of every kind."""
    brand, influencer, campaign = [
        await path_of(kind, api.new, tenant) for kind in ("brands", "influencers", "campaigns")
    ]
    niche, key = add_niche(uuid4().hex), await (await api.client(tenant)).post("/v1/keys", json=draft_of("keys"))
    associations = [f"{profile}/niches/{niche}" for profile in (brand, influencer)]
    associations.append(f"{campaign}/influencers/{influencer.rpartition('/')[2]}")
    rows = [await path_of(kind, api.new, tenant) for kind in ("users", "contents", "contents")]
    return [*rows, brand, influencer, campaign, *associations, f"/v1/keys/{key.json()['id']}", f"/v1/niches/{niche}"]


async def test_a_random_request_is_answered_or_refused_by_a_known_code(
    api: Api, acme: NewTenant, globex: NewTenant, database: Database, add_niche: AddNiche
) -> None:
    codes = await throw(api, acme, globex, database, add_niche, count=1_200)
    assert {
        "200",
        "201",
        "204",
        "not_found",
        "invalid_input",
        "forbidden",
        "malformed",
        "stale_version",
        "key_reused",
    } <= set(codes), codes
    assert codes["unauthorized"] < 300, codes


@pytest.mark.soak
@pytest.mark.skipif(not os.environ.get("SOAK"), reason="SOAK=1 asks for the full count")
async def test_thirty_thousand_random_requests(
    api: Api, acme: NewTenant, globex: NewTenant, database: Database, add_niche: AddNiche
) -> None:
    codes = await throw(api, acme, globex, database, add_niche, count=30_000)
    print(
        f"\nrandom requests: {codes.total()}", *(f"{code} {times}" for code, times in codes.most_common()), sep="\n  "
    )
