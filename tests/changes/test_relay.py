"""The relay: what a process knows of the log is what the log says, number after number, whoever told it to look."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest

from changes.followers import (
    NEVER,
    behind_proxy,
    change,
    listening,
    logged,
    logging,
    numbers,
    prune,
    relaying,
    unreachable,
    until,
)
from factories import Factory, NewTenant
from service import watermarks
from service.changes import relay as relays
from service.changes.events import Frame
from service.changes.relay import Relay
from service.changes.ring import Ring
from service.database import Database
from service.errors import TenantUnbound
from service.settings import Settings
from service.watermarks import Stamp, Tag
from service.work import Work

KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'quarry relay'"


@pytest.fixture
async def acme(new: Factory) -> NewTenant:
    return await new.tenant("acme")


@pytest.fixture
async def relay(settings: Settings, acme: NewTenant) -> AsyncIterator[Relay]:
    async with relaying(settings) as opened:
        yield opened


@pytest.fixture
async def ring(relay: Relay, acme: NewTenant) -> AsyncIterator[Ring]:
    """The stream of acme, from now on."""
    async with relay.ring(acme.id) as opened:
        yield opened


def follow(relay: Relay, tenant: NewTenant) -> None:
    """Follow a tenant's watermarks alone, as reads from the cache do."""
    relay.watermarks.use(tenant.id, monotonic())


def holds(relay: Relay, tenant: NewTenant, number: int, *tags: Tag) -> bool:
    """Whether what was read with that number holds, as of the last time that the log answered."""
    known = relay.watermarks._tenants[tenant.id]
    stamp = Stamp(relay.watermarks.epoch, number, 0, -1e9)
    return relay.watermarks.holds(tenant.id, stamp, tags, is_shared=False, at_least=0, now=known.confirmed_at)


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
        database.on_numbered = relay.committed
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
        database.on_numbered = lambda tenant, number: dice.random() < 0.5 and relay.committed(tenant, number)
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


@pytest.mark.parametrize("later", [0, 3])
async def test_a_log_that_was_pruned_beyond_what_is_known_starts_anew(
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
        await change(database, acme)
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
        database.on_numbered = relay.committed
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
    assert asked == ["log.enter_life"]


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
