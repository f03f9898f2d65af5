"""Creates the new database that a backup is restored into. Then renames it, so that it replaces the present database."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import asyncpg

from service.addresses import Address
from service.backups.contents import maintenance
from service.database import single
from service.errors import OperatorError
from service.schema import provisioning

Purpose = Literal["restoring", "verifying", "before"]

_LOCKS = {"restoring": 7_301_915_204_413, "verifying": 7_301_915_204_414}
"""For each purpose, the key of the advisory lock that a run holds: an arbitrary number that nothing else uses."""
_LONGEST_NAME = 63
_PAUSE = 0.05
_DONE = {"restoring": "restored", "verifying": "verified"}
_ROLES = ("quarry_app", "quarry_platform", "quarry_owner")
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY ($1) AND pid <> pg_backend_pid()"


def beside(database: str, purpose: Purpose, at: datetime) -> str:
    """The name `<database>_<purpose>_<time>`. If this is longer than PostgreSQL allows, the part `<database>` is shortened."""
    return f"{_prefix(database, purpose)}{at:%Y%m%d_%H%M%S}"


async def unused(address: Address, database: str) -> str:
    """A new name for the database that is to be replaced: `<database>_before_<time>`, with a time that makes it unique."""
    async with maintenance(address) as connection:
        taken = {name for (name,) in await connection.fetch("SELECT datname FROM pg_database")}
    at = datetime.now(UTC)
    while (name := beside(database, "before", at)) in taken:
        at += timedelta(seconds=1)
    return name


def _prefix(database: str, purpose: Purpose) -> str:
    room = _LONGEST_NAME - len(f"_{purpose}_00000000_000000")
    return f"{database.encode()[:room].decode(errors='ignore')}_{purpose}_"


@contextlib.asynccontextmanager
async def scratch(address: Address, database: str, purpose: Literal["restoring", "verifying"]) -> AsyncIterator[str]:
    """A new, empty database; the value is its name, `<database>_<purpose>_<time>`. Unless it was renamed, it is dropped after the
    block.

    A lock makes sure that only one such block for each purpose runs on a server at a time. So if there are older databases
    with such a name, killed runs have left them, and they are dropped first. Raises OperatorError if the lock is held.
    """
    async with maintenance(address) as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCKS[purpose]):
            raise OperatorError(f"another backup is being {_DONE[purpose]} on this server", "wait for it to end")
        pattern = f"^{re.escape(_prefix(database, purpose))}[0-9]{{8}}_[0-9]{{6}}$"
        for (left,) in await connection.fetch("SELECT datname FROM pg_database"):
            if re.match(pattern, left):
                await provisioning.drop_database(address, left)
        name = beside(database, purpose, datetime.now(UTC))
        await provisioning.create_database(address, name)
        try:
            yield name
        finally:
            await provisioning.drop_database(address, name)


async def swap(address: Address, made: str, target: str, kept: str) -> bool:
    """Rename the database `target` to `kept`, and the database `made` to `target`, in one transaction.

    Connections to both databases are ended; new connections to `target` wait. Returns False if there was no database `target`.
    Raises OperatorError if this login may not end some of the connections.
    """
    async with maintenance(address) as connection, maintenance(address) as ending:
        renaming = asyncio.create_task(_rename(connection, made, target, kept))
        try:
            while not renaming.done():
                await _end(ending, [made, target])
                await asyncio.wait({renaming}, timeout=_PAUSE)
            return await renaming
        except asyncpg.ObjectInUseError as error:
            raise OperatorError(
                f"somebody else's connections keep {target} from being renamed: {error.args[0]}",
                "stop whatever uses it, or set DATABASE_MIGRATION_URL to a login that may end connections: a superuser's",
            ) from error
        finally:
            renaming.cancel()
            await asyncio.wait({renaming})


async def _rename(connection: Any, made: str, target: str, kept: str) -> bool:
    async with connection.transaction():
        has_target = await provisioning.has_database(connection, target)
        if has_target:
            # This makes new connections to `target` wait. The server waits up to five seconds for the end of existing ones.
            await connection.execute(f"ALTER DATABASE {single.quoted(target)} RENAME TO {single.quoted(kept)}")
        await connection.execute(f"ALTER DATABASE {single.quoted(made)} RENAME TO {single.quoted(target)}")
        return has_target


async def _end(connection: Any, databases: list[str]) -> None:
    if await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = session_user"):
        await connection.execute(_END, databases)
        return
    for role in _ROLES:
        # This login is not a superuser, but may end the sessions of a role after SET ROLE. So switch to each role in turn.
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"SET ROLE {role}")
            await connection.execute(f"{_END} AND usename = current_user", databases)
