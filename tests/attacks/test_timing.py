"""What the time of an answer tells: a bound on how well known and unknown addresses can be told apart by it."""

from __future__ import annotations

import os
from time import perf_counter
from typing import Any

import httpx
import pytest

from arranging.accounts import PASSWORD, NewTenant
from arranging.factories import Factory
from service.work import Work

ROUNDS = 300
WARM_UP = 20
MOST = 0.15
"""The known address may be the slower one in 35 to 65 of 100 pairs. Chance alone stays within 45 to 55 in nine runs of ten."""


async def seconds(client: httpx.AsyncClient, tenant: NewTenant, email: str) -> float:
    started = perf_counter()
    answer = await client.post("/v1/sessions", json={"tenant": tenant.domain, "email": email, "password": "wrong"})
    assert answer.status_code == 401
    return perf_counter() - started


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
@pytest.mark.parametrize("kind", ["active", "inactive", "not kept by this service"])
async def test_time_of_a_refused_sign_in_tells_nobody_who_is_known(
    serve: Any, new: Factory, acme: NewTenant, superuser: Any, kind: str
) -> None:
    freely = {f"rate_limit_sign_in_{of}": "100000/hour" for of in ("account", "address", "strangers")}
    api = await serve(**freely)
    known = await new.user(acme.id, email="known@acme.example")
    async with Work(api.state["database"], acme.id) as work:
        kept = work.binding.seal_hash(await api.state["passwords"].hash(PASSWORD), known.id)
        await work.users.set_password(known.id, kept if kind != "not kept by this service" else "$argon2id$planted")
        await work.users.update(known.id, given=["is_active"], is_active=kind != "inactive")
    client, slower = await api.client(), 0
    taken: dict[str, list[float]] = {"known@acme.example": [], "nobody@acme.example": []}
    for round in range(WARM_UP + ROUNDS):
        for email in sorted(taken, reverse=round % 2 == 0):
            taken[email].append(await seconds(client, acme, email))
    pairs = list(zip(*(times[WARM_UP:] for times in taken.values()), strict=True))
    slower = sum(of_known > of_nobody for of_known, of_nobody in pairs)
    medians = [sorted(times)[len(times) // 2] * 1000 for times in taken.values()]
    print(
        f"\ntiming, {kind}: known {medians[0]:.2f} ms, unknown {medians[1]:.2f} ms, known slower in {slower} of {ROUNDS}"
    )
    assert abs(slower / ROUNDS - 0.5) < MOST
