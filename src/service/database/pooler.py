"""Finds out whether a pooler (PgBouncer in transaction mode) is in between, and which settings sessions have behind it.

Behind a pooler every transaction may run in another session, without the settings, prepared statements and LISTEN of the
previous transaction. Code that needs one session throughout calls `is_between` first, and refuses to go on behind a pooler.
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
    """Whether a pooler is in between: the pid of the backend that answers is not the one reported when connecting.

    The connection must send its statements unnamed (`statement_cache_size=0`).
    """
    return bool(connection.get_server_pid() != await connection.fetchval("SELECT pg_backend_pid()"))


async def keeps_statements(connection: Any) -> bool:
    """Whether the pooler at the other end of `connection` makes a prepared statement usable in every session.

    PgBouncer does so from version 1.21 on, with max_prepared_statements. It gives the statements other names, which is how it
    is recognised here.
    """
    name = f"quarry_{secrets.token_hex(8)}"
    text = f"SELECT '{name}'"
    async with connection.transaction():
        # Keep a reference during the lookup: asyncpg closes a statement that nothing refers to.
        statement = await connection.prepare(text, name=name)
        found = await connection.fetchval(
            "SELECT name FROM pg_catalog.pg_prepared_statements WHERE statement = $1", text
        )
        if found == name:
            await connection.execute(f"DEALLOCATE {name}")
    del statement
    return found not in (None, name)


async def differing(connection: Any, constants: Mapping[str, str]) -> dict[str, str]:
    """The settings whose values in the connection's session differ from those in `constants`, with the session's values."""
    rows = await connection.fetch(
        "SELECT lower(name) AS name, setting FROM pg_catalog.pg_settings WHERE lower(name) = ANY ($1::text[])",
        list(constants),
    )
    found = {row["name"]: row["setting"] for row in rows}
    return {name: found[name] for name, value in constants.items() if _plain(found[name]) != _plain(value)}


def require_constants(differing: Mapping[str, str]) -> None:
    """Raise OperatorError if search_path or timezone is among `differing`: it changes the meaning of statements."""
    wrong = [f"{name} is {differing[name] or 'empty'}" for name in _NECESSARY if name in differing]
    if wrong:
        raise OperatorError(
            f"behind a pooler the role's own settings count, and {', '.join(wrong)}",
            "run `quarry db create` by DATABASE_MIGRATION_URL, then RECONNECT in the pooler's console",
        )


def variable(role: str | None) -> str:
    """The name of the setting that holds the address for `role`."""
    return _VARIABLES.get(role, "DATABASE_URL")


def remedy(role: str | None) -> str:
    """What the operator can do if the login can't switch to `role` because a pooler is in between."""
    if role == "quarry_owner":
        return "migrations need one session throughout: set DATABASE_MIGRATION_URL to an address that goes round the pooler"
    return f"log in as {role} itself, or go round the pooler: set {variable(role)}"


def _plain(value: str) -> str:
    return value.replace('"', "").replace(" ", "").lower()
