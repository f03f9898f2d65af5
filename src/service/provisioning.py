"""Roles, databases and schemas: what must exist before the first migration. The SQL is in `sql/setup/`."""

from __future__ import annotations

from typing import Any

import asyncpg

from service import files
from service.addresses import Address
from service.errors import OperatorError
from service.translation import translate


async def create_roles(address: Address) -> None:
    """Create the cluster's roles where they are missing. Raises OperatorError when the login may not."""
    await _run(address, roles_sql())


async def prepare_database(address: Address) -> None:
    """Create the schemas and set the privileges of the database in `address`. Safe to repeat."""
    await _run(address, files.sql("setup", "database.sql").read_text(encoding="utf-8"))


async def create_database(address: Address, name: str) -> bool:
    """Create the database `name` on the server of `address`; False when it is there already."""
    connection = await connect(address)
    try:
        if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            return False
        await connection.execute(f"CREATE DATABASE {_quoted(name)}")
        return True
    except asyncpg.DuplicateDatabaseError:
        return False
    except asyncpg.InsufficientPrivilegeError as error:
        raise OperatorError(
            f"this login may not create the database {name}", "use a login with CREATEDB in DATABASE_MIGRATION_URL"
        ) from error
    finally:
        await connection.close()


async def drop_database(address: Address, name: str) -> bool:
    """Drop the database `name`, ending whoever is connected to it; False when it is not there."""
    connection = await connect(address)
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            return False
        await connection.execute(f"DROP DATABASE {_quoted(name)} WITH (FORCE)")
        return True
    finally:
        await connection.close()


async def drop_schemas(address: Address, schema: str) -> None:
    """Drop everything that migrations have made."""
    connection = await connect(address)
    try:
        await connection.execute(f"DROP SCHEMA IF EXISTS {_quoted(schema)}, app CASCADE")
    finally:
        await connection.close()


async def set_password(address: Address, role: str, password: str) -> None:
    """Let `role` log in with `password`."""
    connection = await connect(address)
    try:
        # ALTER ROLE takes no parameters; the server quotes the literal.
        text = await connection.fetchval(
            "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)", role, password
        )
        await connection.execute(text)
    finally:
        await connection.close()


def roles_sql() -> str:
    """The SQL that creates the roles, for a DBA who runs it by hand."""
    return files.sql("setup", "roles.sql").read_text(encoding="utf-8")


async def connect(address: Address) -> Any:
    """A single connection for set-up. Raises the service's errors."""
    settings = {} if address.role is None else {"role": address.role}
    extra: dict[str, Any] = {} if address.ssl is None else {"ssl": address.ssl}
    try:
        return await asyncpg.connect(
            address.url, timeout=10, server_settings={"application_name": "quarry", **settings}, **extra
        )
    except Exception as error:
        raise translate(error, connection_lost=True) from error


async def _run(address: Address, script: str) -> None:
    connection = await connect(address)
    try:
        await connection.execute(script)
    except asyncpg.InsufficientPrivilegeError as error:
        raise OperatorError(
            f"this login may not set the server up: {error.args[0]}",
            "use a superuser or CREATEROLE login in DATABASE_MIGRATION_URL, or give `quarry db roles --print` to a DBA",
        ) from error
    finally:
        await connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
