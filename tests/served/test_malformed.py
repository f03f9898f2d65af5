"""Malformed input of every kind: a 4xx with a code, and a process that does not grow."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from arranging.accounts import NewTenant
from arranging.drafts import draft_of
from arranging.factories import Factory
from arranging.serving import Service
from service.api.routes import ENDPOINTS
from service.http.answers import STATUS
from service.http.endpoints import Endpoint

GROWTH = 64 * 1024 * 1024
HUGE = 50 * 1024 * 1024
WRITES = [each for each in ENDPOINTS if each.contract.body is not None and each.permission != "anyone"]
LISTS = [each for each in ENDPOINTS if each.contract.query is not None]
ROWS = [each for each in ENDPOINTS if "{" in each.path]
CHANGES = [each for each in ENDPOINTS if each.contract.has_precondition]
BROKEN = (
    b"", b"{", b"}", b"[]", b"null", b"1", b'"text"', b"{'a': 1}", b"NaN", b"\xff\xfe", b"\x00", b'{"name": "\xff"}',
    b'{"name": "\xed\xa0\x80"}', b'{"name": "\\ud800"}', b'{"name": 1e999}', b'{"name": Infinity}', b"[" * 100_000,
    b'{"a":' * 50_000, b'{"name": "a" "b"}', b"\xef\xbb\xbf{}x", b'{"name": 01}', b"{" + b" " * 500_000,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    "\x00", "a\x00b", "\x1b[31m", 10**400, -1, 2**63, 1.5, True, [], {}, [[[[[[]]]]]], {"$ref": "#"}, "x" * 200_000, "\u0085",
    "not a date", "2026-02-30", "0000-00-00", "javascript:alert(1)", "+1", "a@", "@", "..", "%00", "' OR 1=1 --",
)  # fmt: skip
IDS = ("0", "x", "%00", "..%2f..", "{}", "00000000-0000-0000-0000-00000000000g", "%F0%9F%92%A9", "a" * 3000, "'--")
TAGS = ("1", '"x"', 'W/"1"', '"1', '"99999999999999999999"', '"-1"', ",", '"7","8" "9"', "\xff", '""')
CURSORS = ("x", "=", "%00", "A" * 31, "A" * 33, "/" * 32, "+" * 32, "é", "null", "A" * 5000)


class Malformer:
    """Makes requests that no client means, from a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"malformed {seed}")
        self.makers = (self.broken_body, self.wrong_value, self.bad_id, self.bad_tag, self.bad_query)

    def __iter__(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        while True:
            yield self.chance.choice(self.makers)()

    def broken_body(self) -> tuple[str, str, dict[str, Any]]:
        endpoint = self.chance.choice(WRITES)
        kind = self.chance.choice(("application/json",) * 5 + ("text/plain", "application/xml", ""))
        return endpoint.method, self.path(endpoint), {
            "content": self.chance.choice(BROKEN), "headers": {"Content-Type": kind, "If-Match": "*"},
        }  # fmt: skip

    def wrong_value(self) -> tuple[str, str, dict[str, Any]]:
        """A body that would do but for one field; what that field may hold after all is left out."""
        kind = self.chance.choice(("users", "brands", "influencers", "campaigns", "keys"))
        body = draft_of(kind)
        field, value = self.chance.choice(list(body)), self.chance.choice(VALUES)
        if isinstance(value, str) and field in ("name", "brand_name", "display_name", "password"):
            value = self.chance.choice(("\x00", "", " ", "x" * 200_000))
        body[field] = value
        return "POST", f"/v1/{kind}", {"json": body}

    def bad_id(self) -> tuple[str, str, dict[str, Any]]:
        endpoint = self.chance.choice(ROWS)
        path = re.sub(r"{\w+}", lambda _: self.chance.choice(IDS), endpoint.path)
        return endpoint.method, path, {"headers": {"If-Match": "*"}}

    def bad_tag(self) -> tuple[str, str, dict[str, Any]]:
        endpoint = self.chance.choice(CHANGES)
        tag = self.chance.choice(TAGS).encode("latin-1")
        return endpoint.method, self.path(endpoint), {"headers": {"If-Match": tag}, "json": {}}

    def bad_query(self) -> tuple[str, str, dict[str, Any]]:
        endpoint = self.chance.choice(LISTS)
        query = self.chance.choice(
            [f"after={cursor}" for cursor in CURSORS]
            + [
                "limit=0",
                "limit=x",
                "limit=1e9",
                "limit=10&limit=20",
                "nothing=1",
                "limit=%00",
                "after=%ff",
                "limit=-1",
            ]
        )
        return endpoint.method, f"{self.path(endpoint)}?{query}", {}

    def path(self, endpoint: Endpoint) -> str:
        return re.sub(r"{\w+}", lambda _: str(uuid4()), endpoint.path)


async def refused(client: httpx.AsyncClient, count: int) -> Counter[str]:
    """Send so many malformed requests; answers how often each code came. Every answer must be a problem document."""
    codes = Counter[str]()
    for (method, path, request), _ in zip(Malformer(count), range(count), strict=False):
        answer = await client.request(method, path, **request)
        seen = f"{method} {path[:200]} {str(request)[:300]}: {answer.status_code} {answer.text[:500]}"
        assert 400 <= answer.status_code < 500, seen
        code = answer.json()["code"]
        assert STATUS[code] == answer.status_code, seen
        codes[code] += 1
    return codes


async def huge_bodies(client: httpx.AsyncClient, count: int) -> None:
    """50 MB each, with their length told beforehand and not."""

    async def chunks() -> Any:
        for _ in range(HUGE // 65536):
            yield b" " * 65536

    for number in range(count):
        told = {"Content-Length": str(HUGE)} if number % 2 else {}
        try:
            answer = await client.post(
                "/v1/campaigns", content=chunks(), headers={"Content-Type": "application/json", **told}
            )
        except (httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
            # The service has answered and hung up before the body was through; it is there all the same.
            assert (await client.get("/livez")).status_code == 200
            continue
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def tried(service: Service, token: str, *, inputs: int, bodies: int) -> tuple[Counter[str], int]:
    """The codes, and by how many bytes the process has grown since it was warm."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=service.url, headers=headers, timeout=60) as client:
        await refused(client, 300)
        warm = service.resident()
        codes = await refused(client, inputs)
        await huge_bodies(client, bodies)
        return codes, service.resident() - warm


async def test_malformed_input_is_refused_with_a_code_and_forgotten(
    service: Service, new: Factory, acme: NewTenant
) -> None:
    codes, growth = await tried(service, await new.token(acme), inputs=900, bodies=2)
    expected = {"malformed", "unsupported_media_type", "not_found", "stale_version", "invalid_input"}
    assert expected <= set(codes), codes
    assert growth < GROWTH, growth
    assert "Traceback" not in service.log.read_text()


@pytest.mark.soak
@pytest.mark.skipif(not os.environ.get("SOAK"), reason="SOAK=1 asks for the full count")
async def test_ten_thousand_malformed_inputs(service: Service, new: Factory, acme: NewTenant) -> None:
    codes, growth = await tried(service, await new.token(acme), inputs=12_000, bodies=40)
    assert growth < GROWTH, growth
    print(
        f"\nmalformed inputs: {codes.total()} and 40 bodies of 50 MB, grown by {growth / 1024**2:.1f} MiB;",
        json.dumps(codes),
    )
