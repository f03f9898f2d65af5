"""The relay when the log was pruned, the database lost, restored or another one: it finds the way, or starts again."""

from __future__ import annotations

from collections import Counter
from time import monotonic
from typing import Any

import pytest

from arranging.accounts import NewTenant
from changes.followers import (
    NEVER,
    change,
    holds,
    logging,
    numbers,
    prune,
    relaying,
    unreachable,
    until,
)
from service.cache import watermarks
from service.cache.watermarks import Stamp
from service.changes import relay as relays
from service.changes.relay import Relay
from service.changes.ring import Ring
from service.database.database import Database
from service.database.retries import repeated
from service.settings.settings import Settings
from service.work import Work

KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'quarry relay'"


@pytest.mark.parametrize("later", [0, 3])
async def test_a_log_that_was_pruned_beyond_what_is_known_starts_again(
    settings: Settings, database: Database, acme: NewTenant, superuser: Any, monkeypatch: pytest.MonkeyPatch, later: int
) -> None:
    monkeypatch.setattr(relays, "POLL_EVERY", NEVER)
    superuser.autocommit = True
    async with relaying(settings) as relay, relay.ring(acme.id) as ring:
        before = ring.head
        pruned = await change(database, acme, times=3)
        assert prune(superuser, acme) == pruned
        last = await change(database, acme, times=later) if later else pruned
        relay.hint(acme.id)
        await until(lambda: relay.watermarks.known(acme.id) == last)
        assert not holds(relay, acme, before, ("brands", None))
        assert holds(relay, acme, last, ("brands", None), ("campaigns", None))
        await until(lambda: ring.head == last)
        assert ring.after(before) is None


async def test_a_log_that_has_nothing_more_because_it_was_pruned_confirms_nothing(
    settings: Settings, database: Database, acme: NewTenant, superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "POLL_EVERY", NEVER)
    superuser.autocommit = True
    asked: list[str] = []
    async with relaying(settings, observe=lambda name, *_: asked.append(name)) as relay, relay.ring(acme.id):
        pruned = await change(database, acme, times=3)
        assert prune(superuser, acme) == pruned
        began = monotonic()
        relay.committed(acme.id, pruned)
        await until(lambda: "log.commits_since" in asked and not relay._readers)
        assert relay.watermarks._tenants[acme.id].confirmed_at < began


async def test_an_epoch_that_was_raised_elsewhere_is_adopted(
    platform: Database, database: Database, acme: NewTenant, relay: Relay, ring: Ring
) -> None:
    before, head = relay.watermarks.epoch, ring.head
    assert holds(relay, acme, head, ("brands", None))
    async with Work(platform, None) as work:
        assert await work.connection.fetchval("SELECT app.raise_epoch()", ()) == before + 1
    await until(lambda: ring.epoch == relay.watermarks.epoch == before + 1)
    stamp = Stamp(before, head, 0, -1e9)
    assert not relay.watermarks.holds(acme.id, stamp, (), is_shared=False, at_least=0, now=-1e9)
    last = await change(database, acme)
    await until(lambda: numbers(ring, head) == [last])


async def test_another_server_that_answers_is_another_life(
    database: Database, acme: NewTenant, relay: Relay, ring: Ring, superuser: Any
) -> None:
    before = relay.watermarks.epoch
    with unreachable(superuser):
        await until(lambda: relay._is_lost)
        superuser.execute("UPDATE app.installation SET timeline = timeline + 1")
    await until(lambda: ring.epoch == relay.watermarks.epoch == before + 1)
    last = await change(database, acme)
    await until(lambda: ring.head == last)


async def test_killed_connections_are_replaced(
    database: Database, acme: NewTenant, relay: Relay, ring: Ring, superuser: Any
) -> None:
    superuser.autocommit = True
    before = ring.head
    for _ in range(5):
        superuser.execute(KILL)
        # Behind a pooler, the connection that was killed may be the one that the change gets.
        await repeated(lambda _: change(database, acme), attempts=5, deadline=30.0)
    await until(lambda: numbers(ring, before) == [before + n for n in range(1, 6)])


async def test_a_database_that_is_lost_is_found_again(
    database: Database, acme: NewTenant, relay: Relay, ring: Ring, superuser: Any
) -> None:
    before = ring.head
    with logging() as captured:
        with unreachable(superuser):
            await until(lambda: relay._is_lost)
            # Nothing read before holds while nobody can say what has happened since.
            confirmed = relay.watermarks._tenants[acme.id].confirmed_at
            stamp = Stamp(relay.watermarks.epoch, before, 0, -1e9)
            await until(lambda: monotonic() > confirmed + watermarks.LEASE)
            now = monotonic()
            assert not relay.watermarks.holds(acme.id, stamp, (), is_shared=False, at_least=0, now=now)
        last = await change(database, acme, times=3)
        await until(lambda: numbers(ring, before) == [last - 2, last - 1, last])
    said = Counter(each["event"] for each in captured)
    assert (said["log_lost"], said["log_recovered"]) == (1, 1)


async def test_an_answer_that_nobody_has_foreseen_ends_nothing(
    database: Database, acme: NewTenant, relay: Relay, ring: Ring, superuser: Any
) -> None:
    superuser.autocommit = True
    superuser.execute("CREATE TABLE app.kept AS SELECT * FROM app.installation")
    superuser.execute("DELETE FROM app.installation")
    asked = relay.confirmed_at
    await until(lambda: monotonic() > asked + 3 * relays.POLL_EVERY)
    superuser.execute("INSERT INTO app.installation SELECT * FROM app.kept")
    last = await change(database, acme)
    await until(lambda: ring.head == last)
