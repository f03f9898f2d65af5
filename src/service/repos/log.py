"""The log: every committed change under one number per tenant and transaction."""

from __future__ import annotations

from service.repos.query import Repository, query
from service.repos.rows import Row


class Installation(Row):
    """Which life of the database this is; numbers of another epoch mean nothing here."""

    epoch: int
    system_identifier: int
    timeline: int


class Log(Repository, aggregate="log", noun="installation"):
    """The tenant's numbers, and the installation that they belong to."""

    @query
    async def head(self) -> int: ...

    @query
    async def installation(self) -> Installation: ...
