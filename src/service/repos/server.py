"""The server: what operators ask of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from service.statements.repository import Repository, query
from service.statements.rows import Row


class Transactions(Row):
    """The age of the oldest transaction id that is not frozen, of two billion, and the duration of the longest transaction.

    Transactions of other roles are not seen by the serving role.
    """

    age: int
    longest: timedelta | None


class Standing(Row):
    """Whether it is a replica, its place in the write-ahead log in bytes, and the age of the last transaction it replayed."""

    is_replica: bool
    position: Decimal | None
    since_replayed: timedelta | None


class Collation(Row):
    """A collation by its name."""

    name: str


class Server(Repository, aggregate="server", noun="server"):
    """The database server."""

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
