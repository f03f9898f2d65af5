"""Restores a backup into a new database, and verifies the new database before it replaces the present one."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile

from service.addresses import Address, PoolLimits
from service.backups import contents, encryption, manifests, swapping, tools
from service.backups.contents import connected
from service.backups.directory import Backup
from service.backups.manifests import BackupError, Manifest, Table
from service.backups.tools import Tool
from service.database import single
from service.database.database import Database
from service.database.diagnosis import explaining
from service.errors import OperatorError
from service.personal import keyring
from service.schema import migration_files, provisioning
from service.settings.settings import Settings
from service.tenancy import guard
from service.texts import Say

_LONGEST_NAME = 63
_NOT_OURS = re.compile(r"^\d+; \d+ \d+ (ACL|COMMENT) - (SCHEMA public|EXTENSION) ", re.MULTILINE)
_STRANGE = re.compile(
    r"^\d+; \d+ \d+ (EVENT TRIGGER|PROCEDURAL LANGUAGE|FOREIGN DATA WRAPPER|FOREIGN SERVER|SERVER|USER MAPPING|PUBLICATION|"
    r"SUBSCRIPTION|TRANSFORM|CAST|ACCESS METHOD|OPERATOR|AGGREGATE|BLOB|LARGE OBJECT|FOREIGN TABLE)\b",
    re.MULTILINE,
)
"""Matches objects in a dump's list of contents that are of a kind that Quarry never creates."""
_UNKNOWN_SETTING = re.compile(r"\btransaction_timeout\b")
"""Matches an error message that is ignored. pg_restore 17 and newer sets `transaction_timeout` on every server, but servers
older than 17 do not know this setting.

Only the setting's name is matched, because the rest of the server's message can be in another language.
"""


@dataclass(frozen=True)
class Target:
    """Where to restore to. `address` connects as an administrator; a restore replaces the database `database`.

    `major` is the server's major version. `is_superuser` says whether the login of `address` is a superuser.
    """

    address: Address
    database: str
    major: int
    is_superuser: bool


@dataclass(frozen=True)
class Restored:
    """The result of a restore: the name of the restored database, and its epoch.

    `kept` is the new name of the database that was replaced; None if there was none.
    """

    database: str
    epoch: int
    kept: str | None


async def examine(settings: Settings, backup: Backup, into: str | None = None, *, unsigned: bool = False) -> Target:
    """Check that a backup can be restored on this server, and return the target. Changes nothing. Raises OperatorError.

    The dump has to match its manifest. Unless `unsigned` is true, the manifest has to be signed with the present keys. This
    version of Quarry has to know its migrations, the setting DATABASE_SCHEMA has to name its schema, and the server must not be
    older than the one that the backup was taken from.
    """
    if into is not None and not 0 < len(into.encode()) <= _LONGEST_NAME:
        raise OperatorError(f"'{into}' is not a valid database name", f"give one of 1 to {_LONGEST_NAME} bytes")
    await asyncio.to_thread(backup.check)
    manifest = backup.manifest
    if not unsigned:
        manifest.check_signature(keyring.at_hand(settings))
    unknown = sorted(set(manifest.migrations) - migration_files.known())
    if unknown:
        raise BackupError(
            f"{manifest.name} was made with migrations that this Quarry does not have: {', '.join(unknown)}",
            f"restore it with the Quarry that took it: {manifest.quarry}",
        )
    if manifest.schema_name != settings.database_schema:
        raise BackupError(
            f"{manifest.name} has its tables in the schema {manifest.schema_name}",
            f"set DATABASE_SCHEMA={manifest.schema_name}",
        )
    address = settings.administration()
    async with contents.maintenance(address) as connection:
        row = await connection.fetchrow("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        version = connection.get_server_version().major
    if manifests.major(manifest.server) > version:
        raise OperatorError(
            f"{manifest.name} is of PostgreSQL {manifest.server}, and this server is PostgreSQL {version}",
            f"restore into PostgreSQL {manifests.major(manifest.server)} or newer",
        )
    return Target(address, into or address.database, version, row["rolsuper"])


async def verify(
    settings: Settings, backup: Backup, places: Iterable[Path], say: Say, *, unsigned: bool = False
) -> None:
    """Restore a backup into a temporary database, verify the contents of this database, and drop it. Raises OperatorError."""
    target = await examine(settings, backup, unsigned=unsigned)
    async with swapping.scratch(target.address, target.database, "verifying") as name:
        await _fill(settings, target, name, backup, places=places, say=say)


async def restore(settings: Settings, backup: Backup, target: Target, places: Iterable[Path], say: Say) -> Restored:
    """Restore a backup into a new database, verify this database, and give it the name of the target database.

    The target database is kept under a new name. If this raises OperatorError, the target database is unchanged.
    """
    async with swapping.scratch(target.address, target.database, "restoring") as name:
        await _fill(settings, target, name, backup, places=places, say=say)
        say("a new epoch begins")
        former = await _epoch(target, say)
        epoch = await _enter(target, name, backup.manifest.tables, former)
        kept = await swapping.unused(target.address, target.database)
        say(f"{name} takes the place of {target.database}")
        had_one = await swapping.swap(target.address, name, target.database, kept)
    return Restored(target.database, epoch, kept if had_one else None)


async def _fill(
    settings: Settings, target: Target, name: str, backup: Backup, *, places: Iterable[Path], say: Say
) -> None:
    """Restore a backup into the empty database `name`, and verify the contents of the database."""
    manifest, made = backup.manifest, target.address.aimed(name)
    at_least = manifests.major(manifest.tool)
    tool = await tools.find("pg_restore", at_least, target.major, places)
    for note in await provisioning.create_roles(target.address, settings.limits):
        say(note)
    async with contextlib.AsyncExitStack() as stack:
        async with connected(made) as connection:
            await connection.execute(f"GRANT CREATE ON DATABASE {single.quoted(name)} TO quarry_owner")
        arguments = [f"--dbname={_conninfo(name)}"]
        if target.is_superuser:
            made = await stack.enter_async_context(_as_nobody_else(made))
        # Restore as quarry_owner. Otherwise the login would own the restored objects, and might not be allowed to give them to
        # quarry_owner.
        made = replace(made, role="quarry_owner")
        listed = stack.enter_context(NamedTemporaryFile("w", suffix=".list"))  # noqa: SIM115  the stack closes it
        dump = stack.enter_context(encryption.readable(backup.path, keyring.at_hand(settings)))
        listed.write(await _selected(tool, manifest, dump))
        listed.flush()
        arguments.append(f"--use-list={listed.name}")
        tolerated = None
        if tool.major >= 17 > target.major:
            tolerated = _UNKNOWN_SETTING
        else:
            # With one job, objects are created in the order of the dump: foreign keys before the policies of row-level security.
            # If policies came first, they would hide rows from the owner, and the check of a new foreign key would fail.
            arguments += ["--exit-on-error", "--jobs=1"]
        await tools.run(tool, [*arguments, str(dump)], made, say, tolerated=tolerated)
    await provisioning.prepare_database(target.address.aimed(name), manifest.schema_name)
    await _prove(settings, target, name, manifest, say)


@contextlib.asynccontextmanager
async def _as_nobody_else(address: Address) -> AsyncIterator[Address]:
    """The address with a temporary login that has no rights but those of quarry_owner. The login is dropped after the block.

    A restore executes the SQL in the dump. If the login were a superuser, this SQL could run programs on the server (COPY … TO
    PROGRAM). SET ROLE would not prevent this, because the SQL could contain RESET ROLE.
    """
    name, password = f"quarry_restoring_{secrets.token_hex(4)}", secrets.token_hex(16)
    async with connected(address) as connection:
        for (left,) in await connection.fetch(
            "SELECT rolname FROM pg_roles WHERE rolname ~ '^quarry_restoring_[0-9a-f]{8}$'"
        ):
            await connection.execute(f"DROP ROLE {left}")
        await connection.execute(
            f"CREATE ROLE {name} LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{password}' IN ROLE quarry_owner;"
            f"GRANT CONNECT ON DATABASE {single.quoted(address.database)} TO {name}"
        )
        try:
            yield address.as_login(name, password)
        finally:
            await connection.execute(
                f"REVOKE ALL ON DATABASE {single.quoted(address.database)} FROM {name}; DROP ROLE {name}"
            )


async def _selected(tool: Tool, manifest: Manifest, dump: Path) -> str:
    """The dump's list of contents for pg_restore's option --use-list. Entries that quarry_owner may not restore are left out.

    Raises BackupError if the list contains an object of a kind that Quarry never creates.
    """
    process = await asyncio.create_subprocess_exec(tool.path, "--list", dump, stdout=asyncio.subprocess.PIPE)
    listed, _ = await process.communicate()
    if strange := _STRANGE.findall(listed.decode()):
        raise BackupError(
            f"{manifest.name} has what no Quarry makes: {', '.join(sorted(set(strange)))}", "it is not restored"
        )
    return "\n".join(line for line in listed.decode().splitlines() if not _NOT_OURS.match(line)) + "\n"


async def _prove(settings: Settings, target: Target, name: str, manifest: Manifest, say: Say) -> None:
    """Compare the restored database `name` with the manifest. Unless it lacks migrations, also run the guard (tenancy/guard.py).

    Raises BackupError if the database differs from the manifest, and GuardError if it does not isolate the tenants.
    """
    reader = replace(target.address, role="quarry_backup") if target.is_superuser else settings.address("quarry_backup")
    async with connected(reader.aimed(name)) as connection:
        say("counting")
        found = {
            table.name: table.rows for table in await contents.counted(connection, await contents.tables(connection))
        }
        applied = await contents.migrations(connection, manifest.schema_name)
    expected = {table.name: table.rows for table in manifest.tables}
    wrong = [
        f"{table}: {expected.get(table, 'no table')} in the manifest, {found.get(table, 'no table')} restored"
        for table in sorted(expected.keys() | found.keys())
        if expected.get(table) != found.get(table)
    ]
    if applied != manifest.migrations:
        wrong.append("the migrations differ")
    if wrong:
        raise BackupError(
            f"{manifest.name} does not restore to what was backed up: {'; '.join(wrong)}", "take another backup"
        )
    pending = migration_files.known() - set(applied)
    if pending:
        say(
            f"the backup is of an older schema; next: quarry migrate up ({len(pending)} pending), which looks at the catalog"
        )
        return
    await _guard(replace(target.address.aimed(name), role="quarry_app"), manifest)


async def _guard(address: Address, manifest: Manifest) -> None:
    limits = PoolLimits(minimum=1, maximum=1, connect_attempts=1)
    with explaining(address):
        async with (
            Database.open(address, limits, schema=manifest.schema_name, name="quarry backup") as database,
            database.connection() as connection,
        ):
            await guard.require(connection)


async def _epoch(target: Target, say: Say) -> int:
    """The epoch of the target database; 0 if this database does not exist, or if its epoch can't be read."""
    async with contents.maintenance(target.address) as connection:
        if not await provisioning.has_database(connection, target.database):
            return 0
    try:
        async with connected(replace(target.address.aimed(target.database), role="quarry_owner")) as connection:
            if await connection.fetchval("SELECT to_regclass('app.installation') IS NULL"):
                return 0
            return await contents.epoch(connection)
    except OperatorError as error:
        # Go on: perhaps the database is restored because it is damaged.
        say(f"the epoch of {target.database} can't be read: {error.message}\n  → run `quarry changes reset` afterwards")
        return 0


async def _enter(target: Target, name: str, tables: Sequence[Table], former: int) -> int:
    """Begin a new epoch in the restored database `name`, then vacuum and analyze its tables. Returns the epoch.

    The new epoch is higher than `former`, the epoch of the database that will be replaced.
    """
    async with connected(replace(target.address.aimed(name), role="quarry_owner")) as connection:
        epoch: int = await connection.fetchval("SELECT app.enter_life()")
        while epoch <= former:
            # The database that will be replaced may have had several epochs since the backup, for example if it was itself
            # restored from this backup. The new epoch must be higher than all of these.
            epoch = await connection.fetchval("SELECT app.raise_epoch()")
        if tables:
            await connection.execute(f"VACUUM (ANALYZE) {', '.join(table.name for table in tables)}")
        return epoch


def _conninfo(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"
