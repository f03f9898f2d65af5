"""Tickets for change streams: the statements through the repository, as the serving role."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.database.database import Database
from service.errors import Conflict, InvalidInput
from service.repos.change_tickets import TicketHolder
from service.work import Work

MAC = b"m" * 32
HOLDER = TicketHolder(token_mac=MAC, bearer_kind="session", bearer_hash=b"s" * 32)


async def issued(database: Database, tenant: NewTenant, number: int = 1, **values: Any) -> None:
    given = {
        "token_hash": bytes([number]) * 32, "token_mac": MAC, "bearer_kind": "session", "bearer_hash": b"s" * 32,
        "lifetime": timedelta(minutes=1), **values,
    }  # fmt: skip
    async with Work(database, tenant.id) as work:
        assert await work.change_tickets.create(**given) == 1


async def redeemed(database: Database, tenant: NewTenant, number: int = 1) -> TicketHolder | None:
    async with Work(database, tenant.id) as work:
        return await work.change_tickets.redeem(bytes([number]) * 32)


def expire(superuser: Any, *numbers: int) -> None:
    """Let these tickets have ended this moment."""
    superuser.execute(
        "UPDATE quarry.change_tickets SET created_at = now() - interval '1 minute', expires_at = now()"
        " WHERE token_hash = ANY (%s)",
        ([bytes([number]) * 32 for number in numbers],),
    )
    superuser.commit()


async def test_a_ticket_is_used_once_and_says_whom_it_stands_for(database: Database, acme: NewTenant) -> None:
    await issued(database, acme)
    await issued(database, acme, 2, bearer_kind="key", bearer_hash=b"k" * 32)
    assert await redeemed(database, acme, 3) is None
    assert [await redeemed(database, acme) for _ in range(2)] == [HOLDER, None]
    assert await redeemed(database, acme, 2) == TicketHolder(token_mac=MAC, bearer_kind="key", bearer_hash=b"k" * 32)


async def test_of_two_who_use_a_ticket_at_once_one_does(database: Database, acme: NewTenant) -> None:
    await issued(database, acme)
    both_are_open = asyncio.Barrier(2)

    async def redeem() -> TicketHolder | None:
        async with Work(database, acme.id) as work:
            await both_are_open.wait()
            holder = await work.change_tickets.redeem(b"\1" * 32)
            assert await work.change_tickets.redeem(b"\2" * 32) is None
            return holder

    assert sorted(await asyncio.gather(redeem(), redeem()), key=bool) == [None, HOLDER]


async def test_a_ticket_that_somebody_is_using_is_none(
    database: Database, acme: NewTenant, until_blocked: Callable[[], Awaitable[None]]
) -> None:
    await issued(database, acme)
    async with Work(database, acme.id) as first:
        assert await first.change_tickets.redeem(b"\1" * 32) == HOLDER
        second = asyncio.create_task(redeemed(database, acme))
        await until_blocked()
    assert await second is None


async def test_a_ticket_is_of_no_use_at_another_tenant(database: Database, new: Factory, acme: NewTenant) -> None:
    await issued(database, acme)
    assert await redeemed(database, await new.tenant("globex")) is None
    assert await redeemed(database, acme) == HOLDER


async def test_an_expired_ticket_is_none(database: Database, acme: NewTenant, superuser: Any) -> None:
    await issued(database, acme)
    expire(superuser, 1)
    assert await redeemed(database, acme) is None


async def test_tickets_that_nobody_used_are_forgotten_some_at_a_time(
    database: Database, new: Factory, acme: NewTenant, superuser: Any
) -> None:
    globex = await new.tenant("globex")
    for number in range(1, 6):
        await issued(database, acme, number)
    await issued(database, globex)
    expire(superuser, 1, 2, 3)
    async with Work(database, acme.id) as work:
        assert [await work.change_tickets.purge(2) for _ in range(3)] == [2, 1, 0]
    assert work.number is None
    assert [await redeemed(database, acme, number) for number in range(3, 6)] == [None, HOLDER, HOLDER]
    async with Work(database, globex.id) as work:
        assert await work.change_tickets.purge(9) == 1


async def test_the_database_itself_refuses_what_is_no_ticket(database: Database, acme: NewTenant) -> None:
    for values in (
        {"token_hash": b"short"},
        {"token_mac": b"short"},
        {"bearer_hash": b"short"},
        {"bearer_kind": "cookie"},
        {"lifetime": -timedelta(hours=1)},
    ):
        with pytest.raises(InvalidInput) as refused:
            await issued(database, acme, **values)
        assert [error.field for error in refused.value.errors] == [
            {"lifetime": "expires_at"}.get(name, name) for name in values
        ]
    await issued(database, acme)
    with pytest.raises(Conflict):
        await issued(database, acme)
