"""Where to connect and how many connections to keep."""

from __future__ import annotations

import re
import ssl as tls
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True)
class Address:
    """Where and as whom to connect. `role` is taken at connection start when the login is another one.

    `ssl` is TLS for asyncpg and `libpq` the same in libpq's words, for psycopg and the programs of PostgreSQL.
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
        """The same server and login, another database."""
        return replace(self, url=urlunsplit(urlsplit(self.url)._replace(path=f"/{quote(database, safe='')}")))

    def asyncpg_options(self, **constants: str) -> dict[str, Any]:
        """What asyncpg needs beside the URL: TLS, and the session's `constants` with the role among them."""
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
        """What the server is to enforce, by PostgreSQL's names and in milliseconds."""
        timeouts = {
            "statement_timeout": self.statement_timeout,
            "lock_timeout": self.lock_timeout,
            "idle_in_transaction_session_timeout": self.idle_in_transaction_timeout,
        }
        return tuple((name, str(int(seconds * 1000))) for name, seconds in timeouts.items())


def check_url(url: str) -> None:
    """Raise ValueError, which does not repeat a password, unless `url` names one PostgreSQL database."""
    try:
        parts = urlsplit(url)
        readable = parts.port != 0 and not parts.fragment
    except ValueError:
        readable = False
    if not readable or parts.scheme not in ("postgresql", "postgres"):
        raise ValueError(
            "give it as postgresql://user:password@host:5432/database, special characters %-encoded: @ is %40, # is %23"
        )
    if "," in parts.netloc.rpartition("@")[2]:
        raise ValueError("name one host; a proxy or a DNS name may stand for several")
    if not parts.path.strip("/"):
        raise ValueError("no database is named: end the address with /quarry")
    mode = parse_qs(parts.query).get("sslmode", ["prefer"])[0]
    if mode not in _SSL_MODES:
        raise ValueError(f"sslmode is one of {', '.join(_SSL_MODES)}")


def masked_url(url: str) -> str:
    """The address without its passwords, neither before the host nor in the query."""
    without = re.sub(r"://([^:/@?]*):[^?]*@", r"://\1:***@", url)
    return re.sub(r"([?&][^=&]*pass[^=&]*=)[^&]*", r"\1***", without, flags=re.IGNORECASE)
