"""Databases for the statements that the prover is tried on, and for those that are planted with a defect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from checks.generated_data import SCHEMA
from checks.planting import Caught, Garden, Plant, caught
from checks.proofs import ROWS, Prover
from service.addresses import Address
from service.checks import scratch
from service.checks.proofs import catalog
from service.embedded.server import Server
from service.schema import provisioning

Judge = Callable[..., Awaitable[list[Caught]]]


@pytest.fixture(scope="module")
async def odd_database(server: Server) -> AsyncIterator[Any]:
    """A superuser's connection to a database with the schema of the generated statements, for a module's tests."""
    name = f"checks_{uuid4().hex}"
    administration = await asyncpg.connect(server.url())
    await administration.execute(f"CREATE DATABASE {name}")
    connection = await asyncpg.connect(server.url(user=server.superuser, password=server.password, database=name))
    # Trees would fill the server's log, and a wrong recursion would never end.
    await connection.execute(
        "SET log_min_messages = panic; SET gen.tenant = 1; SET statement_timeout = '5s'; SET jit = off"
    )
    await connection.execute(SCHEMA)
    yield connection
    await connection.close()
    await administration.execute(f"DROP DATABASE {name}")
    await administration.close()


@pytest.fixture(scope="module")
async def prover(odd_database: Any) -> Prover:
    """The prover, with few rows to run statements on."""
    await odd_database.execute(ROWS)
    return Prover(odd_database, await catalog.load(odd_database))


@pytest.fixture(scope="session")
async def ground(server: Server, template: Any) -> AsyncIterator[Any]:
    """A superuser's connection to a migrated database without rows, which tests leave as it was."""
    administration = await asyncpg.connect(server.url())
    await administration.execute(f"CREATE DATABASE quarry_ground TEMPLATE {template.template_dbname}")
    address = Address(server.url(database="quarry_ground"))
    await provisioning.prepare_database(address)
    async with scratch.connected(address, "quarry") as connection:
        yield connection
    await administration.execute("DROP DATABASE quarry_ground")
    await administration.close()


@pytest.fixture
def garden(ground: Any, tmp_path: Path) -> Garden:
    """Where statements are planted."""
    return Garden(ground, tmp_path / "planted.sql", is_shared=True)


@pytest.fixture
def judge(garden: Garden) -> Judge:
    """What is found of a planted statement: `await judge(planted, healthy)`. Of its healthy twin nothing is.

    `ddl` runs before; `by` is `garden.run` or `garden.grow` where statements are run too.
    """

    async def judge(
        planted: Plant, healthy: Plant | None = None, *, ddl: str = "", by: Any = garden.judge
    ) -> list[Caught]:
        plants = {**({"healthy": healthy} if healthy else {}), "planted": planted}
        async with garden.with_ddl(ddl):
            return caught(await by(plants), garden.path)

    return judge


@pytest.fixture
def only(judge: Judge) -> Callable[..., Awaitable[Caught]]:
    """`judge`, where the planted statement has one finding, of this code: `await only("refused", planted, healthy)`."""

    async def only(code: str, planted: Plant, healthy: Plant | None = None, **more: Any) -> Caught:
        found = await judge(planted, healthy, **more)
        assert [each.finding.code for each in found] == [code], [each.finding for each in found]
        return found[0]

    return only
