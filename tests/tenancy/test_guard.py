"""The catalog lint: clean as migrated, and every rule sees exactly the catalog that breaks it.

A case breaks the catalog as superuser, looks as the serving role inside the same transaction, and is undone.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from inspect import getsource
from typing import Any

import pytest

from arranging.tenancy_breaks import BREAKS, FOLLOWS, SOUND
from arranging.tenancy_rows import cloned
from service import files, tables
from service.addresses import Address, PoolLimits
from service.database.connection import Connection
from service.database.database import Database
from service.embedded.server import Server
from service.personal import keyring
from service.settings.settings import Settings
from service.tenancy import guard
from service.tenancy.guard import Finding, GuardError

CASES = [(finding, script) for finding, scripts in BREAKS.items() for script in scripts]


@pytest.fixture(scope="module")
async def root(server: Server, template: Any) -> AsyncIterator[Database]:
    """A pool of one connection, as superuser, to a database of this module."""
    async with cloned(server, template) as url, Database.open(Address(url), PoolLimits(maximum=1)) as opened:
        yield opened


async def inspected(connection: Connection, script: str) -> set[str]:
    """The findings of the serving role after the script, which is undone."""
    await connection.execute(f"BEGIN; {script}; SET LOCAL ROLE quarry_app")
    try:
        return {str(finding) for finding in await guard.inspect(connection)}
    finally:
        await connection.rollback()


@pytest.mark.parametrize(("finding", "script"), CASES, ids=range(len(CASES)))
async def test_a_broken_catalog_is_found_out(root: Database, finding: str, script: str) -> None:
    async with root.connection() as connection:
        found = await inspected(connection, script)
    assert finding in found
    others = {each.partition(":")[0] for each in found - {finding}}
    assert others <= FOLLOWS.get(finding.partition(":")[0], set())


async def test_the_remedy_names_the_object_and_what_to_do(root: Database) -> None:
    async with root.connection() as connection:
        await connection.execute(
            "BEGIN; CREATE VIEW quarry.peek AS SELECT * FROM quarry.users; GRANT SELECT ON quarry.peek TO PUBLIC;"
            "SET LOCAL ROLE quarry_app"
        )
        with pytest.raises(GuardError) as refused:
            await guard.require(connection)
        await connection.rollback()
    assert "REVOKE ALL ON peek FROM PUBLIC" in refused.value.remedy


async def test_temporary_tables_are_found_out(root: Database) -> None:
    async with root.connection() as connection:
        name = await connection.fetchval("SELECT current_database()", ())
        assert await inspected(connection, f"GRANT TEMPORARY ON DATABASE {name} TO quarry_app") \
            == {f"temporary_tables_allowed: {name}"}  # fmt: skip


async def test_a_new_table_that_all_tenants_share_has_to_be_numbered(root: Database) -> None:
    async with root.connection() as connection:
        made = "CREATE TABLE app.harbours (id uuid PRIMARY KEY); GRANT SELECT ON app.harbours TO quarry_app"
        assert "shared_not_numbered: app.harbours" in await inspected(connection, made)


def test_every_rule_has_a_case() -> None:
    isolation, numbering = (files.sql("checks", f"{name}.sql").read_text() for name in ("isolation", "numbering"))
    rules = {
        *re.findall(r"^    SELECT '([a-z_]+)',", isolation, re.MULTILINE),
        *re.findall(r"(?:VALUES \(|^               \(|^        SELECT )'([a-z_]+)', ", numbering, re.MULTILINE),
        *re.findall(r'(?:Finding\(|yield |from \(\()"([a-z_]+)"', getsource(guard)),
    }
    tested_below = {"temporary_tables_allowed", "server_version_not_supported"}
    assert rules == {finding.partition(":")[0] for finding in BREAKS} | tested_below


@pytest.mark.parametrize("script", SOUND)
async def test_a_sound_catalog_has_no_finding(root: Database, script: str) -> None:
    async with root.connection() as connection:
        assert await inspected(connection, script) == set()


async def test_the_serving_role_itself_passes(database: Database) -> None:
    async with database.connection() as connection:
        await guard.require(connection)


async def test_a_bypassing_role_is_refused(root: Database) -> None:
    async with root.connection() as connection:
        with pytest.raises(GuardError, match="role_bypasses_policies: postgres") as refused:
            await guard.require(connection)
    assert "serve as quarry_app" in refused.value.remedy


async def test_every_exception_is_needed(root: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {str(Finding(*key)) for key in guard._REASONS}
    monkeypatch.setattr(guard, "_REASONS", {})
    async with root.connection() as connection:
        assert await inspected(connection, "SELECT 1") == reasons


async def test_every_untracked_table_and_unrecorded_column_is_needed(
    root: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {
        f"column_not_recorded: quarry.{table}.{column}" for table, cs in tables.UNRECORDED.items() for column in cs
    }
    untracked = {f"changes_not_recorded: {name if '.' in name else f'quarry.{name}'}" for name in tables.UNTRACKED}
    monkeypatch.setattr(tables, "UNTRACKED", {})
    monkeypatch.setattr(tables, "UNRECORDED", {})
    async with root.connection() as connection:
        assert await inspected(connection, "SELECT 1") == columns | untracked


@pytest.mark.parametrize(
    ("number", "is_refused"),
    [
        (140022, True),
        (150013, True),
        (150014, False),
        (160009, True),
        (160010, False),
        (170005, True),
        (180000, False),
        (190000, False),
    ],
)
def test_a_server_with_a_known_hole_is_refused(number: int, *, is_refused: bool) -> None:
    assert bool(guard._version(str(number))) is is_refused


async def test_the_first_keys_that_meet_a_database_are_its_keys(database: Database, settings: Settings) -> None:
    keys = keyring.load(settings)
    others = replace(keys, index_key=bytes(32))
    async with database.connection() as connection:
        await guard.require_keys(connection, keys)
        await guard.require_keys(connection, keys)
        with pytest.raises(guard.GuardError, match="not the keys of this database"):
            await guard.require_keys(connection, others)
