"""The database server: what operators and health checks ask it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from service.statements.repository import Repository, query
from service.statements.rows import Row


class Transactions(Row):
    """The age of the oldest transaction id that is not frozen, and the duration of the longest running transaction.

    The age must stay below two billion. The serving role does not see the transactions of other roles.
    """

    age: int
    longest: timedelta | None


class Standing(Row):
    """Whether the server is a replica, and how far it has come.

    `position` is its position in the write-ahead log in bytes, `since_replayed` the age of the last transaction replayed.
    """

    is_replica: bool
    position: Decimal | None
    since_replayed: timedelta | None


class Collation(Row):
    """The name of a collation."""

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
