"""Finds out whether a pooler (PgBouncer in transaction mode) is between service and server, and what settings sessions then have.

Behind a pooler every transaction may run in another session, without the settings, prepared statements and LISTEN of the
previous transaction. Code that needs the same session for all its statements calls `is_between` first, and raises an error if it
returns true.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from service.errors import OperatorError

_NECESSARY = ("search_path", "timezone")
_VARIABLES: Mapping[str | None, str] = {
    "quarry_owner": "DATABASE_MIGRATION_URL",
    "quarry_platform": "DATABASE_PLATFORM_URL",
    "quarry_backup": "DATABASE_BACKUP_URL",
}


async def is_between(connection: Any) -> bool:
    """Whether `connection` leads through a pooler: the pid of the backend differs from the pid that was sent at connecting.

    The connection must have been opened with `statement_cache_size=0`: named prepared statements may fail behind a pooler.
    """
    return bool(connection.get_server_pid() != await connection.fetchval("SELECT pg_backend_pid()"))


async def keeps_statements(connection: Any) -> bool:
    """Whether the pooler at the other end of `connection` makes a prepared statement usable in every session.

    PgBouncer does so from version 1.21 on, if max_prepared_statements is set. Then it gives prepared statements other names on
    the server. This function prepares a statement and checks whether its name on the server is another one.
    """
    name = f"quarry_{secrets.token_hex(8)}"
    text = f"SELECT '{name}'"
    async with connection.transaction():
        # The variable keeps the statement open during the query: asyncpg closes a statement that no object refers to.
        statement = await connection.prepare(text, name=name)
        found = await connection.fetchval(
            "SELECT name FROM pg_catalog.pg_prepared_statements WHERE statement = $1", text
        )
        if found == name:
            await connection.execute(f"DEALLOCATE {name}")
    del statement
    return found not in (None, name)


async def differing(connection: Any, constants: Mapping[str, str]) -> dict[str, str]:
    """Compare the settings of the session with `constants`. Returns those that differ: their names, and the session's values."""
    rows = await connection.fetch(
        "SELECT lower(name) AS name, setting FROM pg_catalog.pg_settings WHERE lower(name) = ANY ($1::text[])",
        list(constants),
    )
    found = {row["name"]: row["setting"] for row in rows}
    return {name: found[name] for name, value in constants.items() if _plain(found[name]) != _plain(value)}


def require_constants(differing: Mapping[str, str]) -> None:
    """Raise OperatorError if search_path or timezone is in `differing` (see above): the service's SQL depends on their values."""
    wrong = [f"{name} is {differing[name] or 'empty'}" for name in _NECESSARY if name in differing]
    if wrong:
        raise OperatorError(
            f"behind a pooler the role's own settings count, and {', '.join(wrong)}",
            "run `quarry db create` by DATABASE_MIGRATION_URL, then RECONNECT in the pooler's console",
        )


def variable(role: str | None) -> str:
    """The name of the setting that contains the address for connections as `role`."""
    return _VARIABLES.get(role, "DATABASE_URL")


def remedy(role: str | None) -> str:
    """What the operator can do if the login can't switch to `role` because a pooler is in between."""
    if role == "quarry_owner":
        return "migrations need one session throughout: set DATABASE_MIGRATION_URL to an address that goes round the pooler"
    return f"log in as {role} itself, or go round the pooler: set {variable(role)}"


def _plain(value: str) -> str:
    return value.replace('"', "").replace(" ", "").lower()
