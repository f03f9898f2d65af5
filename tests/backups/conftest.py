"""Backups of this test's own database, in a directory of its own, and a server of another major."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from conftest import MAJOR
from service.backups import restoring, taking
from service.backups.directory import Backup, Directory
from service.backups.restoring import Restored
from service.checks.runs import samples
from service.cli.installation import embedded_settings, provisioned
from service.embedded.binaries import find_binaries
from service.embedded.errors import EmbeddedError
from service.embedded.server import running
from service.schema import migrations
from service.settings.settings import Settings

A, B = UUID(int=0xA), UUID(int=0xB)
ROWS = """
SELECT format('%I.%I', n.nspname, c.relname) AS name,
       format('SELECT md5(string_agg(r, chr(10) ORDER BY r))'
              ' FROM (SELECT (to_jsonb(t) - ''xid'')::text FROM %I.%I AS t) AS s (r)', n.nspname, c.relname) AS digest
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname IN ('app', 'quarry') AND c.relname <> 'installation' ORDER BY 1
"""
"""A statement for each table that digests its rows, but for what another life gives them."""


def places() -> list[Path]:
    """Where the programs of every major are that this machine has."""
    found = []
    for major in range(15, 19):
        with suppress(EmbeddedError):
            found.append(find_binaries(major))
    return found


@dataclass
class Desk:
    """Takes and restores backups, and remembers what was said."""

    directory: Directory
    settings: Settings
    said: list[str] = field(default_factory=list)

    async def take(self, **options: Any) -> Backup:
        return await taking.take(self.settings, self.directory, places(), self.said.append, **options)

    async def verify(self, backup: Backup, *, unsigned: bool = False) -> None:
        await restoring.verify(self.settings, backup, places(), self.said.append, unsigned=unsigned)

    async def restore(self, backup: Backup, into: str | None = None) -> Restored:
        target = await restoring.examine(self.settings, backup, into)
        return await restoring.restore(self.settings, backup, target, places(), self.said.append)

    async def ask(self, statement: str, *values: object, database: str | None = None) -> Any:
        """One value, as the superuser."""
        address = self.settings.administration()
        connection = await asyncpg.connect((address.aimed(database) if database else address).url)
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    async def fill(self) -> None:
        """Give two tenants rows in every table."""
        connection = await asyncpg.connect(self.settings.administration().url)
        try:
            await samples.fill(connection, "quarry", [A, B], 40)
        finally:
            await connection.close()

    async def digests(self, database: str | None = None) -> dict[str, str | None]:
        """By table a digest of its rows."""
        address = self.settings.administration()
        connection = await asyncpg.connect((address.aimed(database) if database else address).url)
        try:
            return {name: await connection.fetchval(digest) for name, digest in await connection.fetch(ROWS)}
        finally:
            await connection.close()

    @property
    def name(self) -> str:
        """The database's."""
        return urlsplit(self.settings.administration().url).path[1:]

    async def besides(self) -> list[str]:
        """The databases that were made beside it."""
        names = await self.ask("SELECT coalesce(array_agg(datname::text ORDER BY datname), '{}') FROM pg_database")
        return [name for name in names if re.match(f"{re.escape(self.name)}_(before|restoring|verifying|copy)", name)]


@pytest.fixture
async def desk(settings: Settings, superuser: Any, tmp_path: Path) -> AsyncIterator[Desk]:
    """Whatever it makes beside the test's database is dropped."""
    superuser.close()  # it would be ended anyway
    desk = Desk(Directory(tmp_path / "backups"), settings)
    yield desk
    for name in await desk.besides():
        connection = await asyncpg.connect(settings.administration().aimed("postgres").url)
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await connection.close()


@pytest.fixture
async def filled(desk: Desk) -> Desk:
    """With two tenants that have rows in every table."""
    await desk.fill()
    return desk


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Settings]:
    """A migrated database on a server of another major: 16, or 18 where that is the one that is tested."""
    directory = Path(tempfile.mkdtemp(prefix="quarry-tests-"))
    directory.chmod(0o711)
    bare = Settings(
        _env_file=None,  # type: ignore[call-arg]
        environment="test",
        pii_keys=SecretStr(f"row-test:{'A' * 43}="),
        pii_index_key=SecretStr(f"{'B' * 42}A="),
    )
    try:
        with running(
            directory, major=16 if MAJOR == 18 else 18, options={"fsync": "off"}, say=lambda _: None
        ) as server:
            settings = embedded_settings(bare, server)
            asyncio.run(provisioned(settings, server))
            migrations.up(settings.address("quarry_owner"), settings.database_schema, lambda _: None)
            yield settings
    finally:
        shutil.rmtree(directory, ignore_errors=True)
