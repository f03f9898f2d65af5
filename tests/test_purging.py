"""Forgetting what has ended: in every tenant, once at a time, whoever begins."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from factories import Factory, NewTenant
from service import purging
from service.database import Database
from service.work import Work

IDLE = timedelta(hours=1)


async def add_codes(database: Database, superuser: Any, tenant: NewTenant, count: int) -> None:
    async with Work(database, tenant.id) as work:
        for n in range(count):
            await work.otps.create(phone=f"+1415555{n:04}", code="123456", lifetime=timedelta(minutes=5))
    superuser.execute(
        "UPDATE quarry.otps SET created_at = now() - interval '3 days', expires_at = now() - interval '2 days'"
    )
    superuser.commit()


async def codes(superuser: Any) -> int:
    superuser.commit()
    (count,) = superuser.execute("SELECT count(*) FROM quarry.otps").fetchone()
    return int(count)


async def test_what_has_ended_is_forgotten_in_every_tenant(
    database: Database, new: Factory, superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "_TENANTS", 2)
    told: dict[object, int] = {}
    tenants = [await new.tenant(f"tenant{n}") for n in range(5)]
    for n, tenant in enumerate(tenants):
        await add_codes(database, superuser, tenant, n)
    assert await codes(superuser) == 10
    assert await purging.purge_all(database, IDLE, told.__setitem__) == 10
    assert told == {tenant.id: n for n, tenant in enumerate(tenants)}
    assert await codes(superuser) == 0


async def test_a_tenant_is_left_to_whoever_is_at_it(database: Database, new: Factory, superuser: Any) -> None:
    acme = await new.tenant("acme")
    await add_codes(database, superuser, acme, 3)
    async with Work(database, acme.id) as work:
        assert await work.tenants.lock_purge(acme.id)
        assert await purging.purge(database, acme.id, IDLE) == 0
    assert await purging.purge(database, acme.id, IDLE) == 3


async def test_of_many_instances_one_is_told_that_a_purge_is_due(database: Database) -> None:
    told = await asyncio.gather(*(purging.is_due(database) for _ in range(8)))
    assert sorted(told) == [False] * 7 + [True]
    assert not await purging.is_due(database)


async def test_a_purge_is_due_again_after_its_time(database: Database, superuser: Any) -> None:
    assert await purging.is_due(database)
    superuser.execute("UPDATE app.installation SET purged_at = now() - interval '61 minutes'")
    superuser.commit()
    assert await purging.is_due(database)
