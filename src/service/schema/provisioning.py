"""Creates roles, databases and schemas, which have to exist before the first migration. The SQL is in `sql/setup/`.

Every function may be called repeatedly, and by several processes at once. By an advisory lock, the processes take turns.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg

from service import files
from service.addresses import Address, PoolLimits
from service.database import pooler
from service.database.single import connect, quoted
from service.database.translation import translate
from service.errors import OperatorError, ServiceError

_LOCK = 7_301_915_204_412
"""The key of the advisory lock of set-up: an arbitrary number that is used for nothing else."""
_MAINTENANCE = ("postgres", "template1")
"""Databases to connect to while Quarry's own may not exist. The second one is used if the login can't connect to the first."""
_REMEDY = "use a superuser or CREATEROLE login in DATABASE_MIGRATION_URL, or give `quarry db roles --print` to a DBA"
_ROUND = "set DATABASE_MIGRATION_URL to an address that goes round it"


async def create_roles(address: Address, limits: PoolLimits | None = None) -> list[str]:
    """Create Quarry's roles if they are missing, correct their attributes, and set their time-outs to those of `limits`.

    Returns a message for each change that the login was not allowed to make. Raises OperatorError if it may not create roles.
    """
    async with _session(*_maintenance(address)) as connection:
        return await _run(connection, roles_sql(limits))


async def prepare_database(address: Address, schema: str = "quarry") -> list[str]:
    """Create the schemas and set the privileges in the database of `address`.

    Returns a message for each change that the login was not allowed to make.
    """
    async with _session(address) as connection:
        await connection.execute("SELECT set_config('quarry.schema', $1, false)", schema)
        notes = await _run(connection, _setup("database"))
        await connection.execute(f"SET ROLE quarry_owner;{_setup('schema')}")
        return notes


async def prepare_schema(address: Address, name: str) -> None:
    """Create the schema `name` for tenant tables, and set its privileges. The role of `address` has to be quarry_owner."""
    async with _session(address) as connection:
        await connection.execute("SELECT set_config('quarry.schema', $1, false)", name)
        await connection.execute(_setup("schema"))


async def create_database(address: Address, name: str) -> bool:
    """Create the database `name` on the server of `address`; returns False if it exists already."""
    remedy = "use a login with CREATEDB in DATABASE_MIGRATION_URL, or let a DBA create it"
    async with _session(*_maintenance(address), remedy=remedy) as connection:
        if await has_database(connection, name):
            return False
        try:
            # The template is template0, because template1 may have another encoding, and can't be copied while a session uses it.
            await connection.execute(f"CREATE DATABASE {quoted(name)} TEMPLATE template0 ENCODING 'UTF8'")
        except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            return False
        return True


async def drop_database(address: Address, name: str) -> bool:
    """End all sessions in the database `name`, and drop it; returns False if it does not exist."""
    remedy = "use its owner's login in DATABASE_MIGRATION_URL"
    async with _session(*_maintenance(address), remedy=remedy) as connection:
        if not await has_database(connection, name):
            return False
        await connection.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")
        return True


async def drop_schemas(address: Address, names: Sequence[str]) -> None:
    """Drop these schemas and all that they contain. A schema that does not exist is no error."""
    async with _session(address) as connection:
        await connection.execute(f"DROP SCHEMA IF EXISTS {', '.join(map(quoted, names))} CASCADE")


async def set_password(address: Address, role: str, password: str) -> None:
    """Set the password with which `role` logs in."""
    async with _session(*_maintenance(address)) as connection:
        # ALTER ROLE accepts no parameters. So the server is asked for the text of the statement, with the password quoted.
        text = await connection.fetchval(
            "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)", role, password
        )
        await connection.execute(text)


def roles_sql(limits: PoolLimits | None = None) -> str:
    """The SQL that creates the roles and sets their time-outs to those of `limits`. A DBA can also run this SQL by hand."""
    text = _setup("roles")
    return "".join(f"SET quarry.{name} = '{value}';\n" for name, value in (limits or PoolLimits()).timeouts()) + text


def _setup(name: str) -> str:
    return files.sql("setup", f"{name}.sql").read_text(encoding="utf-8")


@contextlib.asynccontextmanager
async def _session(*addresses: Address, remedy: str = _REMEDY) -> AsyncIterator[Any]:
    """A connection that holds the lock of set-up, to the first of `addresses` whose database exists and accepts the login.

    Errors of PostgreSQL in the block are raised as OperatorErrors, and a lost connection as Unavailable.
    """
    connection = await _first(addresses)
    try:
        if await pooler.is_between(connection):
            raise OperatorError("set-up needs one session throughout, and a pooler is in between", _ROUND)
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        yield connection
    except asyncpg.InsufficientPrivilegeError as error:
        raise OperatorError(f"this login may not do that: {error.args[0]}", remedy) from error
    except asyncpg.PostgresError as error:
        raise OperatorError(f"the server refuses: {error.args[0]}", error.hint or "see the server's log") from error
    except (asyncpg.InterfaceError, OSError) as error:
        raise translate(error, connection_lost=True) from error
    finally:
        await connection.close()


async def _run(connection: Any, text: str) -> list[str]:
    """Run the SQL script `text`; returns the messages of the warnings (RAISE WARNING) that it caused."""
    notes: list[str] = []
    connection.add_log_listener(lambda _, note: notes.append(note.message) if note.severity_en == "WARNING" else None)
    await connection.execute(text)
    return notes


async def _first(addresses: Sequence[Address]) -> Any:
    for address in addresses[:-1]:
        try:
            return await connect(address)
        except ServiceError as error:
            if not isinstance(error.__cause__, asyncpg.InvalidCatalogNameError | asyncpg.InsufficientPrivilegeError):
                raise
    return await connect(addresses[-1])


def _maintenance(address: Address) -> list[Address]:
    return [address.aimed(name) for name in _MAINTENANCE]


async def has_database(connection: Any, name: str) -> bool:
    """Whether the server has a database of that name."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name))
