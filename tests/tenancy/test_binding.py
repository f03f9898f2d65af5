"""The text that binds a transaction, and that nothing of it is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID, uuid4

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import TenantUnbound, Timeout
from service.personal import keyring
from service.settings.settings import Settings
from service.tenancy.binding import IsolationLevel, attribution, begin
from service.tenancy.identity import Actor, Origin, TenantId
from service.work import Work

TENANT = TenantId(UUID("00000000-0000-0000-0000-00000000000a"))
USER, SESSION = UUID(int=1), UUID(int=2)
ORIGIN = Origin(IPv4Address("192.0.2.7"), "request-1")
ACTOR = Actor(USER, SESSION)


def text(tenant: TenantId | None = TENANT, origin: Origin = ORIGIN, **options: Any) -> str:
    given = {"read_only": False, "isolation": "read committed", "statement_timeout": None, **options}
    return begin(tenant, origin, **given)


def test_a_write_is_bound_to_its_tenant_with_its_origin() -> None:
    assert text() == (
        "BEGIN ISOLATION LEVEL READ COMMITTED"
        ";SET LOCAL plan_cache_mode = auto"
        ";SELECT app.enter('00000000-0000-0000-0000-00000000000a')"
        ";SET LOCAL app.ip = '192.0.2.7'"
        ";SET LOCAL app.request_id = 'request-1'"
    )


def test_a_read_has_no_origin() -> None:
    assert text(read_only=True) == (
        "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
        ";SET LOCAL plan_cache_mode = auto"
        ";SELECT app.enter('00000000-0000-0000-0000-00000000000a')"
    )


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_work_without_a_tenant_binds_none(isolation: IsolationLevel) -> None:
    begun = text(None, Origin(), isolation=isolation)
    assert begun == f"BEGIN ISOLATION LEVEL {isolation.upper()};SET LOCAL plan_cache_mode = auto"


@pytest.mark.parametrize(("seconds", "milliseconds"), [(30, 30_000), (0.5, 500), (0.0001, 1), (0, 1), (-1, 1)])
def test_the_statement_timeout_is_in_milliseconds_and_never_none(seconds: float, milliseconds: int) -> None:
    assert text(None, Origin(), statement_timeout=seconds).endswith(f";SET LOCAL statement_timeout = {milliseconds}")


@pytest.mark.parametrize("tenant", [str(TENANT), "'; DROP TABLE users; --", 7])
def test_a_tenant_that_is_no_uuid_is_refused(tenant: Any) -> None:
    with pytest.raises(TypeError, match="a UUID is needed"):
        text(tenant)
    with pytest.raises(TypeError, match="a UUID is needed"):
        Work(None, tenant)  # type: ignore[arg-type]


def test_the_scope_of_an_address_never_reaches_the_text() -> None:
    origin = Origin(IPv6Address("fe80::1%'; drop table x; --"))
    assert text(None, origin) == (
        "BEGIN ISOLATION LEVEL READ COMMITTED;SET LOCAL plan_cache_mode = auto;SET LOCAL app.ip = 'fe80::1'"
    )
    assert "drop" not in text(origin=replace(origin, request_id="r"))


def test_the_attribution_names_the_actor() -> None:
    assert attribution(None) == ""
    assert attribution(Actor(USER)) == f"SET LOCAL app.actor_id = '{USER}';"
    assert attribution(ACTOR) == f"SET LOCAL app.actor_id = '{USER}';SET LOCAL app.session_id = '{SESSION}';"


@pytest.fixture
async def single(settings: Settings) -> AsyncIterator[Database]:
    """A pool of one connection, so that whoever comes next gets what was left behind."""
    limits = replace(settings.limits, minimum=1, maximum=1)
    async with Database.open(settings.address("quarry_app"), limits, keyring=keyring.load(settings)) as opened:
        yield opened


async def left_behind(database: Database) -> list[str]:
    """What a new user of the connection finds bound, beside the role's own constants."""
    async with database.connection() as connection:
        assert not connection.is_in_transaction()
        values = [
            await connection.fetchval("SELECT current_setting($1, true)", [f"app.{name}"])
            for name in ("tenant_id", "actor_id", "session_id", "ip", "request_id")
        ]
        values.append(await connection.fetchval("SELECT current_setting('statement_timeout')", ()))
        values.append(await connection.fetchval("SELECT current_setting('transaction_isolation')", ()))
        values.append(await connection.fetchval("SELECT current_setting('transaction_read_only')", ()))
    return [value for value in values if value]


CONSTANTS = ["30s", "read committed", "off"]


def bound(database: Database, tenant: TenantId = TENANT, **options: Any) -> Work:
    return Work(
        database, tenant, origin=ORIGIN, actor=ACTOR, statement_timeout=7.0, isolation="repeatable read", **options
    )


async def test_the_binding_is_there_while_the_work_lasts(single: Database) -> None:
    async with bound(single) as work:
        row = await work.connection.fetchrow(
            "SELECT app.current_tenant(), current_setting('app.ip'), current_setting('app.request_id'),"
            " current_setting('statement_timeout'), current_setting('transaction_isolation')",
            (),
        )
    assert row is not None
    assert tuple(row.values()) == (TENANT, "192.0.2.7", "request-1", "7s", "repeatable read")


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_commit_leaves_nothing_behind(single: Database, *, read_only: bool) -> None:
    async with bound(single, read_only=read_only) as work:
        assert await work.campaigns.page() == []
    assert await left_behind(single) == CONSTANTS


async def test_a_rollback_leaves_nothing_behind(single: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with bound(single):
            raise ZeroDivisionError
    assert await left_behind(single) == CONSTANTS


async def test_a_failed_statement_leaves_nothing_behind(single: Database) -> None:
    with pytest.raises(Timeout):
        async with Work(single, TENANT, origin=ORIGIN, actor=ACTOR, statement_timeout=0.001) as work:
            await work.connection.execute("SELECT pg_sleep(60)")
    assert await left_behind(single) == CONSTANTS


async def test_a_cancelled_statement_leaves_nothing_behind(single: Database) -> None:
    running = asyncio.Event()

    async def hang() -> None:
        async with bound(single) as work:
            running.set()
            await work.connection.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(hang())
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await left_behind(single) == CONSTANTS


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 256])
async def test_work_cancelled_at_any_step_leaves_nothing_behind(single: Database, steps: int) -> None:
    """The task is cancelled after so many turns of the event loop: in BEGIN, a statement, COMMIT, or when done."""

    async def work_through() -> None:
        async with bound(single) as work:
            await work.campaigns.page()

    task = asyncio.create_task(work_through())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert await left_behind(single) == CONSTANTS


async def test_the_next_work_is_not_the_tenant_of_the_last(single: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with bound(single, acme.id) as work:
        await work.users.find(acme.owner.id)
    with pytest.raises(TenantUnbound):
        async with Work(single, None) as work:
            await work.connection.fetch("SELECT FROM users", ())
    async with bound(single, TenantId(uuid4())) as work:
        assert await work.users.page() == []


async def test_a_statement_of_a_tenant_is_refused_to_work_without_one(single: Database) -> None:
    async with Work(single, None) as work:
        with pytest.raises(TenantUnbound):
            await work.users.page()
