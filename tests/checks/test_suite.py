"""The repository's own statements and migrations, on the version of PostgreSQL that the tests run on."""

from __future__ import annotations

from service.addresses import Address
from service.checks import entries as catalogue
from service.checks import findings, scratch, suite
from service.checks.migrations import suite as migrations
from service.embedded.server import Server
from service.work import Work


async def test_every_statement_of_the_repository_is_proved(server: Server) -> None:
    entries = catalogue.entries(Work)
    async with (
        scratch.database(Address(server.url()), "quarry") as made,
        scratch.connected(made, "quarry") as connection,
    ):
        examined = await suite.examine(connection, "quarry", entries, is_whole=True)
    assert len(examined.subjects) == len(entries) > 100
    assert "\n".join(findings.printed(examined.findings)) == ""


async def test_every_migration_of_the_repository_goes_back_and_lets_others_work(server: Server) -> None:
    async with scratch.database(Address(server.url()), "quarry", migrate=False) as made:
        checked = await migrations.check(made, "quarry", fill=suite.fill)
    assert checked.steps
    assert "\n".join(findings.printed(checked.findings)) == ""
