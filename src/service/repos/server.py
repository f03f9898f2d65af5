"""The server: what operators ask of it."""

from __future__ import annotations

from datetime import timedelta

from service.repos.query import Repository, query
from service.repos.rows import Row


class Vitals(Row):
    """Size in bytes; transactions since the oldest id that is not frozen, of two thousand million; the longest one's time.

    Transactions of other roles are not seen by the serving role.
    """

    size: int
    transaction_age: int
    longest_transaction: timedelta | None


class Server(Repository, aggregate="server", noun="server"):
    """The database server."""

    @query
    async def vitals(self) -> Vitals: ...
