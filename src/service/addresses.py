"""The classes Address (of a database) and PoolLimits (of a connection pool), and functions that check addresses."""

from __future__ import annotations

import re
import ssl as tls
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit, urlunsplit

_UNENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})|[\x00-\x20\x7f]")
_PARAMETERS = frozenset({
    "host", "port", "user", "password", "dbname", "options", "application_name",
    "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword",
})  # fmt: skip
_LEAVE_OUT = "leave it out"
_INSTEAD = {
    "channel_binding": "leave it out; DATABASE_SSL verifies the server",
    "connect_timeout": "set DATABASE_CONNECT_TIMEOUT",
    "target_session_attrs": "leave it out; what is a replica is found out, and named in DATABASE_REPLICA_URLS",
    "gssencmode": "leave it out; Kerberos is not used",
    "keepalives": "leave it out; the system's keepalives are used",
    "statement_timeout": "set DATABASE_STATEMENT_TIMEOUT",
    "search_path": "set DATABASE_SCHEMA",
    "schema": "set DATABASE_SCHEMA",
}
_ENVIRONMENT = {
    **dict.fromkeys(("PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE"), "name the server in the address"),
    **dict.fromkeys(
        ("PGSSLMODE", "PGREQUIRESSL", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGSSLNEGOTIATION", "PGCHANNELBINDING"),
        "use DATABASE_SSL and DATABASE_SSL_CA, or sslmode in the address",
    ),
    **dict.fromkeys(("PGREQUIREAUTH", "PGGSSENCMODE", "PGLOADBALANCEHOSTS", "PGTARGETSESSIONATTRS"), _LEAVE_OUT),
    "PGCONNECT_TIMEOUT": "set DATABASE_CONNECT_TIMEOUT",
    "PGOPTIONS": "use options in the address",
    **dict.fromkeys(("PGCLIENTENCODING", "PGDATESTYLE", "PGTZ", "PGGEQO"), "the service sets what it needs"),
}
"""Keys: environment variables that libpq reads, and asyncpg ignores or reads differently. Values: what to do instead."""
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True)
class Address:
    """The URL of a database, and how to connect to it. A new connection switches to `role`; with None it keeps the login's role.

    `ssl` contains the TLS settings for asyncpg. `libpq` contains the same settings as libpq parameters, for psycopg and for
    programs such as pg_dump.
    """

    url: str = field(repr=False)
    role: str | None = None
    ssl: tls.SSLContext | bool | None = field(default=None, repr=False)
    libpq: Mapping[str, str] = field(default_factory=dict, repr=False)
    connect_timeout: float = 10.0
    """After how many seconds an attempt to connect fails."""

    @property
    def database(self) -> str:
        """The name of the database."""
        return unquote(urlsplit(self.url).path.lstrip("/"))

    def aimed(self, database: str) -> Address:
        """The address of the database `database` on the same server, with the same login and role."""
        return replace(self, url=urlunsplit(urlsplit(self.url)._replace(path=f"/{quote(database, safe='')}")))

    def as_login(self, user: str, password: str) -> Address:
        """The address of the same database for the login `user` with `password`. The connection does not switch to a role."""
        parts = urlsplit(self.url)
        place = parts.netloc.rpartition("@")[2]
        return replace(
            self, url=urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password)}@{place}")), role=None
        )

    def asyncpg_options(self, **constants: str) -> dict[str, Any]:
        """The arguments of asyncpg.connect() besides the URL.

        They contain the TLS settings, and the PostgreSQL settings with which the session begins: `constants` and the role.
        """
        settings = constants if self.role is None else {**constants, "role": self.role}
        # If `ssl` is None it is left out, so that asyncpg reads sslmode from the URL.
        return {"server_settings": settings} | ({} if self.ssl is None else {"ssl": self.ssl})


@dataclass(frozen=True)
class PoolLimits:
    """The least and the largest number of connections in a pool, the attempts to connect at first, and timeouts in seconds."""

    minimum: int = 1
    maximum: int = 5
    idle_timeout: float = 30.0
    acquire_timeout: float = 20.0
    connect_timeout: float = 10.0
    connect_attempts: int = 3
    query_timeout: float = 30.0
    statement_timeout: float = 30.0
    lock_timeout: float = 5.0
    idle_in_transaction_timeout: float = 60.0

    def timeouts(self) -> tuple[tuple[str, str], ...]:
        """The timeouts that the server enforces, as pairs: the name of a PostgreSQL setting, and its value in milliseconds."""
        timeouts = {
            "statement_timeout": self.statement_timeout,
            "lock_timeout": self.lock_timeout,
            "idle_in_transaction_session_timeout": self.idle_in_transaction_timeout,
        }
        return tuple((name, str(int(seconds * 1000))) for name, seconds in timeouts.items())


def check_url(url: str) -> None:
    """Raise ValueError unless `url` is the address of one PostgreSQL database. The message does not contain the password.

    If no error is raised, asyncpg, libpq and yoyo all interpret the address in the same way.
    """
    try:
        parts = urlsplit(url)
        readable = parts.port != 0 and not parts.fragment
    except ValueError:
        readable = False
    # Unencoded special characters and a second @ are refused: asyncpg, libpq and yoyo would interpret them differently, and
    # their error messages might contain a part of the password.
    readable = readable and not _UNENCODED.search(url) and url.count("@") == parts.netloc.count("@") <= 1
    if not readable or parts.scheme not in ("postgresql", "postgres"):
        raise ValueError(
            "give it as postgresql://user:password@host:5432/database, special characters of user and password"
            " %-encoded: @ is %40, : is %3A, / is %2F, ? is %3F, # is %23, % is %25, a blank is %20"
        )
    given = parse_qs(parts.query, keep_blank_values=True)
    if "," in parts.netloc.rpartition("@")[2] or "," in given.get("host", [""])[0]:
        raise ValueError("name one host; a proxy or a DNS name may stand for several")
    if not parts.path.strip("/"):
        raise ValueError("no database is named: end the address with /quarry")
    for name in given:
        if name not in _PARAMETERS:
            raise ValueError(f"the parameter {name[:40]} is not supported here: {_INSTEAD.get(name, _LEAVE_OUT)}")
        if len(given[name]) > 1 or name in _named_before(parts):
            raise ValueError(f"the parameter {name} is given twice; name it once")
    mode = given.get("sslmode", ["prefer"])[0]
    if mode not in _SSL_MODES:
        raise ValueError(f"sslmode is one of {', '.join(_SSL_MODES)}")


def check_environment(environ: Mapping[str, str]) -> None:
    """Raise ValueError if `environ` contains a variable that libpq and asyncpg do not read in the same way.

    With such a variable, migrations (libpq) would connect in another way than the service (asyncpg). PGHOST, PGPORT, PGUSER,
    PGPASSWORD and PGPASSFILE are allowed: both libraries take the parts that the address lacks from these variables.
    """
    for name, instead in _ENVIRONMENT.items():
        if environ.get(name):
            raise ValueError(f"{name} is set, which not all programs here read alike: unset it; {instead}")


def _named_before(parts: SplitResult) -> frozenset[str]:
    """The connection parameters (host, user and so on) that the URL contains before its `?`.

    If the URL contains such a parameter after the `?` too, some programs use the first value and others use the second.
    """
    found = {
        "host": parts.hostname, "port": parts.port, "user": parts.username, "password": parts.password,
        "dbname": parts.path.strip("/"),
    }  # fmt: skip
    return frozenset(name for name, value in found.items() if value)


def is_safe_on_the_way(url: str, *, has_verified_tls: bool) -> bool:
    """Whether nobody on the network can read a connection to `url`: the server is on this machine, or TLS is verified.

    `has_verified_tls` says that the settings require a verified certificate. The sslmode in the URL may require it too.
    """
    parts = urlsplit(url)
    given = parse_qs(parts.query)
    host = parts.hostname or given.get("host", [""])[0]
    if host in ("", "localhost") or host.startswith("/"):
        return True
    try:
        if ip_address(host).is_loopback:
            return True
    except ValueError:
        pass
    return has_verified_tls or given.get("sslmode", [""])[0] in ("verify-ca", "verify-full")


def masked_url(url: str) -> str:
    """`url` with *** in place of its passwords: the one before the host and those after the `?`. A malformed `url` too."""
    head, separator, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    if at:
        # In a malformed URL, the text before the first colon may be a part of the password. So it is shown as the user name only
        # if it has no special characters.
        user = login.partition(":")[0]
        shown = user if re.fullmatch(r"[^/?&=#@]*", user) else ""
        login = f"{shown}:***" if ":" in login or shown != user else user
    return re.sub(
        r"([?&][^=&]*pass[^=&]*=)[^&]*", r"\1***", f"{head}{separator}{login}{at}{place}", flags=re.IGNORECASE
    )
