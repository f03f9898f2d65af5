"""Database: a pool of connections, and what transactions on it use."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self
from uuid import UUID

from service.addresses import Address, PoolLimits
from service.cache.cache import Cache
from service.database.connection import Connection
from service.database.pool import Pool
from service.personal.keyring import Keyring


class ReplicaTransaction(NamedTuple):
    """A transaction on a replica: its connection, the pool that it goes back to, and what all that is read there includes."""

    connection: Connection
    pool: Pool
    epoch: int
    number: int
    shared_number: int


class ReadReplicas(Protocol):
    """Other servers with the same data, a moment later (replicas.py)."""

    async def begin(self, tenant: UUID, text: str, at_least: int) -> ReplicaTransaction | None:
        """A transaction begun with `text` on one that has all that is needed, `at_least` too; None when none has."""


def _ignore(_: UUID, __: int) -> None:
    """For a process that follows no commits."""


@dataclass(frozen=True, eq=False)
class Database:
    """A pool of connections, and what transactions on it use. `dataclasses.replace` makes a changed copy."""

    pool: Pool
    keyring: Keyring | None = None
    """The keys, for work that meets personal data."""
    cache: Cache | None = None
    """For work that only reads."""
    replicas: ReadReplicas | None = None
    """Servers that read-only transactions with `may_lag` may read from."""
    on_numbered: Callable[[UUID, int], None] = _ignore
    """Called with tenant and number of every commit, before the work that made it continues."""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        address: Address,
        limits: PoolLimits,
        *,
        keyring: Keyring | None = None,
        cache: Cache | None = None,
        **options: Any,
    ) -> AsyncIterator[Self]:
        """A pool opened with the `options` of Pool.open, for work with this `keyring` and `cache`."""
        async with Pool.open(address, limits, **options) as pool:
            yield cls(pool, keyring, cache)

    def connection(self) -> contextlib.AbstractAsyncContextManager[Connection]:
        """A connection for the length of the block. Raises PoolExhausted or Unavailable."""
        return self.pool.connection()
