"""Queries about the state of the database server, for health checks, for choosing replicas, and for the server's time."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from service.statements.repository import Repository, query
from service.statements.rows import Row


class Transactions(Row):
    """The `age` of the database's oldest transaction id that is not frozen, and how long the `longest` transaction has run.

    `age` is counted in transactions; at about two billion PostgreSQL refuses writes. `longest` covers only transactions of
    the serving role in this database, because this role can't see when the transactions of other roles began.
    """

    age: int
    longest: timedelta | None


class Standing(Row):
    """Whether the server is a replica, and its `position` in the write-ahead log.

    On a replica, `position` is the number of bytes of the write-ahead log that the server has replayed; on a primary, the
    number of bytes that it has written. `since_replayed` is the age of the last replayed transaction; None if there is none.
    """

    is_replica: bool
    position: Decimal | None
    since_replayed: timedelta | None


class Collation(Row):
    """The name of a collation whose version has changed since indexes were built with it."""

    name: str


class Server(Repository, aggregate="server", noun="server"):
    """Queries about the state of the database server. They need no tenant."""

    @query
    async def size(self) -> int: ...

    @query
    async def now(self) -> datetime: ...

    @query
    async def is_writable(self) -> bool: ...

    @query
    async def drifted_collations(self) -> list[Collation]: ...

    @query
    async def transactions(self) -> Transactions: ...

    @query
    async def standing(self) -> Standing: ...
