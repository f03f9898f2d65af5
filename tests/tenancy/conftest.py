"""One database of two tenants for each module, and the serving role on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from arranging.tenancy_rows import APP, Arranged, arrange, built_beside, cloned
from service.embedded.server import Server


@pytest.fixture(scope="module", params=["shared", "own"])
async def arranged(server: Server, template: Any, request: pytest.FixtureRequest) -> AsyncIterator[Arranged]:
    """Rows of two tenants in every table; what a test does to them it undoes.

    `quarry` is the schema that tenants share, and then one that was built for a tenant of its own beside another one.
    """
    make = cloned(server, template) if request.param == "shared" else built_beside(server)
    async with make as url:
        yield await arrange(url)


@pytest.fixture(scope="module")
async def app(server: Server, arranged: Arranged) -> AsyncIterator[Any]:
    """A connection of the serving role itself."""
    connection = await asyncpg.connect(
        server.url(user="quarry_app", password=server.password, database=arranged.name), **APP
    )
    yield connection
    await connection.close()
