"""The installation, that is, the database as a whole: its epoch, its maintenance mode and its migrations."""

from __future__ import annotations

from datetime import timedelta

from service.statements.repository import Repository, query
from service.statements.rows import Row


class InstallationState(Row):
    """The state of the database.

    `shared_number` counts the changes of shared data. `is_read_only` says whether maintenance mode is on. `purge_failures` is
    the number of tenants for which the last purge (operations/purging.py) failed. `since_purged` is the time since the last
    hourly purge began; None if none has run yet.
    """

    epoch: int
    shared_number: int
    log_retention: timedelta
    is_read_only: bool
    purge_failures: int
    since_purged: timedelta | None


class AppliedMigration(Row):
    """The id of a migration that is applied to the database."""

    id: str


class OwnMigration(AppliedMigration):
    """The id of a migration that is applied to a tenant's own schema, and the name of this schema."""

    schema_name: str


class Installation(Repository, aggregate="installation"):
    """The state of the database that this service uses, and the migrations that are applied to it."""

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
