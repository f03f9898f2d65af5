"""The pool and the connection: what is set, what is left behind, how a lost COMMIT ends."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest
from prometheus_client import REGISTRY

from arranging.accounts import NewTenant
from arranging.factories import Factory
from arranging.proxy import Proxy, proxied
from service.addresses import Address
from service.database.connection import Numbered
from service.database.database import Database
from service.errors import CommitUnknown, PoolExhausted, Timeout, Unavailable
from service.settings.settings import Settings
from service.work import Work


@asynccontextmanager
async def through_proxy(settings: Settings) -> AsyncIterator[tuple[Proxy, Database]]:
    """The service's pool behind a proxy that can lose connections."""
    address = settings.address("quarry_app")
    parts = urlsplit(address.url)
    async with proxied(parts.hostname or "", parts.port or 0) as proxy:
        netloc = f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"
        limits = dataclasses.replace(settings.limits, connect_timeout=5.0, acquire_timeout=5.0)
        async with Database.open(Address(urlunsplit(parts._replace(netloc=netloc))), limits) as database:
            yield proxy, database


_KILL_ONE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'quarry_app' LIMIT 1"


async def create(database: Database, tenant: NewTenant, name: str = "Summer") -> Work:
    async with Work(database, tenant.id) as work:
        await work.campaigns.create(name=name, owner_id=tenant.owner.id)
    return work


async def count(database: Database, tenant: NewTenant) -> int:
    async with Work(database, tenant.id, read_only=True) as work:
        return await work.campaigns.count()


async def test_what_a_connection_starts_with_is_still_there_after_a_release(database: Database) -> None:
    for _ in range(2):
        async with database.connection() as connection:
            assert await connection.fetchval("SHOW search_path", ()) == "quarry, pg_temp"
            assert await connection.fetchval("SHOW timezone", ()) == "UTC"
            assert await connection.fetchval("SHOW statement_timeout", ()) == "30s"
            assert await connection.fetchval("SELECT current_user", ()) == "quarry_app"


async def test_releasing_a_connection_costs_no_statement(database: Database, new: Factory, superuser: object) -> None:
    acme = await new.tenant("acme")
    await create(database, acme)
    last = superuser.execute("SELECT DISTINCT query FROM pg_stat_activity WHERE usename = 'quarry_app'").fetchall()
    assert [query.rpartition(";")[2] for (query,) in last] == ["COMMIT"]


async def test_an_open_transaction_does_not_reach_the_next_user(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("BEGIN; SET LOCAL app.tenant_id = 'left behind'")
    async with database.connection() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT current_setting('app.tenant_id', true)", ()) in (None, "")


async def test_a_timeout_leaves_the_connection_usable(database: Database) -> None:
    async with database.connection() as connection:
        pid = connection.raw.get_server_pid()
        with pytest.raises(Timeout):
            await connection.execute("SET statement_timeout = '50ms'; SELECT pg_sleep(30)")
        assert await connection.fetchval("SELECT pg_backend_pid()", ()) == pid


async def test_an_exhausted_pool_is_told_apart(settings: Settings) -> None:
    limits = dataclasses.replace(settings.limits, maximum=1, acquire_timeout=0.05)
    async with Database.open(settings.address("quarry_app"), limits) as database, database.connection():
        with pytest.raises(PoolExhausted):
            async with database.connection():
                pass


async def test_another_login_takes_the_role_at_connection_start(settings: Settings) -> None:
    superuser = dataclasses.replace(settings.administration(), role="quarry_app")
    async with Database.open(superuser, settings.limits) as database, database.connection() as connection:
        assert await connection.fetchval("SELECT current_user", ()) == "quarry_app"
        await connection.execute("RESET ALL")
        assert await connection.fetchval("SELECT current_user", ()) == "quarry_app"


async def test_nobody_there_is_unavailable(settings: Settings) -> None:
    limits = dataclasses.replace(settings.limits, connect_attempts=2)
    with pytest.raises(Unavailable):
        async with Database.open(Address("postgresql://quarry_app@127.0.0.1:1/quarry"), limits):
            pass


async def test_a_connection_lost_before_commit_reached_the_server_left_nothing(
    settings: Settings, new: Factory
) -> None:
    acme = await new.tenant("acme")
    async with through_proxy(settings) as (proxy, database):
        proxy.on_request = lambda data: "drop" if data.endswith(b"COMMIT\0") else None
        with pytest.raises(CommitUnknown):
            await create(database, acme)
        proxy.on_request = lambda _: None
        assert await count(database, acme) == 0


async def test_a_lost_answer_to_commit_is_unknown_and_not_repeated(settings: Settings, new: Factory) -> None:
    acme = await new.tenant("acme")
    attempts: list[int] = []

    async def operation(work: Work) -> None:
        attempts.append(work.attempt)
        await work.campaigns.create(name="Summer", owner_id=acme.owner.id)

    async with through_proxy(settings) as (proxy, database):
        proxy.on_request = lambda data: "deaf" if data.endswith(b"COMMIT\0") else None
        with pytest.raises(CommitUnknown):
            await Work.run(database, operation, acme.id)
        proxy.on_request = lambda _: None
        assert attempts == [1]
        assert await count(database, acme) == 1


async def numbered(database: Database, tenant: NewTenant) -> Numbered:
    """A commit as its message tells it."""
    async with Work(database, tenant.id) as work:
        await work.campaigns.create(name="Summer", owner_id=tenant.owner.id)
        told = work.connection._commits
    return told[0]


async def test_the_outcome_of_a_numbered_commit_is_asked_for(database: Database, new: Factory) -> None:
    commit = await numbered(database, await new.tenant("acme"))
    assert await database.pool.outcome(commit) == "committed"


async def test_a_commit_that_a_crash_has_lost_is_not_taken_for_the_one_that_got_its_numbers(
    database: Database, new: Factory
) -> None:
    commit = await numbered(database, await new.tenant("acme"))
    assert await database.pool.outcome(commit._replace(at=commit.at - 1)) == "aborted"
    assert await database.pool.outcome(commit._replace(number=commit.number + 1)) == "aborted"
    # Its transaction id may not have been given again yet.
    assert (
        await database.pool.outcome(commit._replace(number=commit.number + 1, xid=commit.xid + 1_000_000)) == "aborted"
    )


async def test_the_outcome_of_a_commit_that_goes_on_is_awaited(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
        await work.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        (commit,) = work.connection._commits
        outcome = asyncio.create_task(database.pool.outcome(commit))
        async with asyncio.timeout(30), database.connection() as other:
            text = "SELECT app.commit_outcome($1::text::uuid, $2, $3::text::xid8, $4)"
            assert await other.fetchval(text, (acme.id.hex, commit.number, str(commit.xid), commit.at)) == "in progress"
        assert not outcome.done()
    assert await outcome == "committed"


async def test_a_cancelled_commit_is_finished_first(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    committing = asyncio.Event()

    async def work_and_commit() -> None:
        async with Work(database, acme.id) as work:
            await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
            committing.set()

    task = asyncio.create_task(work_and_commit())
    await committing.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(database, acme) in (0, 1)
    async with database.connection() as connection:
        assert not connection.is_in_transaction()


async def test_a_storm_of_terminated_backends_is_survived(database: Database, new: Factory, superuser: object) -> None:
    acme = await new.tenant("acme")
    superuser.autocommit = True
    done = asyncio.Event()
    outcomes: list[str] = []

    async def write(name: str) -> None:
        while not done.is_set():
            try:
                await create(database, acme, name)
                outcomes.append("done")
            except (Unavailable, CommitUnknown) as error:
                outcomes.append(error.code)

    async with asyncio.timeout(30), asyncio.TaskGroup() as writers:
        for n in range(4):
            writers.create_task(write(f"Writer {n}"))
        while outcomes.count("done") < 100 or len(set(outcomes)) < 2:
            superuser.execute(_KILL_ONE)
            await asyncio.sleep(0.01)
        done.set()
    assert set(outcomes) <= {"done", "unavailable", "commit_unknown"}
    assert await count(database, acme) >= outcomes.count("done")
    assert await count(database, acme) <= outcomes.count("done") + outcomes.count("commit_unknown")


async def test_the_pool_tells_who_waits_and_who_works(settings: Settings) -> None:
    limits = dataclasses.replace(settings.limits, minimum=1, maximum=1)
    async with Database.open(settings.address("quarry_app"), limits) as database:
        before = pool_state()
        async with database.connection():
            waiting = asyncio.create_task(database.pool.acquire())
            await asyncio.sleep(0)
            assert pool_state() == (before[0] + 1, before[1] + 1)
        await database.pool.release(await waiting)
    assert pool_state() == before


def pool_state() -> tuple[float, float]:
    """Connections in use, and work that waits for one."""
    names = ("quarry_pool_in_use", "quarry_pool_waiting")
    in_use, waiting = (REGISTRY.get_sample_value(name) or 0.0 for name in names)
    return in_use, waiting
