"""What a connection is like, and what to do when there is none: the report behind `quarry db test`."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import asyncpg

from service.addresses import Address, masked_url
from service.errors import OperatorError
from service.provisioning import connect

_BY_STATE: Mapping[str, tuple[str, str]] = {
    "28P01": ("the server refuses the password", "correct the password in the URL, or set it with ALTER ROLE"),
    "28000": ("the server refuses this login", "check the user in the URL and the server's pg_hba.conf"),
    "3D000": ("the database does not exist", "run `quarry db create`"),
    "53300": (
        "there are too many connections",
        "lower DATABASE_POOL_MAX, raise max_connections or the role's CONNECTION LIMIT, or put a pooler in between",
    ),
    "08P01": (
        "a pooler in between refuses a start-up parameter",
        "log in as the role itself and let the pooler ignore them; migrations go round it: set DATABASE_MIGRATION_URL",
    ),
    "57P03": ("the server is starting up or shutting down", "try again in a moment"),
}
_VARIABLES: Mapping[str | None, str] = {
    "quarry_owner": "DATABASE_MIGRATION_URL",
    "quarry_platform": "DATABASE_PLATFORM_URL",
    "quarry_backup": "DATABASE_BACKUP_URL",
}


@dataclass(frozen=True)
class Report:
    """What a connection is like; times in milliseconds."""

    server: str
    version: str
    database: str
    login: str
    role: str
    login_is_superuser: bool
    tls: str
    connect_ms: float
    latency_ms: float
    has_pooler: bool
    connections: int
    max_connections: int


async def examine(address: Address) -> Report:
    """Connect and look around. Raises OperatorError with a remedy for what commonly goes wrong."""
    started = perf_counter()
    connection = await _reach(address)
    try:
        connected = perf_counter()
        await connection.execute("SELECT 1")
        answered = perf_counter()
        row = await connection.fetchrow(
            "SELECT current_setting('server_version') AS version, current_database() AS database,"
            " session_user AS login, current_user AS role, pg_backend_pid() AS pid,"
            " (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) AS login_is_superuser,"
            " coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl), 'none') AS tls,"
            # pg_stat_activity hides from an ordinary role which backends are other clients'.
            " (SELECT sum(numbackends)::int FROM pg_stat_database) AS connections,"
            " current_setting('max_connections')::int AS max_connections"
        )
        return Report(
            server=masked_url(address.url), version=row["version"], database=row["database"], login=row["login"],
            role=row["role"], login_is_superuser=row["login_is_superuser"], tls=row["tls"],
            connect_ms=round((connected - started) * 1000, 2), latency_ms=round((answered - connected) * 1000, 2),
            has_pooler=row["pid"] != connection.get_server_pid(), connections=row["connections"],
            max_connections=row["max_connections"],
        )  # fmt: skip
    finally:
        await connection.close()


async def require(address: Address) -> None:
    """Connect and leave again. Raises OperatorError with a remedy for what commonly goes wrong."""
    await (await _reach(address)).close()


async def _reach(address: Address) -> Any:
    try:
        return await connect(address)
    except Exception as error:
        raise explained(error, address) from error


def explained(error: BaseException, address: Address) -> OperatorError:
    """A failed connection in the operator's words, with what to do."""
    server = masked_url(address.url)
    causes = _chain(error)
    for cause in causes:
        if isinstance(cause, asyncpg.PostgresError):
            text = str(cause)
            if "no encryption" in text or "SSL off" in text:
                return OperatorError(
                    f"{server}: the server wants TLS", "set DATABASE_SSL=true, or add ?sslmode=require"
                )
            if cause.sqlstate in ("42501", "22023"):
                return OperatorError(f"{server}: {_refused(text, address)}", _remedy(address))
            if (known := _BY_STATE.get(cause.sqlstate or "")) is not None:
                return OperatorError(f"{server}: {known[0]}", known[1])
            return OperatorError(f"{server}: {text.splitlines()[0]}", "see the server's log")
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return OperatorError(f"{server}: its certificate can't be verified", "give its CA in DATABASE_SSL_CA")
    if any(isinstance(cause, ConnectionError) and "SSL upgrade" in str(cause) for cause in causes):
        return OperatorError(
            f"{server}: the server has no TLS", "leave DATABASE_SSL and ?sslmode out, or enable ssl on the server"
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return OperatorError(f"{server}: nobody listens there", "start PostgreSQL, or correct host and port")
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return OperatorError(
            f"{server}: no answer in time", "check the address, firewalls, and DATABASE_CONNECT_TIMEOUT"
        )
    return OperatorError(f"{server}: can't be reached: {str(causes[-1]).partition(chr(10))[0]}", "check the address")


def _refused(text: str, address: Address) -> str:
    if "for database" in text:
        return "this login may not connect to the database"
    if "does not exist" in text:
        return f"the role {address.role} does not exist"
    return f"this login may not become {address.role}"


def _remedy(address: Address) -> str:
    variable = _VARIABLES.get(address.role, "DATABASE_URL")
    return f"run `quarry db roles` and `quarry db create`, or log in as the role itself: set {variable}"


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what caused it, outermost first."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found
