"""Tenants: the agencies that use the service."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import Json

from service.statements.cached import Cached
from service.statements.repository import Repository, query
from service.statements.rows import Row

TenantStatus = Literal["active", "suspended", "archived"]
Plan = Literal["free", "pro", "enterprise"]


class Tenant(Row):
    """A tenant. `features` and `configuration` are JSON objects with any content."""

    id: UUID
    name: str
    domain: str
    status: TenantStatus
    plan: Plan
    features: Json[dict[str, Any]]
    configuration: Json[dict[str, Any]]
    created_at: datetime
    updated_at: datetime
    version: int


class TenantOutcome(Tenant):
    """The result of `Tenants.update`: the tenant as it is afterwards.

    `applied` is false if the tenant did not have the given `version`; in this case nothing was changed.
    """

    applied: bool


class TenantEntry(Row):
    """The two fields of a tenant that sign-in reads, when the transaction is not bound to a tenant yet."""

    id: UUID
    status: TenantStatus


class DueTenant(Row):
    """A tenant's id, and whether the tenant has rows whose retention period has ended, so that a purge is due."""

    tenant: UUID
    is_due: bool


class UnsealedTenant(Row):
    """A tenant's id, and whether the tenant has personal data in plain text, which waits to be sealed."""

    tenant: UUID
    waits: bool


class OwnSchema(Row):
    """The id of a tenant that has its own schema, and the schema's name."""

    tenant: UUID
    name: str


class Tenants(Repository, aggregate="tenants"):
    """The tenant that the transaction is bound to and, for administration and the purge, all tenants.

    The parameters `features` and `configuration` are JSON texts.
    """

    @query
    async def find_by_domain(self, domain: str) -> TenantEntry | None: ...

    @query(cached=Cached())
    async def current(self) -> Tenant: ...

    @query
    async def update(
        self,
        *,
        version: int | None = None,
        given: list[str],
        name: str | None = None,
        features: str | None = None,
        configuration: str | None = None,
    ) -> TenantOutcome | None: ...

    @query
    async def prune_deleted(self, limit: int) -> int: ...

    @query
    async def claim_purge(self, every: timedelta) -> bool: ...

    @query
    async def lock_purge(self, tenant: UUID) -> bool: ...

    @query
    async def to_purge(self, previous: UUID, *, idle: timedelta, limit: int) -> list[DueTenant]: ...

    @query
    async def to_seal(self, previous: UUID, *, limit: int) -> list[UnsealedTenant]: ...

    @query
    async def note_purge(self, failures: int) -> bool: ...

    @query
    async def create(self, *, name: str, domain: str, plan: Plan = "free") -> Tenant: ...

    @query
    async def page(
        self,
        *,
        status: TenantStatus | None = None,
        after_created_at: datetime | None = None,
        after_id: UUID | None = None,
        limit: int = 50,
    ) -> list[Tenant]: ...

    @query
    async def lookup(self, domain: str) -> Tenant: ...

    @query
    async def set_status(self, domain: str, status: TenantStatus) -> Tenant: ...

    @query
    async def give_schema(self, *, tenant: UUID, name: str) -> int: ...

    @query
    async def schemas(self) -> list[OwnSchema]: ...
