"""The database server: queries about its state, for operators and health checks."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from service.statements.repository import Repository, query
from service.statements.rows import Row


class Transactions(Row):
    """The `age` of the oldest transaction id that is not frozen, and the duration of the `longest` running transaction.

    At an age of about two billion ids PostgreSQL refuses writes. Transactions of other roles are not included in `longest`,
    because the serving role does not see when they began.
    """

    age: int
    longest: timedelta | None


class Standing(Row):
    """Whether the server is a replica, and its position in the write-ahead log.

    `position` is the number of bytes of the log that were replayed on a replica, or written on a primary. `since_replayed` is
    the age of the last transaction that was replayed.
    """

    is_replica: bool
    position: Decimal | None
    since_replayed: timedelta | None


class Collation(Row):
    """The name of a collation."""

    name: str


class Server(Repository, aggregate="server", noun="server"):
    """Queries about the state of the database server."""

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
