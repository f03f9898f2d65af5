"""Whatever happens to a connection, its next user finds no transaction, no tenant and the right role."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Awaitable, Callable

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.database.database import Database
from service.errors import ServiceError
from service.work import Work

Step = Callable[[Work, NewTenant, random.Random], Awaitable[None]]


async def read(work: Work, tenant: NewTenant, _: random.Random) -> None:
    await work.campaigns.page()


async def write(work: Work, tenant: NewTenant, _: random.Random) -> None:
    await work.campaigns.create(name="Summer", owner_id=tenant.owner.id)


async def fail(work: Work, tenant: NewTenant, _: random.Random) -> None:
    await work.campaigns.create(name="Wrong", owner_id=tenant.owner.id, currency="??")


async def nest(work: Work, tenant: NewTenant, chance: random.Random) -> None:
    async with work.savepoint("nested"):
        await write(work, tenant, chance)
        if chance.random() < 0.5:
            raise ZeroDivisionError


async def dawdle(work: Work, tenant: NewTenant, chance: random.Random) -> None:
    async with asyncio.timeout(chance.uniform(0.0, 0.02)):
        await work.connection.fetch("SELECT pg_sleep(0.01)", ())


async def run_out(work: Work, tenant: NewTenant, _: random.Random) -> None:
    await work.connection.execute("SET LOCAL statement_timeout = '1ms'; SELECT pg_sleep(1)")


async def die(work: Work, tenant: NewTenant, _: random.Random) -> None:
    await work.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def raise_(work: Work, tenant: NewTenant, _: random.Random) -> None:
    raise ZeroDivisionError


STEPS: list[Step] = [read, read, write, write, fail, nest, nest, dawdle, run_out, die, raise_]


async def mishap(database: Database, tenant: NewTenant, chance: random.Random) -> None:
    """A piece of work made of random steps, cancelled at a random moment."""

    async def work_through() -> None:
        async with Work(database, tenant.id) as work:
            for step in chance.choices(STEPS, k=chance.randint(1, 4)):
                await step(work, tenant, chance)

    task = asyncio.create_task(work_through())
    if chance.random() < 0.6:
        # Yields of the loop, not time, decide the await at which the cancellation lands.
        for _ in range(chance.randint(0, 40)):
            await asyncio.sleep(0)
        task.cancel()
    with contextlib.suppress(ServiceError, ZeroDivisionError, TimeoutError, asyncio.CancelledError):
        await task


async def leftovers(database: Database) -> list[tuple[bool, str, str]]:
    """What the next users of the whole pool find."""
    found = []
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(database.pool.limits.maximum):
            connection = await stack.enter_async_context(database.connection())
            row = await connection.fetchrow(
                "SELECT coalesce(current_setting('app.tenant_id', true), '') AS tenant, current_user AS role", ()
            )
            found.append((connection.is_in_transaction(), row["tenant"], row["role"]))
    return found


async def play(database: Database, tenants: list[NewTenant], seed: int, rounds: int) -> int:
    """Random mishaps, several at a time; answers how many connections were looked at."""
    chance = random.Random(seed)
    looked_at = 0
    for _ in range(rounds):
        await asyncio.gather(
            *(mishap(database, chance.choice(tenants), random.Random(chance.random())) for _ in range(6))
        )
        found = await leftovers(database)
        assert set(found) == {(False, "", "quarry_app")}
        looked_at += len(found)
    return looked_at


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_next_user_of_a_connection_finds_nothing_of_the_last(
    database: Database, new: Factory, seed: int
) -> None:
    tenants = [await new.tenant("acme"), await new.tenant("globex")]
    assert await play(database, tenants, seed, rounds=15) == 150


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
async def test_the_next_user_finds_nothing_however_often(database: Database, new: Factory) -> None:
    tenants = [await new.tenant("acme"), await new.tenant("globex")]
    looked_at = sum([await play(database, tenants, seed, rounds=100) for seed in range(100, 110)])
    print(
        f"\nleftovers: {10 * 100 * 6} mishaps, {looked_at} connections looked at, 0 with a transaction, tenant or role"
    )
