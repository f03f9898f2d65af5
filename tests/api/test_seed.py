"""/v1/seed, which is there in development alone."""

from __future__ import annotations

from typing import Any

import pytest

from arranging.accounts import NewTenant
from arranging.application import problem


async def test_the_niches_are_seeded_once(serve: Any, acme: NewTenant) -> None:
    api = await serve(environment="development")
    nobody, client = await api.client(), await api.client(acme)
    seen = []
    for _ in range(2):
        answer = await nobody.post("/v1/seed/niches")
        assert answer.status_code == 200
        assert answer.json()["lines"]
        seen.append((await client.get("/v1/niches?limit=200")).json()["items"])
    assert len(seen[0]) > 5
    assert seen[0] == seen[1]
    assert all(niche["icon"] and niche["description"] for niche in seen[0])


@pytest.mark.parametrize("environment", ["test", "staging", "production"])
async def test_there_is_nothing_elsewhere(serve: Any, acme: NewTenant, environment: str) -> None:
    api = await serve(environment=environment)
    for client in (await api.client(), await api.client(acme)):
        problem(await client.post("/v1/seed/niches"), 404, "not_found")
        assert (await (await api.client(acme)).get("/v1/niches")).json()["items"] == []


async def test_seeding_is_limited(serve: Any) -> None:
    api = await serve(environment="development", rate_limit_seeds="1/minute")
    nobody = await api.client()
    assert (await nobody.post("/v1/seed/niches")).status_code == 200
    problem(await nobody.post("/v1/seed/niches"), 429, "rate_limited")
