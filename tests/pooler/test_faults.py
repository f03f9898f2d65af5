"""What is lost behind a pooler is lost as without one: nothing is repeated that may have happened."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest

from arranging.accounts import NewTenant
from arranging.bouncer import Bouncer, bouncing, through
from arranging.documents import CHECKOUT
from arranging.factories import Factory
from arranging.proxy import Proxy, proxied
from service.database import connection
from service.database.database import Database
from service.embedded.server import Server
from service.errors import CommitUnknown, Unavailable
from service.settings.settings import Settings
from service.work import Work

COMPOSE = CHECKOUT / "compose.yaml"
_KILL_ONE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE usename = 'quarry_app' AND datname = current_database() ORDER BY random() LIMIT 1
"""


@asynccontextmanager
async def losing(server: Server, settings: Settings) -> AsyncIterator[tuple[Proxy, Database]]:
    """The service's pool behind a PgBouncer that can lose its connections to the server."""
    async with proxied(server.host, server.port) as proxy:
        with bouncing(server, port=proxy.port) as bouncer:
            behind = through(bouncer, settings)
            async with Database.open(behind.address("quarry_app"), behind.limits) as database:
                yield proxy, database


async def create(database: Database, tenant: NewTenant, name: str = "Summer") -> None:
    async with Work(database, tenant.id) as work:
        await work.campaigns.create(name=name, owner_id=tenant.owner.id)


async def count(database: Database, tenant: NewTenant) -> int:
    async with Work(database, tenant.id, read_only=True) as work:
        return await work.campaigns.count()


@pytest.mark.parametrize(("fate", "left"), [("drop", 0), ("deaf", 1)])
async def test_a_commit_whose_answer_the_pooler_never_got_is_unknown_and_not_repeated(
    server: Server, settings: Settings, new: Factory, fate: str, left: int
) -> None:
    acme = await new.tenant("acme")
    attempts: list[int] = []

    async def operation(work: Work) -> None:
        attempts.append(work.attempt)
        await work.campaigns.create(name="Summer", owner_id=acme.owner.id)

    async with losing(server, settings) as (proxy, behind):
        proxy.on_request = lambda data: fate if data.endswith(b"COMMIT\0") else None
        with pytest.raises(CommitUnknown):
            await Work.run(behind, operation, acme.id)
        proxy.on_request = lambda _: None
        assert attempts == [1]
        assert await count(behind, acme) == left


async def test_restart_of_a_second_costs_under_two_as_compose_has_the_pooler(
    server: Server, settings: Settings, new: Factory
) -> None:
    acme = await new.tenant("acme")
    composed = re.findall(
        r"^ +(server_login_retry|default_pool_size) = (\d+)$", COMPOSE.read_text("utf-8"), re.MULTILINE
    )
    async with proxied(server.host, server.port) as proxy:
        with bouncing(server, port=proxy.port, **dict(composed)) as bouncer:
            behind = through(bouncer, settings)
            async with Database.open(behind.address("quarry_app"), behind.limits) as database:
                await count(database, acme)
                there, proxy.target = proxy.target, ("127.0.0.1", 1)
                proxy.on_request = lambda _: "drop"
                lost = asyncio.get_running_loop().time()
                while asyncio.get_running_loop().time() - lost < 1:
                    with suppress(Unavailable):
                        await count(database, acme)
                proxy.target, proxy.on_request = there, lambda _: None
                async with asyncio.timeout(2):
                    while not await answered(database, acme):
                        await asyncio.sleep(0.05)


async def answered(database: Database, tenant: NewTenant) -> bool:
    try:
        return await count(database, tenant) == 0
    except Unavailable:
        return False


async def test_backends_that_are_killed_behind_the_pooler_cost_no_commit_that_was_told(
    bouncer: Bouncer, pooled: Settings, new: Factory, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    superuser.autocommit = True
    done = asyncio.Event()
    outcomes: list[str] = []

    async def write(name: str) -> None:
        while not done.is_set():
            try:
                await create(behind, acme, name)
                outcomes.append("done")
            except (Unavailable, CommitUnknown) as error:
                outcomes.append(error.code)
            await asyncio.sleep(0)

    async with Database.open(pooled.address("quarry_app"), pooled.limits) as behind:
        async with asyncio.timeout(60), asyncio.TaskGroup() as writers:
            for number in range(4):
                writers.create_task(write(f"Writer {number}"))
            while outcomes.count("done") < 50 or len(set(outcomes)) < 2:
                superuser.execute(_KILL_ONE)
                await asyncio.sleep(0.1)
            done.set()
        written = await Work.run(behind, lambda work: work.campaigns.count(), acme.id, read_only=True, attempts=5)
    assert set(outcomes) <= {"done", "unavailable", "commit_unknown"}
    assert outcomes.count("done") <= written <= outcomes.count("done") + outcomes.count("commit_unknown")


async def test_a_pooler_without_a_free_session_is_a_timeout_and_recovers(
    server: Server, settings: Settings, new: Factory
) -> None:
    acme = await new.tenant("acme")
    with bouncing(server, default_pool_size=1, query_wait_timeout=1) as bouncer:
        behind = through(bouncer, settings)
        async with Database.open(behind.address("quarry_app"), behind.limits) as database:
            async with Work(database, acme.id, read_only=True) as work:
                await work.campaigns.count()
                with pytest.raises(Unavailable):
                    await count(database, acme)
            assert await count(database, acme) == 0


@pytest.mark.parametrize(
    ("state", "severity", "is_answer"),
    [("40001", "ERROR", True), ("08P01", "ERROR", False), ("57P01", "FATAL", False)],
    ids=["refused by the server", "lost by the pooler", "ended by an operator"],
)
def test_what_a_pooler_says_at_commit_is_no_answer_of_the_server(state: str, severity: str, is_answer: bool) -> None:
    said = asyncpg.PostgresError.new({"C": state, "S": severity, "V": severity, "M": "server conn crashed?"})
    assert connection._is_of_server(said) is is_answer
