"""Where to connect and how many connections to keep."""

from __future__ import annotations

import ssl as tls
from collections.abc import Mapping
from dataclasses import dataclass, field


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
