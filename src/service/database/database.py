"""Database: a pool of connections, with the keyring, the cache and the replicas that its transactions use."""

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
    """A transaction on a replica: its connection and the pool to release it to.

    Its reads include the tenant's commits up to `number`, and the commits of shared data up to `shared_number`, of `epoch`.
    """

    connection: Connection
    pool: Pool
    epoch: int
    number: int
    shared_number: int


class ReadReplicas(Protocol):
    """Servers that hold the same data as the primary, with a short delay (replicas.py)."""

    async def begin(self, tenant: UUID, text: str, at_least: int) -> ReplicaTransaction | None:
        """Begin a transaction on a replica by the message `text`. Returns None if no replica can be used.

        The replica must have all commits that this process knows, and the tenant's commits up to number `at_least`.
        """


def _ignore(_: UUID, __: int) -> None:
    """The default `on_numbered`, for a process that does not follow commits: does nothing."""


@dataclass(frozen=True, eq=False)
class Database:
    """A pool of connections, and the objects that its transactions use. `dataclasses.replace` makes a changed copy."""

    pool: Pool
    keyring: Keyring | None = None
    """The keys, for transactions that read or write personal data."""
    cache: Cache | None = None
    """The cache, for read-only transactions."""
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
        """Open a pool, with the `options` of Pool.open. Yields a Database that consists of this pool, `keyring` and `cache`."""
        async with Pool.open(address, limits, **options) as pool:
            yield cls(pool, keyring, cache)

    def connection(self) -> contextlib.AbstractAsyncContextManager[Connection]:
        """A connection that is released when the block ends. Raises PoolExhausted or Unavailable."""
        return self.pool.connection()
