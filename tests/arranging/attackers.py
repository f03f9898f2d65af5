"""Clients without an account, in a process of their own: `attackers.py URL TENANT COUNT` prints how often it got which status."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections import Counter
from collections.abc import Callable
from uuid import UUID

import httpx

from service.accounts import tokens
from service.tenancy.identity import TenantId

CLIENTS = 4
JSON = {"Content-Type": "application/json"}
BODIES = (
    b'{"a":' + b"1" * 16_000 + b"}", b'{"a":"' + b'\\"' * 8_000, b"[" * 16_000, b'{"a":1e-99999999999999999999}',
    b'{"a":' * 3_000, b"{" + b",".join(b'"%d":1' % n for n in range(1_500)) + b"}", b'{"tenant":"\\u0000"}', b"\xff" * 16_000,
)  # fmt: skip


def attacks(tenant: UUID) -> tuple[Callable[[int], httpx.Request], ...]:
    """Makers of the n-th request of each kind."""

    def build(method: str, path: str, **options: object) -> httpx.Request:
        return httpx.Request(method, f"http://quarry{path}", **options)  # type: ignore[arg-type]

    def invented() -> dict[str, str]:
        return {"Authorization": f"Bearer {tokens.issue(TenantId(tenant))[0]}"}

    return (
        lambda n: build("POST", "/v1/sessions", content=BODIES[n % len(BODIES)], headers=JSON),
        lambda n: build("POST", "/v1/campaigns", content=BODIES[n % len(BODIES)], headers=JSON | invented()),
        lambda _: build("GET", "/v1/campaigns", headers=invented()),
        lambda _: build("GET", "/v1/changes/stream", headers=invented()),
        lambda n: build("GET", f"/v1/campaigns?after={'x' * n}", headers=invented()),
        lambda _: build("GET", "/healthz", headers={"Authorization": f"Bearer {secrets.token_hex(16)}"}),
        lambda n: build("GET", "/livez", headers={f"X-{each}": "1" for each in range(n % 150)}),
    )


async def attack(url: str, tenant: UUID, count: int) -> Counter[int]:
    """Send so many requests, by CLIENTS at once."""
    makers, codes = attacks(tenant), Counter[int]()
    async with httpx.AsyncClient(base_url=url, timeout=60) as client, asyncio.TaskGroup() as group:

        async def one(first: int) -> None:
            for n in range(first, count, CLIENTS):
                made = makers[n % len(makers)](n // len(makers))
                headers = {name: value for name, value in made.headers.items() if name != "host"}
                path = made.url.raw_path.decode()
                answer = await client.request(made.method, path, headers=headers, content=made.content)
                codes[answer.status_code] += 1

        for first in range(CLIENTS):
            group.create_task(one(first))
    return codes


if __name__ == "__main__":
    print(json.dumps(asyncio.run(attack(sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3])))))
