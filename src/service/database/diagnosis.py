"""Connects to a database and describes the connection, or explains why connecting failed and what the operator can do."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import asyncpg

from service.addresses import Address, PoolLimits, masked_url
from service.database import pooler
from service.database.database import Database
from service.database.single import connect
from service.errors import DatabaseError, OperatorError

_BY_STATE: Mapping[str, tuple[str, str]] = {
    "28P01": (
        "the server refuses the password",
        "correct the password in the URL, or set it with ALTER ROLE; a client certificate is made out to the login's name",
    ),
    "28000": (
        "the server refuses this login",
        "check the user in the URL and the server's pg_hba.conf, which may want TLS (DATABASE_SSL) or a client certificate",
    ),
    "3D000": ("the database does not exist", "run `quarry db create`"),
    "53300": (
        "there are too many connections",
        "lower DATABASE_POOL_MAX, raise max_connections or the role's CONNECTION LIMIT, or put a pooler in between",
    ),
    "08003": (
        "it ends the connection at once",
        "see the server's log; with DATABASE_SSL_CERT it may not know the authority of that certificate",
    ),
    "57P03": ("the server is starting up or shutting down", "try again in a moment"),
}
_CERTIFICATE = (
    "the server wants a client certificate of its authority, made out to this login",
    "set DATABASE_SSL_CERT and DATABASE_SSL_KEY",
)
_OTHER_HOST = (62, 64)
"""OpenSSL's codes for a certificate of another host: X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_BY_CERTIFICATE: Mapping[int, tuple[str, str]] = {
    9: ("its certificate is not valid yet", "set the clocks of server and client right"),
    10: ("its certificate has expired", "have it renewed"),
    85: (
        "its certificate has no Authority Key Identifier",
        "have it reissued with that extension, as RFC 5280 asks for",
    ),
    86: (
        "its certificate has no Subject Key Identifier",
        "have it reissued with that extension, as RFC 5280 asks for",
    ),
}
"""Keys: OpenSSL's codes for faults of a certificate (X509_V_ERR_…). Values: the cause and the remedy for the operator."""
_MANY = ("the pooler has too many clients", "raise its max_client_conn, or lower DATABASE_POOL_MAX")
_STRANGER = ("the pooler refuses this login or its password", "name both in the pooler's auth_file, or correct the URL")
_BY_POOLER: Mapping[str, tuple[str, str]] = {
    "no such database": ("the pooler knows no such database", "name it in its [databases], or correct the URL"),
    "no such user": _STRANGER,
    "SASL authentication": _STRANGER,
    "max_client_conn": _MANY,
    "no more connections": _MANY,
    "query_wait_timeout": ("the pooler had no session free in time", "raise its default_pool_size"),
    "SSL required": ("the pooler wants TLS", "set DATABASE_SSL=true, or add ?sslmode=require"),
    "authentication failed for": ("the server refuses the pooler's login", "correct the password in its auth_file"),
    "server login": ("the server refuses the pooler's login", "see the pooler's log"),
}
"""Keys: parts of PgBouncer's error messages. Values: cause and remedy. The text is needed, because all errors of PgBouncer
have the same SQLSTATE (08P01)."""


@dataclass(frozen=True)
class ConnectionReport:
    """Facts about a connection, its server and its settings. Fields whose names end in `_ms` are in milliseconds."""

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
    is_replica: bool
    connections: int
    max_connections: int
    statement_timeout: str
    lock_timeout: str
    idle_in_transaction_timeout: str


async def examine(address: Address) -> ConnectionReport:
    """Connect to `address` and report about the connection. Raises OperatorError with a remedy if no connection can be opened."""
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
            " pg_is_in_recovery() AS is_replica,"
            " coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl), 'none') AS tls,"
            # Not counted in pg_stat_activity, which hides from ordinary roles which backends serve clients.
            " (SELECT sum(numbackends)::int FROM pg_stat_database) AS connections,"
            " current_setting('max_connections')::int AS max_connections,"
            " current_setting('statement_timeout') AS statement_timeout, current_setting('lock_timeout') AS lock_timeout,"
            " current_setting('idle_in_transaction_session_timeout') AS idle_in_transaction_timeout"
        )
        has_pooler = row["pid"] != connection.get_server_pid()
        if has_pooler and address.role not in (None, row["role"]):
            raise OperatorError(f"behind a pooler this login can't become {address.role}", pooler.remedy(address.role))
        return ConnectionReport(
            server=masked_url(address.url), version=row["version"], database=row["database"], login=row["login"],
            role=row["role"], login_is_superuser=row["login_is_superuser"], tls=row["tls"],
            connect_ms=round((connected - started) * 1000, 2), latency_ms=round((answered - connected) * 1000, 2),
            has_pooler=has_pooler, is_replica=row["is_replica"],
            connections=row["connections"], max_connections=row["max_connections"],
            statement_timeout=row["statement_timeout"], lock_timeout=row["lock_timeout"],
            idle_in_transaction_timeout=row["idle_in_transaction_timeout"],
        )  # fmt: skip
    finally:
        await connection.close()


async def state_of_replica(address: Address) -> str:
    """One line about the replica at `address`: how fast it answers, or why the service can't read from it."""
    try:
        report = await examine(address)
    except OperatorError as error:
        return f"{error.message}: {error.remedy}"
    if not report.is_replica:
        return f"{report.server} is no replica, so nobody reads from it"
    return f"{report.server} in {report.latency_ms} ms"


async def why_deaf(address: Address) -> str | None:
    """Why LISTEN can't be used at `address`; None if it can. Without LISTEN, the service finds new commits only by polling."""
    try:
        await require(address)
    except OperatorError as error:
        return error.message
    return None


async def require(address: Address) -> None:
    """Raise OperatorError, with a remedy, if no connection to `address` can be opened, or if it leads through a pooler.

    Behind a pooler, the statements of one connection may run in different sessions of the server.
    """
    connection = await _reach(address)
    try:
        if await pooler.is_between(connection):
            raise OperatorError(f"{masked_url(address.url)}: a pooler is in between", pooler.remedy(address.role))
    finally:
        await connection.close()


async def _reach(address: Address) -> Any:
    try:
        return await connect(address)
    except Exception as error:
        raise explained(error, address) from error


@contextlib.contextmanager
def explaining(address: Address) -> Iterator[None]:
    """Raise a DatabaseError of the block as an OperatorError, which explains why connecting to `address` failed."""
    try:
        yield
    except DatabaseError as error:
        raise explained(error, address) from error


@contextlib.asynccontextmanager
async def open_explained(address: Address, limits: PoolLimits, **options: Any) -> AsyncIterator[Database]:
    """Like Database.open, but raises OperatorError with a remedy if no connection can be opened."""
    async with contextlib.AsyncExitStack() as stack:
        with explaining(address):
            opened = await stack.enter_async_context(Database.open(address, limits, **options))
        yield opened


def explained(error: BaseException, address: Address) -> OperatorError:
    """The OperatorError for a failed attempt to connect to `address`: the cause of `error`, and what the operator can do."""
    server = masked_url(address.url)
    causes = _chain(error)
    for cause in causes:
        if isinstance(cause, asyncpg.PostgresError):
            text = str(cause)
            if "no encryption" in text or "SSL off" in text:
                return OperatorError(
                    f"{server}: the server wants TLS", "set DATABASE_SSL=true, or add ?sslmode=require"
                )
            if "client certificate" in text or "certificate authentication" in text:
                return OperatorError(f"{server}: {_CERTIFICATE[0]}", _CERTIFICATE[1])
            if cause.sqlstate == "08P01":
                return _of_pooler(text, address)
            if cause.sqlstate in ("42501", "22023"):
                return OperatorError(f"{server}: {_refused(text, address)}", _remedy(address))
            if (known := _BY_STATE.get(cause.sqlstate or "")) is not None:
                return OperatorError(f"{server}: {known[0]}", known[1])
            return OperatorError(f"{server}: {text.splitlines()[0]}", "see the server's log")
    refused = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if refused is not None and refused.verify_code in _OTHER_HOST:
        return OperatorError(
            f"{server}: its certificate is for another host", "connect by the name that is in it, or have it reissued"
        )
    if refused is not None and (known := _BY_CERTIFICATE.get(refused.verify_code)) is not None:
        return OperatorError(f"{server}: {known[0]}", known[1])
    if refused is not None:
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


def _of_pooler(text: str, address: Address) -> OperatorError:
    server = masked_url(address.url)
    if "startup parameter" in text:
        what = (
            f"behind a pooler this login can't become {address.role}" if address.role else f"the pooler refuses: {text}"
        )
        return OperatorError(f"{server}: {what}", pooler.remedy(address.role))
    for part, (what, remedy) in _BY_POOLER.items():
        if part in text:
            return OperatorError(f"{server}: {what}", remedy)
    return OperatorError(f"{server}: {text.splitlines()[0]}", "see the log of the pooler")


def _refused(text: str, address: Address) -> str:
    if "for database" in text:
        return "this login may not connect to the database"
    if "does not exist" in text:
        return f"the role {address.role} does not exist"
    return f"this login may not become {address.role}"


def _remedy(address: Address) -> str:
    variable = pooler.variable(address.role)
    return f"run `quarry db roles` and `quarry db create`, or log in as the role itself: set {variable}"


def _chain(error: BaseException) -> list[BaseException]:
    """`error`, the exception that caused it (`__cause__` or `__context__`), the exception that caused that one, and so on."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ or current.__context__
    return found
