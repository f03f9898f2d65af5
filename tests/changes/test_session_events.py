"""Events of sessions: each sign-in, sign-out and expiry reaches whoever handles them, with its tenant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from changes.followers import logging, until
from service import metrics
from service.accounts import tokens
from service.changes import consumers
from service.changes.consumers import Consumers
from service.changes.sessions import SessionEvent, session_events
from service.database.database import Database
from service.operations import purging
from service.operations.upkeep import Upkeep
from service.settings.settings import Settings
from service.work import Work

HOUR = timedelta(hours=1)
WEEK = 7 * 86400.0


class Audit:
    """Notes every event of sessions."""

    def __init__(self, database: Database) -> None:
        self.events: list[SessionEvent] = []
        self.consumer = session_events(self.note)
        self._running = Consumers(database, [self.consumer], WEEK, datetime.now(UTC))

    async def note(self, event: SessionEvent) -> None:
        self.events.append(event)

    async def of(self, tenant: NewTenant) -> list[tuple[str, UUID]]:
        """What has happened in the tenant since the last time."""
        self.events.clear()
        while await self._running.hand_on(self.consumer, tenant.id):
            pass
        assert {event.tenant for event in self.events} <= {tenant.id}
        return [(event.kind, event.session_id) for event in self.events]


@pytest.fixture
def audit(database: Database) -> Audit:
    return Audit(database)


@pytest.fixture
async def acme(new: Factory, audit: Audit) -> NewTenant:
    tenant = await new.tenant("acme")
    await audit.of(tenant)
    return tenant


@pytest.fixture
def keeper(database: Database, settings: Settings) -> Upkeep:
    return Upkeep(database, settings.session_idle_timeout)


async def sign_in(database: Database, tenant: NewTenant, *, lifetime: timedelta = HOUR) -> UUID:
    """A session of the owner."""
    async with Work(database, tenant.id) as work:
        hashed = (await work.users.credentials(tenant.owner.id)).password_hash
        session = await work.sessions.create(
            user_id=tenant.owner.id, password_hash=hashed, token_hash=tokens.issue(tenant.id)[1].hash,
            token_mac=bytes(32), ip=None,
            user_agent="tests", lifetime=lifetime,
        )  # fmt: skip
    assert session is not None
    return session.id


def idle(superuser: Any, session: UUID, since: timedelta) -> None:
    """Let a session have been used so long ago for the last time."""
    superuser.execute("UPDATE quarry.sessions SET last_seen_at = last_seen_at - %s WHERE id = %s", [since, session])
    superuser.commit()


async def test_a_sign_in_and_a_sign_out_are_told_in_order(database: Database, acme: NewTenant, audit: Audit) -> None:
    one, other = await sign_in(database, acme), await sign_in(database, acme)
    assert await audit.of(acme) == [("created", one), ("created", other)]
    async with Work(database, acme.id) as work:
        assert await work.sessions.revoke(one) == 1
    assert await audit.of(acme) == [("revoked", one)]
    assert await audit.of(acme) == []


async def test_every_session_that_ends_at_once_is_told(database: Database, acme: NewTenant, audit: Audit) -> None:
    sessions = [await sign_in(database, acme) for _ in range(3)]
    await audit.of(acme)
    async with Work(database, acme.id) as work:
        assert await work.sessions.revoke_of_user(acme.owner.id, keep=sessions[0]) == 2
    assert sorted(await audit.of(acme)) == sorted(("revoked", each) for each in sessions[1:])


async def test_a_session_expires_at_its_end_and_by_not_being_used(
    database: Database, acme: NewTenant, audit: Audit, keeper: Upkeep, superuser: Any
) -> None:
    short = await sign_in(database, acme, lifetime=timedelta(milliseconds=1))
    unused, used = await sign_in(database, acme, lifetime=1000 * HOUR), await sign_in(database, acme)
    idle(superuser, unused, keeper._idle + HOUR)
    await audit.of(acme)
    await keeper.flush()
    assert await audit.of(acme) == []
    keeper.expired(acme.id)
    await keeper.flush()
    assert sorted(await audit.of(acme)) == sorted([("expired", short), ("expired", unused)])
    keeper.expired(acme.id)
    await keeper.flush()
    assert await audit.of(acme) == []
    async with Work(database, acme.id, read_only=True) as work:
        assert [each.id for each in await work.sessions.page(acme.owner.id, idle=keeper._idle)] == [used]


async def test_being_used_is_no_event(database: Database, acme: NewTenant, audit: Audit, keeper: Upkeep) -> None:
    session = await sign_in(database, acme)
    await audit.of(acme)
    keeper.seen(acme.id, "session", session)
    await keeper.flush()
    assert await audit.of(acme) == []


async def test_a_session_that_was_revoked_does_not_expire_too(
    database: Database, acme: NewTenant, audit: Audit, keeper: Upkeep, superuser: Any
) -> None:
    session = await sign_in(database, acme)
    async with Work(database, acme.id) as work:
        await work.sessions.revoke(session)
    idle(superuser, session, keeper._idle + HOUR)
    await audit.of(acme)
    keeper.expired(acme.id)
    await keeper.flush()
    assert await audit.of(acme) == []


async def test_sessions_that_are_forgotten_have_been_told_to_be_expired(
    database: Database, acme: NewTenant, audit: Audit, keeper: Upkeep, superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "_BATCH", 2)
    sessions = [await sign_in(database, acme) for _ in range(5)]
    for session in sessions:
        idle(superuser, session, keeper._idle + 48 * HOUR)
    await audit.of(acme)
    assert (await purging.purge(database, acme.id, keeper._idle)).rows == 10
    assert sorted(await audit.of(acme)) == sorted(("expired", each) for each in sessions)


async def test_events_are_told_of_their_own_tenant_and_at_their_time(
    database: Database, new: Factory, acme: NewTenant, audit: Audit
) -> None:
    globex = await new.tenant("globex")
    await audit.of(globex)
    before = datetime.now(UTC)
    ours, theirs = await sign_in(database, acme), await sign_in(database, globex)
    assert (await audit.of(acme), await audit.of(globex)) == ([("created", ours)], [("created", theirs)])
    assert before <= audit.events[0].at <= datetime.now(UTC)


async def test_other_tables_and_personal_data_are_nobodys_event(
    database: Database, new: Factory, acme: NewTenant, audit: Audit
) -> None:
    await new.campaign(acme)
    await new.user(acme.id)
    assert await audit.of(acme) == []


async def test_an_event_whose_handler_fails_is_told_again(
    database: Database, acme: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("_EVERY", 0.01), ("_SWEEP_EVERY", 0.05), ("_FIRST_PAUSE", 0.05)):
        monkeypatch.setattr(consumers, name, seconds)
    told: list[SessionEvent] = []

    async def stumble(event: SessionEvent) -> None:
        told.append(event)
        if len(told) == 1:
            raise ZeroDivisionError

    async with Consumers.open(database, [session_events(stumble)], WEEK) as running:
        database = replace(database, on_numbered=lambda tenant, _: running.committed(tenant))
        session = await sign_in(database, acme)
        await until(lambda: len(told) == 2)
    assert told[0] == told[1] == SessionEvent("created", acme.id, session, told[0].at)


async def test_without_a_handler_events_are_logged_and_counted(database: Database, acme: NewTenant) -> None:
    consumer = session_events()
    running = Consumers(database, [consumer], WEEK, datetime.now(UTC))
    while await running.hand_on(consumer, acme.id):
        pass
    count = metrics.SESSION_EVENTS.labels(event="created")._value.get
    before = count()
    session = await sign_in(database, acme)
    with logging() as lines:
        await running.hand_on(consumer, acme.id)
    (line,) = lines
    assert (line["event"], line["kind"], line["tenant"]) == ("session", "created", str(acme.id))
    assert (line["session"], count() - before) == (str(session), 1)


async def test_the_first_sign_in_of_a_new_tenant_is_told(database: Database, new: Factory, audit: Audit) -> None:
    globex = await new.tenant("globex")
    session = await sign_in(database, globex)
    assert await audit.of(globex) == [("created", session)]
