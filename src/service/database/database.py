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
    """A transaction on a replica: its connection, the pool to release it to, the epoch and commit numbers that reads include."""

    connection: Connection
    pool: Pool
    epoch: int
    number: int
    shared_number: int


class ReadReplicas(Protocol):
    """Servers that hold the same data with a short delay (replicas.py)."""

    async def begin(self, tenant: UUID, text: str, at_least: int) -> ReplicaTransaction | None:
        """Begin a transaction with `text` on a replica that has all needed commits, `at_least` among them. None if none has."""


def _ignore(_: UUID, __: int) -> None:
    """The default `on_numbered`, for a process that does not follow commits: does nothing."""


@dataclass(frozen=True, eq=False)
class Database:
    """A pool of connections, and what transactions on it use. `dataclasses.replace` makes a changed copy."""

    pool: Pool
    keyring: Keyring | None = None
    """The keys, for work that reads or writes personal data."""
    cache: Cache | None = None
    """The cache, for read-only work."""
    replicas: ReadReplicas | None = None
    """Servers that read-only transactions with `may_lag` may read from."""
    on_numbered: Callable[[UUID, int], None] = _ignore
    """Called with the tenant and the number of every commit, before the code that committed it continues."""

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
