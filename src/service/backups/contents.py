"""Reads the facts of a database that a manifest records: tables, numbers of rows, migrations and epoch. Opens connections for it.

The facts are read when a backup is taken and after a restore, as a role that bypasses row-level security.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg

from service.addresses import Address
from service.backups.manifests import Table
from service.database import single
from service.database.diagnosis import explaining
from service.errors import DatabaseError, OperatorError

_TABLES = """
SELECT c.oid::regclass::text
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r'
   AND n.nspname !~ '^pg_'
   AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT
                     FROM pg_catalog.pg_depend AS d
                    WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid
                      AND d.deptype = 'e')
 ORDER BY 1
"""


@contextlib.asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Any]:
    """A connection without time-outs. Errors of the server inside the block are raised as OperatorError, with a remedy.

    The search path contains no schema with tables of the service, so PostgreSQL writes all their names with the schema.
    """
    with explaining(address):
        connection = await single.connect(address)
    try:
        await connection.execute(
            "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET search_path = pg_catalog"
        )
        yield connection
    except asyncpg.InsufficientPrivilegeError as error:
        raise OperatorError(
            f"this login may not do that: {error.args[0]}", "run `quarry db roles` and `quarry db create`, or ask a DBA"
        ) from error
    except asyncpg.LockNotAvailableError as error:
        raise OperatorError(
            f"a table is locked: {error.args[0]}", "a migration may be running: run it again when that is over"
        ) from error
    except asyncpg.PostgresError as error:
        raise OperatorError(f"the server refuses: {error.args[0]}", error.hint or "see the server's log") from error
    except (asyncpg.InterfaceError, OSError) as error:
        raise OperatorError("the connection to the server was lost", "run it again when the server is there") from error
    finally:
        # Close with a time-out, so that a statement that is still running does not delay this for long.
        with contextlib.suppress(OSError, TimeoutError):
            await connection.close(timeout=5)


@contextlib.asynccontextmanager
async def maintenance(address: Address) -> AsyncIterator[Any]:
    """A connection to the server of `address`, but to the database `postgres` or `template1`.

    A restore needs it, because a database can't be renamed or dropped over a connection to itself.
    """
    name = "postgres"
    try:
        await (await single.connect(address.aimed(name))).close()
    except DatabaseError:
        # If there is no database `postgres`, or this login may not use it, use `template1`, which every server normally has.
        name = "template1"
    async with connected(address.aimed(name)) as connection:
        yield connection


async def tables(connection: Any) -> list[str]:
    """The names of all ordinary tables, except for tables of extensions. Each name has its schema and is quoted for SQL."""
    return [name for (name,) in await connection.fetch(_TABLES)]


async def counted(connection: Any, names: Sequence[str]) -> tuple[Table, ...]:
    """Count the rows of each table in `names`.

    If a transaction is open, each table is locked as pg_dump locks it, until the transaction ends. Counting a table also locks
    its indexes. These locks are released after each count, by rolling back to a savepoint, because the locks of all indexes
    together could fill the server's lock table.
    """
    found = []
    for name in names:
        if connection.is_in_transaction():
            await connection.execute(f"LOCK TABLE ONLY {name} IN ACCESS SHARE MODE")
        counting = connection.transaction()
        await counting.start()
        try:
            found.append(Table(name=name, rows=await connection.fetchval(f"SELECT count(*) FROM ONLY {name}")))
        finally:
            await counting.rollback()
    return tuple(found)


async def migrations(connection: Any, schema: str) -> tuple[str, ...]:
    """The ids of the migrations that are applied to the schema `schema`. Raises OperatorError if it was never migrated."""
    try:
        rows = await connection.fetch(f"SELECT migration_id FROM {single.quoted(schema)}._yoyo_migration ORDER BY 1")
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise OperatorError(
            f"there is nothing of Quarry in the schema {schema}", "run `quarry migrate up`, or see DATABASE_SCHEMA"
        ) from error
    return tuple(id for (id,) in rows)


async def epoch(connection: Any) -> int:
    """The epoch that the database stores. (A database gets a higher epoch when it is restored, promoted or copied.)"""
    return int(await connection.fetchval("SELECT epoch FROM app.installation"))
