"""Runs the guard in the transaction of the last pending migration, so that it is not committed if a rule is broken.

This is done for the schema that tenants share, not for tenants' own schemas. If the last migration runs outside a transaction,
the guard runs after its statements. If a rule is then broken, the migration is not recorded as applied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import psycopg
from psycopg.rows import dict_row

from service.database.connection import Connection
from service.tenancy import guard

_SERVING = "quarry_app"


class _Record(dict[str, Any]):
    """A row with the behaviour of an asyncpg Record: an index is the name of a column, and iteration yields the values."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())


class _Asked:
    """The methods of Connection that the guard calls. They run their statements on a synchronous connection of psycopg."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    async def fetch(self, text: str, _: object) -> list[_Record]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return [_Record(row) for row in cursor.execute(text).fetchall()]

    async def fetchval(self, text: str, _: object) -> Any:
        row = self._connection.execute(text).fetchone()
        return None if row is None else row[0]


def findings(connection: psycopg.Connection[Any]) -> set[str] | None:
    """Run the guard in the transaction that is open on `connection`, and return its findings. The transaction stays open.

    None if a statement of the guard fails: the login may not SET ROLE to the serving role, or the database has no tables yet.
    """
    connection.execute("SAVEPOINT guard")
    try:
        connection.execute(f"SET LOCAL ROLE {_SERVING}")
        return {str(each) for each in asyncio.run(guard.inspect(cast("Connection", _Asked(connection))))}
    except psycopg.Error:
        return None
    finally:
        connection.execute("ROLLBACK TO guard")
        connection.execute("RELEASE guard")
