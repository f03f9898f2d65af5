"""Thousands of hostile requests, and a person who works meanwhile."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import httpx
import pytest

from factories import Factory, NewTenant
from service import tokens
from service.settings import Settings
from serving import serving

COUNT = 20_000
GROWTH = 64 * 1024 * 1024
JSON = {"Content-Type": "application/json"}
BODIES = (
    b'{"a":' + b"1" * 16_000 + b"}", b'{"a":"' + b'\\"' * 8_000, b"[" * 16_000, b'{"a":1e-99999999999999999999}',
    b'{"a":' * 3_000, b"{" + b",".join(b'"%d":1' % n for n in range(1_500)) + b"}", b'{"tenant":"\\u0000"}', b"\xff" * 16_000,
)  # fmt: skip


def attacks(tenant: NewTenant) -> tuple[Callable[[int], httpx.Request], ...]:
    """Makers of the n-th request of each kind."""

    def build(method: str, path: str, **options: object) -> httpx.Request:
        return httpx.Request(method, f"http://quarry{path}", **options)  # type: ignore[arg-type]

    def invented() -> dict[str, str]:
        return {"Authorization": f"Bearer {tokens.issue(tenant.id)[0]}"}

    return (
        lambda n: build("POST", "/v1/sessions", content=BODIES[n % len(BODIES)], headers=JSON),
        lambda n: build("POST", "/v1/campaigns", content=BODIES[n % len(BODIES)], headers=JSON | invented()),
        lambda _: build("GET", "/v1/campaigns", headers=invented()),
        lambda _: build("GET", "/v1/changes/stream", headers=invented()),
        lambda n: build("GET", f"/v1/campaigns?after={'x' * n}", headers=invented()),
        lambda _: build("GET", "/healthz", headers={"Authorization": f"Bearer {secrets.token_hex(16)}"}),
        lambda n: build("GET", "/livez", headers={f"X-{each}": "1" for each in range(n % 150)}),
    )


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
async def test_a_person_works_while_others_attack(
    settings: Settings, acme: NewTenant, new: Factory, tmp_path: Path
) -> None:
    makers, codes, slowest = attacks(acme), Counter[int](), 0.0
    token = await new.token(acme)
    with serving(settings, tmp_path, OPERATOR_TOKEN="operator" * 4) as service:
        limits = httpx.Limits(max_connections=40)
        async with (
            asyncio.timeout(900),
            httpx.AsyncClient(base_url=service.url, timeout=60, limits=limits) as client,
            asyncio.TaskGroup() as group,
        ):

            async def attack(first: int) -> None:
                for n in range(first, COUNT, 20):
                    made = makers[n % len(makers)](n // len(makers))
                    headers = {name: value for name, value in made.headers.items() if name != "host"}
                    path = made.url.raw_path.decode()
                    answer = await client.request(made.method, path, headers=headers, content=made.content)
                    codes[answer.status_code] += 1

            running = [group.create_task(attack(first)) for first in range(20)]
            before = service.resident()
            while not all(each.done() for each in running):
                started = perf_counter()
                found = await client.get("/v1/campaigns", headers={"Authorization": f"Bearer {token}"})
                assert found.status_code == 200
                slowest = max(slowest, perf_counter() - started)
                await asyncio.sleep(0.05)
        grown = service.resident() - before
        told = dict(codes)
        print(f"\nhostile: {told}; slowest of a person {slowest:.2f} s, grown {grown >> 20} MiB")
        assert sum(codes.values()) == COUNT
        assert not {code for code in codes if code >= 500}
        assert slowest < 2
        assert grown < GROWTH
    assert '"event": "failed"' not in service.log.read_text()
