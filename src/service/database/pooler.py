"""What is different behind a pooler (PgBouncer in transaction mode), and how it is found out.

Every transaction may be another session there: what a connection has been told, prepared or listens to is not what the
next transaction finds. Whoever needs one session throughout asks `is_between` first and refuses.
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
    """Whether a pooler stands between: the process that answers is not the one that was connected to.

    The connection has to be one that gives its statements no names (`statement_cache_size=0`).
    """
    return bool(connection.get_server_pid() != await connection.fetchval("SELECT pg_backend_pid()"))


async def keeps_statements(connection: Any) -> bool:
    """Whether the pooler at the other end of `connection` carries prepared statements from session to session.

    One that does (PgBouncer 1.21 with max_prepared_statements) gives them names of its own.
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
    """Which of `constants` differ in a new session of this login, with the values that they have there."""
    rows = await connection.fetch(
        "SELECT lower(name) AS name, setting FROM pg_catalog.pg_settings WHERE lower(name) = ANY ($1::text[])",
        list(constants),
    )
    found = {row["name"]: row["setting"] for row in rows}
    return {name: found[name] for name, value in constants.items() if _plain(found[name]) != _plain(value)}


def require_constants(differing: Mapping[str, str]) -> None:
    """Raise OperatorError if what `differing` has found would make statements mean something else."""
    wrong = [f"{name} is {differing[name] or 'empty'}" for name in _NECESSARY if name in differing]
    if wrong:
        raise OperatorError(
            f"behind a pooler the role's own settings count, and {', '.join(wrong)}",
            "run `quarry db create` by DATABASE_MIGRATION_URL, then RECONNECT in the pooler's console",
        )


def variable(role: str | None) -> str:
    """The setting that names the login for `role`."""
    return _VARIABLES.get(role, "DATABASE_URL")


def remedy(role: str | None) -> str:
    """What to do where a login can't become `role` behind a pooler."""
    if role == "quarry_owner":
        return "migrations need one session throughout: set DATABASE_MIGRATION_URL to an address that goes round the pooler"
    return f"log in as {role} itself, or go round the pooler: set {variable(role)}"


def _plain(value: str) -> str:
    return value.replace('"', "").replace(" ", "").lower()
