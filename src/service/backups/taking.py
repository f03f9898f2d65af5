"""Takes a backup: runs pg_dump, and counts the rows of each table in the same snapshot, so that the counts match the dump."""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.addresses import Address
from service.backups import contents, encryption, tools
from service.backups.directory import Backup, Directory
from service.backups.manifests import Manifest, Table
from service.backups.tools import Tool
from service.errors import OperatorError
from service.personal import keyring
from service.settings.settings import Settings
from service.texts import Say

_COMPRESSION = re.compile(r"none|[0-9]|(gzip|lz4|zstd)(:[a-z0-9=,]+)?")


def check_compression(text: str | None) -> None:
    """Raise OperatorError if `text` does not have the form of a value for pg_dump's option --compress. None is accepted."""
    if text is not None and not _COMPRESSION.fullmatch(text):
        raise OperatorError(f"'{text}' is no compression", "give 0 to 9, or gzip:6, lz4, zstd:3, none")


async def take(
    settings: Settings, directory: Directory, places: Iterable[Path], say: Say,
    compress: str | None = None, *, encrypt: bool = False,
) -> Backup:  # fmt: skip
    """Write a backup of the database to `directory`. With `encrypt`, the dump is encrypted with the first key in PII_KEYS.

    The connection uses DATABASE_BACKUP_URL. `places` are further directories with pg_dump. If this raises OperatorError, no
    backup was written.
    """
    check_compression(compress)
    keys = keyring.at_hand(settings)
    if encrypt and keys is None:
        raise OperatorError(
            "a backup is encrypted with a key of personal data, and none is here", "set PII_KEYS and PII_INDEX_KEY"
        )
    address = settings.address("quarry_backup")
    async with contents.connected(address) as connection:
        await _require_bypass(connection)
        version = connection.get_server_version().major
        tool = await tools.find("pg_dump", version, version, places)
        database = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"SET lock_timeout = {int(settings.database_lock_timeout * 1000)}")
        with directory.drafting(database) as draft:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
                taken_at = datetime.now(UTC)
                migrations = await contents.migrations(connection, settings.database_schema)
                epoch = await contents.epoch(connection)
                server = await connection.fetchval("SHOW server_version")
                arguments = [
                    "--format=custom", "--no-blobs", f"--file={draft.path}", f"--snapshot={snapshot}",
                    f"--lock-wait-timeout={int(settings.database_lock_timeout * 1000)}",
                    *([f"--compress={compress}"] if compress else []),
                ]  # fmt: skip
                tables = await _dumped(connection, tool, arguments, address, say)
            if encrypt and keys is not None:
                await asyncio.to_thread(encryption.encrypt, draft.path, keys)
            size, sha256 = await asyncio.to_thread(draft.digest)
            manifest = Manifest(
                name=directory.free_name(database, taken_at), database=database, schema_name=settings.database_schema,
                taken_at=taken_at, quarry=importlib.metadata.version("quarry"), server=server, tool=tool.version,
                epoch=epoch, migrations=migrations, tables=tables, size=size, sha256=sha256,
            )  # fmt: skip
            if keys is None:
                say(
                    "the keys of personal data are not here, so the backup is not signed: verify and restore want --unsigned"
                )
            return draft.publish(manifest.signed(keys))


async def _require_bypass(connection: Any) -> None:
    row = await connection.fetchrow(
        "SELECT rolname, rolsuper OR rolbypassrls AS passes FROM pg_roles WHERE rolname = current_user"
    )
    if not row["passes"]:
        raise OperatorError(
            f"{row['rolname']} may not pass row-level security, so it can't read what a backup has to hold",
            "set DATABASE_BACKUP_URL to a login as quarry_backup; a superuser gives it BYPASSRLS: `quarry db roles`",
        )


async def _dumped(connection: Any, tool: Tool, arguments: list[str], address: Address, say: Say) -> tuple[Table, ...]:
    """Run pg_dump and, concurrently, count the rows of all tables. If one of the two fails, the other one is cancelled."""
    names = await contents.tables(connection)
    if names:
        # Lock all tables first. Otherwise a migration could change a table before pg_dump locks that table.
        await connection.execute(f"LOCK TABLE ONLY {', ONLY '.join(names)} IN ACCESS SHARE MODE")
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tools.run(tool, arguments, address, say))
            counting = tasks.create_task(contents.counted(connection, names))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return counting.result()
