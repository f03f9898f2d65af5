"""The log: every committed change under one number per tenant and transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Literal
from uuid import UUID

from service.repos.query import Repository, query
from service.repos.rows import Row


class Installation(Row):
    """Which life of the database this is; numbers of another epoch mean nothing here."""

    epoch: int
    system_identifier: int
    timeline: int
    log_retention: timedelta


Operation = Literal["insert", "update", "delete"]


class AuditedChange(Row):
    """A changed row, by whom and from where; `columns` of an update alone."""

    number: int
    ordinal: int
    at: datetime
    actor_id: UUID | None
    session_id: UUID | None
    ip: IPv4Address | IPv6Address | None
    request_id: str | None
    table_name: str
    operation: Operation
    row_id: UUID
    columns: list[str] | None


class Log(Repository, aggregate="log", noun="installation"):
    """The tenant's numbers, and the installation that they belong to."""

    @query
    async def head(self) -> int: ...

    @query
    async def installation(self) -> Installation: ...

    @query
    async def audit(
        self,
        *,
        actor_id: UUID | None = None,
        table_name: str | None = None,
        row_id: UUID | None = None,
        after_number: int | None = None,
        after_ordinal: int | None = None,
        limit: int = 50,
    ) -> list[AuditedChange]: ...

    @query
    async def prune(self, limit: int) -> int: ...
