"""The number of the shared reference data: raised by whatever changes a niche, seen when it has happened."""

from __future__ import annotations

import contextlib

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.work import Work

WRITES = {
    "insert": "INSERT INTO app.niches (name) VALUES ('food')",
    "update": "UPDATE app.niches SET icon = 'suitcase' WHERE name = 'travel'",
    "delete": "DELETE FROM app.niches WHERE name = 'travel'",
}


async def shared_number(database: Database) -> int:
    """As the serving role sees it."""
    async with Work(database, None, read_only=True) as work:
        return (await work.installation.find()).shared_number


@pytest.fixture
async def niche(platform: Database) -> None:
    """There is one already."""
    async with Work(platform, None) as work:
        await work.connection.execute("INSERT INTO app.niches (name) VALUES ('travel')")


@pytest.mark.usefixtures("niche")
@pytest.mark.parametrize("write", WRITES)
async def test_a_changed_niche_raises_the_number_when_it_is_committed(
    database: Database, platform: Database, write: str
) -> None:
    before = await shared_number(database)
    async with Work(platform, None) as work:
        await work.connection.execute(WRITES[write])
        assert await shared_number(database) == before
    assert await shared_number(database) == before + 1


@pytest.mark.usefixtures("niche")
async def test_an_undone_change_of_a_niche_raises_nothing(database: Database, platform: Database) -> None:
    before = await shared_number(database)
    with contextlib.suppress(LookupError):
        async with Work(platform, None) as work:
            await work.connection.execute(WRITES["update"])
            raise LookupError
    assert await shared_number(database) == before


@pytest.mark.usefixtures("niche")
async def test_a_tenants_change_raises_nothing_that_is_shared(database: Database, new: Factory) -> None:
    before = await shared_number(database)
    await new.campaign(await new.tenant("acme"))
    assert await shared_number(database) == before
