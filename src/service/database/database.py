"""The class Database: a pool of connections, and the keyring, cache and replicas that transactions use together with the pool."""

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
    """A transaction on a replica: its connection, and the pool to which the connection is later released.

    The transaction sees at least the tenant's commits up to `number`, and the changes of shared data up to `shared_number`. Both
    numbers belong to the epoch `epoch`.
    """

    connection: Connection
    pool: Pool
    epoch: int
    number: int
    shared_number: int


class ReadReplicas(Protocol):
    """The interface of Replicas (replicas.py): servers that have the same data as the primary, after a short delay."""

    async def begin(self, tenant: UUID, text: str, at_least: int) -> ReplicaTransaction | None:
        """Begin a transaction of the tenant on a replica, by sending it the message `text`. Returns None if none can be used.

        A replica can be used if it has all commits of the tenant that this process knows, and those up to number `at_least`.
        """


def _ignore(_: UUID, __: int) -> None:
    """Does nothing. This is the default of Database.on_numbered, for processes in which nothing waits for commits."""


@dataclass(frozen=True, eq=False)
class Database:
    """A pool of connections, and the objects that transactions use with it. `dataclasses.replace` makes a changed copy."""

    pool: Pool
    keyring: Keyring | None = None
    """The keys of personal data; None if no transaction reads or writes such data."""
    cache: Cache | None = None
    """The cache that read-only transactions use; None for no cache."""
    replicas: ReadReplicas | None = None
    """The replicas on which read-only transactions with the option `may_lag` may run; None for no replicas."""
    on_numbered: Callable[[UUID, int], None] = _ignore
    """Called after each commit that has a number, with the tenant and the number, before its `async with` block is left."""

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
        """Open a pool, and yield a Database with this pool, `keyring` and `cache`. `options` are arguments of Pool.open."""
        async with Pool.open(address, limits, **options) as pool:
            yield cls(pool, keyring, cache)

    def connection(self) -> contextlib.AbstractAsyncContextManager[Connection]:
        """A connection that is released when the block ends. Raises PoolExhausted or Unavailable."""
        return self.pool.connection()
