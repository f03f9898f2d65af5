"""Where to connect and how many connections to keep."""

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
"""Variables of libpq that asyncpg does not read, or reads in another way."""
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True)
class Address:
    """Where and as whom to connect. `role` is set when the connection starts; None keeps the login's own role.

    `ssl` holds the TLS settings for asyncpg; `libpq` holds them as libpq parameters, for psycopg and PostgreSQL's programs.
    """

    url: str = field(repr=False)
    role: str | None = None
    ssl: tls.SSLContext | bool | None = field(default=None, repr=False)
    libpq: Mapping[str, str] = field(default_factory=dict, repr=False)
    connect_timeout: float = 10.0
    """Seconds until an attempt to connect is given up."""

    @property
    def database(self) -> str:
        """The name of the database."""
        return unquote(urlsplit(self.url).path.lstrip("/"))

    def aimed(self, database: str) -> Address:
        """This address with another database on the same server, with the same login."""
        return replace(self, url=urlunsplit(urlsplit(self.url)._replace(path=f"/{quote(database, safe='')}")))

    def as_login(self, user: str, password: str) -> Address:
        """This address with another login to the same server and database, without a role."""
        parts = urlsplit(self.url)
        place = parts.netloc.rpartition("@")[2]
        return replace(
            self, url=urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password)}@{place}")), role=None
        )

    def asyncpg_options(self, **constants: str) -> dict[str, Any]:
        """The options for asyncpg besides the URL: TLS, and the server settings (`constants` and the role)."""
        settings = constants if self.role is None else {**constants, "role": self.role}
        # asyncpg reads sslmode from the URL only when `ssl` is left out altogether.
        return {"server_settings": settings} | ({} if self.ssl is None else {"ssl": self.ssl})


@dataclass(frozen=True)
class PoolLimits:
    """Sizes in connections, times in seconds."""

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
        """The timeouts that the server enforces: names of PostgreSQL's settings, with values in milliseconds."""
        timeouts = {
            "statement_timeout": self.statement_timeout,
            "lock_timeout": self.lock_timeout,
            "idle_in_transaction_session_timeout": self.idle_in_transaction_timeout,
        }
        return tuple((name, str(int(seconds * 1000))) for name, seconds in timeouts.items())


def check_url(url: str) -> None:
    """Raise ValueError, which does not repeat a password, unless `url` names one PostgreSQL database.

    If an address passes, all that read it here (asyncpg, libpq and yoyo) understand it in the same way.
    """
    try:
        parts = urlsplit(url)
        readable = parts.port != 0 and not parts.fragment
    except ValueError:
        readable = False
    # Parsers differ over unencoded characters and a second @, and an error message of theirs would quote the password.
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
    """Raise ValueError for a variable that libpq and asyncpg do not read alike: migrations would connect in another way.

    PGHOST, PGPORT, PGUSER, PGPASSWORD and PGPASSFILE are allowed: both use them alike for what the address leaves out.
    """
    for name, instead in _ENVIRONMENT.items():
        if environ.get(name):
            raise ValueError(f"{name} is set, which not all programs here read alike: unset it; {instead}")


def _named_before(parts: SplitResult) -> frozenset[str]:
    """The parameters that the address gives before its `?`. If one is given there too, programs differ in which they use."""
    found = {
        "host": parts.hostname, "port": parts.port, "user": parts.username, "password": parts.password,
        "dbname": parts.path.strip("/"),
    }  # fmt: skip
    return frozenset(name for name, value in found.items() if value)


def is_safe_on_the_way(url: str, *, has_verified_tls: bool) -> bool:
    """Whether nobody on the network can read or change what goes to `url`: it stays on this machine, or TLS is verified."""
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
    """The address with its passwords masked, before the host and in the query, even if the address is malformed."""
    head, separator, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    if at:
        # A password may contain any character. So a user name with special characters is hidden too: it may be part of one.
        user = login.partition(":")[0]
        shown = user if re.fullmatch(r"[^/?&=#@]*", user) else ""
        login = f"{shown}:***" if ":" in login or shown != user else user
    return re.sub(
        r"([?&][^=&]*pass[^=&]*=)[^&]*", r"\1***", f"{head}{separator}{login}{at}{place}", flags=re.IGNORECASE
    )
