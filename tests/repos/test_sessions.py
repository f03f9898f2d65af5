"""Sessions: the statements through the repository, as the serving role."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address
from typing import Any
from uuid import uuid4

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.database.database import Database
from service.errors import Conflict, InvalidInput, NotFound
from service.repos.sessions import Bearer, Session
from service.work import Work

IDLE = timedelta(hours=1)
SEEN_EVERY = timedelta(minutes=1)
MAC = b"m" * 32


async def authenticated(work: Work, number: int = 1, *, idle: timedelta = IDLE) -> Bearer | None:
    return await work.sessions.authenticate(bytes([number]) * 32, idle=idle, seen_every=SEEN_EVERY)


async def opened(database: Database, tenant: NewTenant, number: int = 1, **values: Any) -> Session | None:
    given = {
        "user_id": tenant.owner.id, "password_hash": tenant.password_hash, "token_hash": bytes([number]) * 32,
        "token_mac": MAC, "ip": None, "user_agent": None, "lifetime": timedelta(hours=1), **values,
    }  # fmt: skip
    async with Work(database, tenant.id) as work:
        return await work.sessions.create(**given)


async def test_a_token_leads_to_its_holder_inside_its_own_tenant(database: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    session = await opened(database, acme, ip=IPv6Address("2001:db8::1"), user_agent="Browser")
    assert session is not None
    assert (session.ip, session.user_agent) == (IPv6Address("2001:db8::1"), "Browser")
    async with Work(database, acme.id) as work:
        bearer = await authenticated(work)
        assert bearer is not None
        assert (bearer.session_id, bearer.user_id, bearer.role) == (session.id, acme.owner.id, "owner")
        assert (bearer.is_active, bearer.tenant_status) == (True, "active")
        assert (bearer.is_expired, bearer.is_unseen) == (False, False)
        assert await authenticated(work, 0) is None
    async with Work(database, globex.id) as work:
        assert await authenticated(work) is None
        assert await work.sessions.page(acme.owner.id, idle=IDLE) == []
        assert await work.sessions.revoke(session.id) == 0
        with pytest.raises(NotFound):
            await work.sessions.find(session.id, idle=IDLE)


async def test_a_session_is_opened_only_for_who_still_is_what_was_compared(
    database: Database, platform: Database, new: Factory
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    inactive = await new.user(acme.id, email="inactive@acme.example", is_active=False)
    deleted = await new.user(acme.id, email="deleted@acme.example")
    async with Work(database, acme.id) as work:
        await work.users.remove(deleted.id)
    for values in (
        {"password_hash": "another"},
        {"user_id": inactive.id},
        {"user_id": deleted.id},
        {"user_id": globex.owner.id},
        {"user_id": uuid4()},
    ):
        assert await opened(database, acme, **values) is None
    async with Work(platform, None) as work:
        await work.tenants.set_status(acme.domain, "suspended")
    assert await opened(database, acme) is None


async def test_the_database_itself_refuses_what_is_no_session(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    for values in (
        {"token_hash": b"short"},
        {"token_mac": b"short"},
        {"user_agent": "x" * 501},
        {"lifetime": -timedelta(hours=1)},
    ):
        with pytest.raises(InvalidInput) as refused:
            await opened(database, acme, **values)
        assert [error.field for error in refused.value.errors] == [
            {"lifetime": "expires_at"}.get(name, name) for name in values
        ]
    assert await opened(database, acme) is not None
    with pytest.raises(Conflict):
        await opened(database, acme)


async def test_a_revoked_session_is_over(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    sessions = [await opened(database, acme, number) for number in range(1, 5)]
    ids = [session.id for session in sessions if session]
    async with Work(database, acme.id) as work:
        assert [session.id for session in await work.sessions.page(acme.owner.id, idle=IDLE)] == ids[::-1]
        assert await work.sessions.revoke(ids[0], user_id=uuid4()) == 0
        assert await work.sessions.revoke(ids[0], user_id=acme.owner.id) == 1
        assert await work.sessions.revoke(ids[0]) == 0
        assert await authenticated(work) is None
        with pytest.raises(NotFound):
            await work.sessions.find(ids[0], idle=IDLE)
        assert await work.sessions.revoke_of_user(acme.owner.id, keep=ids[3]) == 2
        assert [session.id for session in await work.sessions.page(acme.owner.id, idle=IDLE)] == [ids[3]]
        assert (await work.sessions.find(ids[3], idle=IDLE)).id == ids[3]
        assert await work.sessions.revoke_of_user(acme.owner.id) == 1


async def test_an_expired_session_is_known_as_one_and_listed_no_more(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    session = await opened(database, acme, lifetime=timedelta(milliseconds=250))
    assert session is not None
    while datetime.now(UTC) <= session.expires_at + timedelta(milliseconds=20):
        async with Work(database, acme.id) as work:
            bearer = await authenticated(work)
    async with Work(database, acme.id) as work:
        bearer = await authenticated(work)
        assert bearer is not None
        assert bearer.is_expired
        assert await work.sessions.page(acme.owner.id, idle=IDLE) == []
        with pytest.raises(NotFound):
            await work.sessions.find(session.id, idle=IDLE)


async def test_an_idle_session_is_as_good_as_expired(database: Database, new: Factory, superuser: Any) -> None:
    acme = await new.tenant("acme")
    session = await opened(database, acme)
    assert session is not None
    superuser.execute("UPDATE quarry.sessions SET last_seen_at = now() - interval '61 minutes'")
    superuser.commit()
    async with Work(database, acme.id) as work:
        bearer, patient = await authenticated(work), await authenticated(work, idle=2 * IDLE)
        assert bearer is not None
        assert patient is not None
        assert (bearer.is_expired, patient.is_expired) == (True, False)
        assert await work.sessions.page(acme.owner.id, idle=IDLE) == []
        with pytest.raises(NotFound):
            await work.sessions.find(session.id, idle=IDLE)
        assert (await work.sessions.find(session.id, idle=2 * IDLE)).id == session.id


async def test_a_session_that_was_not_seen_for_a_while_is_touched_without_a_change(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    session = await opened(database, acme)
    assert session is not None
    superuser.execute("UPDATE quarry.sessions SET last_seen_at = now() - interval '2 minutes'")
    superuser.commit()
    async with Work(database, globex.id) as work:
        assert await work.sessions.touch([session.id]) == 0
    async with Work(database, acme.id) as work:
        before = await authenticated(work)
        assert await work.sessions.touch([session.id, uuid4()]) == 1
        after = await authenticated(work)
    assert work.number is None
    assert (before and before.is_unseen, after and after.is_unseen) == (True, False)


async def test_sessions_that_ended_a_day_ago_are_forgotten_some_at_a_time(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    for tenant, numbers in ((acme, range(1, 6)), (globex, [1])):
        for number in numbers:
            assert await opened(database, tenant, number)
    superuser.execute("SET session_replication_role = replica")  # or the trigger would keep created_at
    for number, ended in (
        (1, "created_at = now() - interval '3 days', expires_at = now() - interval '25 hours'"),
        (2, "revoked_at = now() - interval '25 hours'"),
        (3, "last_seen_at = now() - interval '26 hours'"),
        (4, "last_seen_at = now() - interval '24 hours', revoked_at = now() - interval '23 hours'"),
    ):
        superuser.execute(f"UPDATE quarry.sessions SET {ended} WHERE token_hash = %s", (bytes([number]) * 32,))
    superuser.execute("UPDATE quarry.sessions SET revoked_at = '2000-01-01' WHERE tenant_id = %s", (globex.id,))
    superuser.commit()
    async with Work(database, acme.id) as work:
        assert [await work.sessions.purge(2, idle=IDLE) for _ in range(3)] == [2, 1, 0]
        assert await work.connection.fetchval("SELECT count(*) FROM sessions", ()) == 2
    async with Work(database, globex.id) as work:
        assert await work.connection.fetchval("SELECT count(*) FROM sessions", ()) == 1


async def expired(database: Database, tenant: NewTenant, *, limit: int = 100, idle: timedelta = IDLE) -> int:
    async with Work(database, tenant.id) as work:
        return await work.sessions.expire(limit, idle=idle)


def end(superuser: Any, *ends: str) -> None:
    """Let the first sessions have ended like this, each in its way."""
    superuser.execute("SET session_replication_role = replica")  # or the trigger would keep created_at and record it
    for number, ended in enumerate(ends, 1):
        superuser.execute(f"UPDATE quarry.sessions SET {ended} WHERE token_hash = %s", (bytes([number]) * 32,))
    superuser.commit()


BY_TIME = "created_at = now() - interval '1 day', expires_at = now()"
BY_IDLENESS = "last_seen_at = now() - interval '1 hour'"
BY_REVOCATION = f"{BY_TIME}, revoked_at = now()"


async def test_that_a_session_ended_by_time_is_written_down_once(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    for number in range(1, 5):
        await opened(database, acme, number)
    await opened(database, globex)
    end(superuser, BY_TIME, BY_IDLENESS, BY_REVOCATION)
    assert await expired(database, acme) == 2
    assert await expired(database, acme) == 0
    rows = superuser.execute("SELECT expired_at IS NOT NULL FROM quarry.sessions WHERE tenant_id = %s"
                             " ORDER BY token_hash", (acme.id,)).fetchall()  # fmt: skip
    assert rows == [(True,), (True,), (False,), (False,)]
    assert await expired(database, globex) == 1


async def test_sessions_are_written_down_as_expired_some_at_a_time(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    for number in range(1, 4):
        await opened(database, acme, number)
    end(superuser, BY_IDLENESS, BY_IDLENESS, BY_TIME)
    assert await expired(database, acme, idle=2 * IDLE, limit=9) == 1
    assert [await expired(database, acme, limit=1) for _ in range(3)] == [1, 1, 0]


async def test_that_a_session_has_expired_is_a_change_of_one_column(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    session = await opened(database, acme)
    assert session is not None
    end(superuser, BY_IDLENESS)
    assert await expired(database, acme) == 1
    async with Work(database, acme.id, read_only=True) as work:
        (change,) = await work.log.audit(limit=1)
    assert (change.table_name, change.operation, change.row_id) == ("sessions", "update", session.id)
    assert change.columns == ["expired_at"]


@pytest.mark.parametrize("first", ["expire", "revoke"])
async def test_a_session_that_ends_twice_at_once_has_ended_the_first_way(
    database: Database, new: Factory, superuser: Any, until_blocked: Callable[[], Awaitable[None]], first: str
) -> None:
    acme = await new.tenant("acme")
    session = await opened(database, acme)
    assert session is not None
    end(superuser, BY_IDLENESS)
    async with Work(database, acme.id) as work:
        ending = work.sessions.revoke(session.id) if first == "revoke" else work.sessions.expire(9, idle=IDLE)
        assert await ending == 1
        second = asyncio.create_task(expired(database, acme))
        await until_blocked()
    assert await second == 0


async def test_a_session_that_is_used_while_it_expires_does_not(
    database: Database, new: Factory, superuser: Any, until_blocked: Callable[[], Awaitable[None]]
) -> None:
    acme = await new.tenant("acme")
    session = await opened(database, acme)
    assert session is not None
    end(superuser, BY_IDLENESS)
    async with Work(database, acme.id) as work:
        assert await work.sessions.touch([session.id]) == 1
        second = asyncio.create_task(expired(database, acme))
        await until_blocked()
    assert await second == 0
