"""The relay: what a process knows of the log is what the log says, number after number, whoever told it to look."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from changes.followers import (
    NEVER,
    behind_proxy,
    change,
    follow,
    holds,
    listening,
    logged,
    numbers,
    relaying,
    unreachable,
    until,
)
from service.cache import watermarks
from service.changes import relay as relays
from service.changes.events import Frame
from service.changes.relay import Relay
from service.changes.ring import Ring
from service.database.database import Database
from service.errors import TenantUnbound
from service.settings.settings import Settings
from service.work import Work


async def create(database: Database, tenant: NewTenant, count: int) -> int:
    """One commit of so many changes."""
    async with Work(database, tenant.id) as work:
        for n in range(count):
            await work.campaigns.create(name=f"Campaign {n}", owner_id=tenant.owner.id)
    assert work.number is not None
    return work.number


async def test_a_commit_of_the_same_process_is_taken_in_without_waiting_for_a_poll(
    settings: Settings, database: Database, acme: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "POLL_EVERY", NEVER)
    async with relaying(settings) as relay, relay.ring(acme.id) as ring:
        database = replace(database, on_numbered=relay.committed)
        for _ in range(3):
            last = await change(database, acme)
            await until(lambda last=last: ring.head == last)


async def test_a_commit_of_anybody_is_found_by_polling(database: Database, acme: NewTenant, ring: Ring) -> None:
    before = ring.head
    last = await change(database, acme, times=3)
    await until(lambda: ring.head == last)
    assert numbers(ring, before) == [before + 1, before + 2, before + 3]


async def test_a_hint_makes_it_look_at_once(
    settings: Settings, database: Database, acme: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "POLL_EVERY", NEVER)
    async with relaying(settings) as relay, relay.ring(acme.id) as ring:
        for look in (lambda: relay.hint(acme.id), relay.hint_all):
            last = await change(database, acme)
            look()
            await until(lambda last=last: ring.head == last)


async def test_a_lost_hint_costs_time_and_nothing_else(
    settings: Settings, database: Database, acme: NewTenant, relay: Relay, ring: Ring
) -> None:
    async with (
        behind_proxy(settings.listening_address()) as (proxy, address),
        listening(address) as writer,
        listening(settings.listening_address()) as reader,
    ):
        proxy.on_request = lambda _: "hang"
        last = await change(database, acme)
        writer.listener.hint(acme.id)
        await until(lambda: ring.head == last)
        assert reader.heard == []


async def test_a_hint_that_comes_too_early_hides_no_commit(
    database: Database, acme: NewTenant, relay: Relay, ring: Ring
) -> None:
    async with Work(database, acme.id) as work:
        await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
        relay.hint(acme.id)
        asked = relay.confirmed_at
        await until(lambda: relay.confirmed_at > asked)
    await until(lambda: ring.head == work.number)


class Undo(Exception):
    pass


async def write(database: Database, tenant: NewTenant, dice: random.Random) -> None:
    """One transaction of a few changes; some are undone, sometimes all of them."""
    with contextlib.suppress(Undo):
        async with Work(database, tenant.id) as work:
            for _ in range(dice.randint(1, 4)):
                with contextlib.suppress(Undo):
                    async with work.savepoint("step"):
                        campaign = await work.campaigns.create(name="Step", owner_id=tenant.owner.id)
                        await work.campaigns.update(campaign.id, given=["name"], name="Step again")
                        if dice.random() < 0.3:
                            raise Undo
            if dice.random() < 0.2:
                raise Undo


async def test_commits_of_concurrent_writers_are_taken_in_densely_and_in_order(
    settings: Settings, database: Database, new: Factory
) -> None:
    tenants = [await new.tenant("acme"), await new.tenant("globex")]
    async with relaying(settings) as relay, contextlib.AsyncExitStack() as stack:
        rings = {each.id: await stack.enter_async_context(relay.ring(each.id)) for each in tenants}
        starts = {tenant: ring.head for tenant, ring in rings.items()}
        database = replace(
            database, on_numbered=lambda tenant, number: dice.random() < 0.5 and relay.committed(tenant, number)
        )
        dice = random.Random(1)

        async def writer(seed: int) -> None:
            own = random.Random(seed)
            for _ in range(25):
                await write(database, own.choice(tenants), own)

        await asyncio.gather(*(writer(seed) for seed in range(8)))
        for tenant in tenants:
            commits = await logged(database, tenant, starts[tenant.id])
            ring = rings[tenant.id]
            await until(lambda ring=ring, commits=commits: ring.head == commits[-1].number)
            expected = {each.number: [[*change[:3]] for change in json_of(each.changes)] for each in commits}
            assert numbers(ring, starts[tenant.id]) == list(expected) == list(range(min(expected), max(expected) + 1))
            assert {frame.number: shown(frame) for frame in ring._frames} == expected
            rows = {(table, row): each.number for each in commits for table, _, row, _ in each.changes}
            assert relay.watermarks._tenants[tenant.id].rows == rows


def json_of(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def shown(frame: Frame) -> list[list[str]]:
    """Table, operation and row of every change that a frame tells."""
    data = json.loads(frame.data.decode().partition("\ndata: ")[2])
    return [[each["table"], each["op"], each["id"]] for each in data["changes"]]


async def test_of_a_commit_each_touched_row_is_known(database: Database, acme: NewTenant, relay: Relay) -> None:
    follow(relay, acme)
    await until(lambda: relay.watermarks.known(acme.id))
    before = relay.watermarks.known(acme.id)
    assert before is not None
    last = await create(database, acme, 50)
    await until(lambda: relay.watermarks.known(acme.id) == last)
    assert holds(relay, acme, before, ("brands", None), ("users", acme.owner.id))
    assert not holds(relay, acme, before, ("campaigns", None))
    assert holds(relay, acme, last, ("campaigns", None))


async def test_a_commit_of_more_changes_than_are_told_apart_gives_up_everything_older(
    database: Database, acme: NewTenant, relay: Relay
) -> None:
    follow(relay, acme)
    await until(lambda: relay.watermarks.known(acme.id))
    before = relay.watermarks.known(acme.id)
    assert before is not None
    last = await create(database, acme, relays._MOST_FOLLOWED + 1)
    await until(lambda: relay.watermarks.known(acme.id) == last)
    assert not holds(relay, acme, before, ("brands", None))
    assert holds(relay, acme, last, ("brands", None), ("campaigns", None))


async def test_a_commit_of_more_changes_than_are_shown_sends_subscribers_to_the_log(
    database: Database, acme: NewTenant, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "MOST_CHANGES", 20)
    before = ring.head
    last = await create(database, acme, 21)
    await until(lambda: ring.head == last)
    assert (ring.after(before), ring.after(last)) == (None, [])
    await change(database, acme)
    await until(lambda: numbers(ring, last) == [last + 1])


async def test_a_stream_that_opens_while_a_commit_is_read_without_its_rows_sends_to_the_log(
    settings: Settings, database: Database, acme: NewTenant, superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "POLL_EVERY", NEVER)
    async with relaying(settings) as relay:
        follow(relay, acme)
        await until(lambda: relay.watermarks.known(acme.id))
        last = await create(database, acme, relays._MOST_FOLLOWED + 1)
        superuser.execute("LOCK TABLE app.commits IN ACCESS EXCLUSIVE MODE")
        relay.hint(acme.id)
        await until(lambda: superuser.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0])
        async with relay.ring(acme.id) as ring:
            before = ring.head
            superuser.rollback()
            await until(lambda: ring.head == last)
            assert (ring.after(before), ring.after(last)) == (None, [])


async def test_commits_of_before_it_followed_are_known_where_entries_of_other_processes_are_read(
    settings: Settings, database: Database, acme: NewTenant
) -> None:
    before = await change(database, acme)
    last = await change(database, acme, times=3)
    async with relaying(settings, reaches_back=True) as relay:
        follow(relay, acme)
        await until(lambda: relay.watermarks.known(acme.id) == last and not relay._readers)
        assert holds(relay, acme, before, ("users", None), ("brands", None))
        assert not holds(relay, acme, before, ("campaigns", None))
    async with relaying(settings) as relay:
        follow(relay, acme)
        await until(lambda: relay.watermarks.known(acme.id) == last)
        assert not holds(relay, acme, before, ("users", None))


async def test_nothing_is_read_of_a_tenant_that_is_not_followed(
    settings: Settings, database: Database, new: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "POLL_EVERY", 0.05)
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    asked: Counter[str] = Counter()

    def observe(name: str, _: float, __: int) -> None:
        asked[name] += 1

    async with relaying(settings, observe=observe) as relay:
        relay.hint(globex.id)
        relay.committed(globex.id, await change(database, globex))
        follow(relay, acme)
        await until(lambda: asked["log.poll"] >= 3)
        assert relay.watermarks.followed(monotonic()) == [acme.id]
        assert (relay.watermarks.known(globex.id), asked["log.commits_since"]) == (None, 0)
        database = replace(database, on_numbered=relay.committed)
        last = await change(database, acme)
        await until(lambda: relay.watermarks.known(acme.id) == last)
        assert asked["log.commits_since"] >= 1


async def test_without_anybody_to_follow_nothing_is_asked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, acme: NewTenant
) -> None:
    monkeypatch.setattr(relays, "POLL_EVERY", 0.01)
    asked: list[str] = []
    async with relaying(settings, observe=lambda name, *_: asked.append(name)) as relay:
        relay.hint_all()
        began = monotonic()
        await until(lambda: monotonic() > began + 0.1)
    assert asked == ["installation.enter_epoch"]


async def test_a_tenant_that_nobody_reads_any_more_is_forgotten_and_a_subscribed_one_is_not(
    settings: Settings, database: Database, new: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "POLL_EVERY", 0.05)
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    async with relaying(settings) as relay, relay.ring(acme.id) as ring:
        follow(relay, globex)
        await until(lambda: relay.watermarks.known(globex.id))
        monkeypatch.setattr(watermarks, "_FORGET_AFTER", 0.2)
        await until(lambda: list(relay.watermarks._tenants) == [acme.id])
        last = await change(database, acme)
        await until(lambda: ring.head == last)
        follow(relay, globex)
        assert await until(lambda: relay.watermarks.known(globex.id))


async def test_subscribers_of_a_tenant_share_a_ring_that_goes_with_the_last_of_them(
    relay: Relay, acme: NewTenant
) -> None:
    async with relay.ring(acme.id) as one:
        async with relay.ring(acme.id) as other:
            assert other is one
            assert one.subscribers == 2
        assert relay.rings == {acme.id: one}
    assert relay.rings == {}


async def test_a_stream_that_the_log_can_not_be_reached_for_is_refused_in_time(
    relay: Relay, acme: NewTenant, superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "_PATIENCE", 0.1)
    with unreachable(superuser), pytest.raises(TimeoutError):
        async with relay.ring(acme.id):
            pass
    assert relay.rings == {}


async def test_it_reads_as_the_serving_role_and_sees_the_bound_tenant_alone(
    database: Database, new: Factory, acme: NewTenant, relay: Relay
) -> None:
    globex = await new.tenant("globex")
    count = "SELECT count(*) FROM app.commits"
    async with Work(relay.database, acme.id, read_only=True) as work:
        role = "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = session_user"
        assert tuple(await work.connection.fetchrow(role, ()) or ()) == ("quarry_app", False, False)
        assert await work.connection.fetchval(f"{count} WHERE tenant_id <> $1", [acme.id]) == 0
        assert await work.connection.fetchval(count, ()) == await work.log.head() > 0
    assert len(await logged(database, globex)) > 0
    with pytest.raises(TenantUnbound):
        async with Work(relay.database, None, read_only=True) as work:
            await work.connection.fetchval(count, ())
