"""The installation: the one database, its epoch, its maintenance and its migrations."""

from __future__ import annotations

from datetime import timedelta

from service.statements.repository import Repository, query
from service.statements.rows import Row


class InstallationState(Row):
    """The epoch of the database, in which alone its numbers mean something, and whether it is in maintenance (read only)."""

    epoch: int
    shared_number: int
    log_retention: timedelta
    is_read_only: bool
    purge_failures: int
    since_purged: timedelta | None


class AppliedMigration(Row):
    """A migration that the database has."""

    id: str


class OwnMigration(AppliedMigration):
    """One that a schema of a tenant's own has."""

    schema_name: str


class Installation(Repository, aggregate="installation"):
    """The database that this service works on."""

    @query
    async def find(self) -> InstallationState: ...

    @query
    async def enter_epoch(self) -> int: ...

    @query
    async def raise_epoch(self) -> int: ...

    @query
    async def set_read_only(self, is_read_only: bool) -> int: ...

    @query
    async def has_settled(self, xid: int) -> bool: ...

    @query
    async def migrations(self) -> list[AppliedMigration]: ...

    @query
    async def own_migrations(self) -> list[OwnMigration]: ...
