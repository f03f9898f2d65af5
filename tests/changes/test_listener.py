"""Hints between processes: they arrive soon, say nothing that is believed, and are missed by nobody when they are lost."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from arranging.factories import Factory
from changes.followers import (
    Ear,
    behind_proxy,
    change,
    listening,
    numbers,
    overhearing,
    pooled,
    relaying,
    unreachable,
    until,
)
from service import files
from service.addresses import Address
from service.cache.watermarks import Watermarks
from service.changes import listener as listeners
from service.changes.feed import Feed
from service.changes.listener import CHANNEL, announce
from service.database.database import Database
from service.settings.settings import Settings

KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'quarry listener'"


@pytest.fixture
async def ear(settings: Settings) -> AsyncIterator[Ear]:
    """A process that listens."""
    async with listening(settings.listening_address()) as opened:
        yield opened


@pytest.fixture
async def stranger(settings: Settings) -> AsyncIterator[Any]:
    """Somebody who may connect, and says what they like."""
    connection = await asyncpg.connect(settings.address("quarry_app").url)
    yield connection
    await connection.close()


def named(payload: str) -> set[UUID]:
    """The tenants that a payload names."""
    _, _, text = payload.partition(" ")
    found = re.findall(r"(?<![^,])[\w-]{22}(?![^,])", text)
    return {UUID(bytes=base64.urlsafe_b64decode(f"{each}==")) for each in found}


async def hears(ear: Ear, other: Ear) -> None:
    """One's hints arrive at the other."""
    tenant = uuid4()

    def given() -> bool:
        other.listener.hint(tenant)
        return tenant in ear.heard

    await until(given)


async def test_a_hint_of_one_process_arrives_at_the_others_and_not_at_itself(settings: Settings, ear: Ear) -> None:
    acme, globex = uuid4(), uuid4()
    async with listening(settings.listening_address()) as second, listening(settings.listening_address()) as third:
        ear.listener.hint(acme)
        await until(lambda: second.heard and third.heard)
        second.listener.hint(globex)
        await until(lambda: ear.heard and len(third.heard) == 2)
    assert (ear.heard, second.heard, third.heard) == ([globex], [acme], [acme, globex])


async def test_hints_that_come_together_are_one(settings: Settings, ear: Ear) -> None:
    acme = uuid4()
    async with overhearing(settings) as overheard:
        for _ in range(100):
            ear.listener.hint(acme)
        await until(lambda: acme in {each for _, payload in overheard for each in named(payload)})
        # One more of another tenant is sent after whatever there was to send of the first.
        ear.listener.hint(other := uuid4())
        await until(lambda: other in named(overheard[-1][1]))
    assert [named(payload) for _, payload in overheard if named(payload)] == [{acme}, {other}]


async def test_a_burst_of_commits_is_a_few_notifications(
    settings: Settings, database: Database, new: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "_SPACING", 0.1)
    acme = await new.tenant("acme")
    async with overhearing(settings) as overheard, Feed.open(settings, database, Watermarks(), ()) as feed:
        await until(lambda: feed._listener.state == "listening")
        began = monotonic()
        await asyncio.gather(*(change(feed.database, acme) for _ in range(100)))
        took = monotonic() - began
        feed._listener.hint(last := uuid4())
        await until(lambda: overheard and last in named(overheard[-1][1]))
    hints = [payload for _, payload in overheard if acme.id in named(payload)]
    assert 1 <= len(hints) <= took / 0.1 + 2


async def test_many_tenants_are_told_in_payloads_that_postgresql_takes(settings: Settings, ear: Ear) -> None:
    tenants = {uuid4() for _ in range(1000)}
    async with overhearing(settings) as overheard, listening(settings.listening_address()) as other:
        for tenant in tenants:
            ear.listener.hint(tenant)
        await until(lambda: tenants == set(other.heard))
        await until(lambda: tenants == set().union(*(named(payload) for _, payload in overheard)))
        payloads = [payload for _, payload in overheard if named(payload)]
    assert ear.listener.state == "listening"
    assert len(payloads) == 4
    assert max(len(payload.encode()) for payload in payloads) < 8000


GARBAGE = [
    "", " ", ",", "x", " ,,, ", "hello world", "'; DROP TABLE users; --", "command", "command ", "command ,", "\n\n", "%s %d {}",
    "x " + "y" * 7990, "z" * 7999, "x " + "," * 7990, "Ω " + "é" * 3900, "x \x01\x02\x7f\x1b[31m", "x " + "-" * 22 + "=",
    "x " + "A" * 21, "x " + "A" * 23, "x " + "é" * 22, "x " + "１" * 22, "x " + "A" * 22 + "\n",
    "x 00000000-0000-0000-0000-000000000000",
]  # fmt: skip


async def test_garbage_is_heard_without_harm(ear: Ear, stranger: Any) -> None:
    before = ear.listener._nonce
    for payload in GARBAGE:
        await stranger.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
    await stranger.execute(f"NOTIFY {CHANNEL}; NOTIFY {CHANNEL}, 'x'")
    acme = uuid4()
    await stranger.execute("SELECT pg_notify($1, $2)", CHANNEL, f"x {listeners._encoded(acme)}")
    await until(lambda: ear.heard)
    assert ear.heard == [acme]
    assert (ear.listener.state, ear.connected, ear.listener._nonce) == ("listening", 1, before)


async def test_a_forged_hint_costs_a_look_and_shows_nothing(
    settings: Settings, database: Database, new: Factory, stranger: Any
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    forged = ",".join(map(listeners._encoded, [acme.id, globex.id, *(uuid4() for _ in range(300))]))
    async with relaying(settings) as relay, relay.ring(acme.id) as ring:
        head, heard = ring.head, []

        def hint(tenant: UUID) -> None:
            relay.hint(tenant)
            heard.append(tenant)

        async with listeners.Listener.open(
            settings.listening_address(), on_hint=hint, on_connected=relay.hint_all
        ) as listener:
            await until(lambda: listener.state == "listening")
            for _ in range(3):
                await stranger.execute("SELECT pg_notify($1, $2)", CHANNEL, f"x {forged}")
            await until(lambda: len(heard) == 3 * 302)
            last = await change(database, acme)
            await until(lambda: ring.head == last)
        assert numbers(ring, head) == [last]
        assert (relay.watermarks.followed(monotonic()), relay.watermarks.known(globex.id)) == ([acme.id], None)


async def test_whoever_speaks_in_the_name_of_a_process_is_not_heard_by_it(
    settings: Settings, ear: Ear, stranger: Any
) -> None:
    acme, globex = uuid4(), uuid4()
    async with overhearing(settings) as overheard:
        ear.listener.hint(acme)
        await until(lambda: overheard)
    sender = overheard[0][1].partition(" ")[0]
    for text in (listeners._encoded(acme), "", "x", ear.listener._nonce, "é" * 3000):
        await stranger.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{sender} {text}")
    await stranger.execute("SELECT pg_notify($1, $2)", CHANNEL, f"x {listeners._encoded(globex)}")
    await until(lambda: ear.heard)
    assert (ear.heard, ear.listener.state, ear.connected) == ([globex], "listening", 1)


async def test_a_killed_connection_is_replaced_and_says_that_hints_may_be_missing(
    settings: Settings, superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "_ECHO_EVERY", 0.1)
    async with listening(settings.listening_address()) as ear:
        for times in (2, 3):
            assert superuser.execute(KILL).fetchall() == [(True,)]
            superuser.commit()
            await until(lambda times=times: ear.connected == times)
        async with listening(settings.listening_address()) as other:
            await hears(ear, other)
            await hears(other, ear)
        assert ear.listener.state == "listening"


async def test_a_connection_that_carries_nothing_any_more_is_noticed_and_replaced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "_ECHO_EVERY", 0.1)
    monkeypatch.setattr(listeners, "_PATIENCE", 1.0)
    async with behind_proxy(settings.listening_address()) as (proxy, address), listening(address) as ear:
        proxy.on_request = lambda _: "hang"
        await until(lambda: ear.listener.state == "deaf")
        assert ear.connected == 1
        proxy.on_request = lambda _: None
        await until(lambda: ear.connected == 2)
        async with listening(settings.listening_address()) as other:
            await hears(ear, other)
            await hears(other, ear)


async def test_a_server_that_is_not_there_keeps_nobody_from_starting(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(Address("postgresql://quarry_app@127.0.0.1:1/quarry")) as ear:
        assert (ear.listener.state, ear.connected) == ("deaf", 0)
        ear.listener._address = settings.listening_address()
        await until(lambda: ear.connected == 1)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def test_behind_a_pooler_listening_is_refused(
    settings: Settings, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pooled(settings.listening_address(), tmp_path, free_port, connections=2) as address:
        await until(lambda: can_connect(free_port))
        for _ in range(5):
            # As of a process that has just been started: its names of prepared statements are those of the others.
            monkeypatch.setattr(asyncpg.connection, "_uid", 0)
            async with listening(address) as ear:
                assert (ear.listener.state, ear.connected) == ("refused", 0)


async def test_behind_a_pooler_commits_of_others_are_found_by_polling(
    settings: Settings, new: Factory, tmp_path: Path, free_port: int
) -> None:
    acme = await new.tenant("acme")
    # Before 1.21 PgBouncer does not know which of its connections has prepared what; one has prepared everything.
    with pooled(settings.listening_address(), tmp_path, free_port, connections=1) as address:
        await until(lambda: can_connect(free_port))
        async with (
            Database.open(address, settings.limits) as database,
            relaying(settings, address=address) as relay,
            listening(address) as ear,
            relay.ring(acme.id) as ring,
        ):
            before = ring.head
            last = await change(database, acme, times=5)
            await until(lambda: ring.head == last)
            assert numbers(ring, before) == [before + n for n in range(1, 6)]
            assert ear.listener.state == "refused"


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


async def test_nobody_notifies_inside_the_transaction_of_a_user(
    settings: Settings, database: Database, new: Factory, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    async with overhearing(settings) as overheard, Feed.open(settings, database, Watermarks(), ()) as feed:
        await until(lambda: feed._listener.state == "listening")
        await asyncio.gather(*(change(feed.database, acme, times=5) for _ in range(8)))
        await until(lambda: any(acme.id in named(payload) for _, payload in overheard))
        listener = superuser.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'quarry listener'")
        assert {pid for pid, _ in overheard} == {pid for (pid,) in listener}


def test_no_statement_and_no_function_of_the_database_notifies(superuser: Any) -> None:
    for file in files.sql("queries").glob("*.sql"):
        assert "notify" not in file.read_text(encoding="utf-8").lower()
    functions = "SELECT proname FROM pg_proc WHERE pronamespace IN ('app'::regnamespace, 'quarry'::regnamespace)"
    assert superuser.execute(f"{functions} AND prosrc ~* 'notify'").fetchall() == []
    assert ("record_changes",) in superuser.execute(f"{functions} AND prosrc ~* 'insert'").fetchall()


async def test_what_a_command_announces_reaches_who_listens(platform: Database, new: Factory, ear: Ear) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    await announce(platform, [acme.id, globex.id])
    await until(lambda: len(ear.heard) == 2)
    assert ear.heard == [acme.id, globex.id]


async def test_announcing_more_tenants_than_fit_tells_some(database: Database, ear: Ear) -> None:
    tenants = [uuid4() for _ in range(1000)]
    await announce(database, tenants)
    await until(lambda: ear.heard)
    assert ear.heard == tenants[:300]


async def test_announcing_to_a_database_that_is_gone_is_no_failure(database: Database, superuser: Any) -> None:
    with unreachable(superuser):
        await announce(database, [uuid4()])
