"""API keys, with which programs authenticate instead of a session."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from service.cache.watermarks import LEASE
from service.repos.users import Role
from service.statements.cached import Cached
from service.statements.repository import Repository, query
from service.statements.rows import Row

KeyRole = Literal["admin", "member", "viewer"]


class ApiKey(Row):
    """An API key that is not revoked, without the key itself: that is shown once, and the database stores only a hash of it."""

    id: UUID
    name: str
    role: KeyRole
    created_by: UUID
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


class KeyBearer(Row):
    """The API key that a request was sent with, and the facts that decide whether the request is refused.

    `maker_role` is the present role of the user who created the key. `is_unseen` is true if the stored time of the key's last
    use is missing or so old that it has to be updated.
    """

    key_id: UUID
    user_id: UUID
    key_mac: bytes | None
    role: KeyRole
    maker_role: Role
    tenant_status: str
    is_expired: bool
    is_unseen: bool
    expires_at: datetime | None


class KeyToken(Row):
    """An API key's id, the columns that its MAC (message authentication code) is computed from, and the stored MAC."""

    id: UUID
    created_by: UUID
    role: KeyRole
    key_hash: bytes
    key_mac: bytes | None


class ApiKeys(Repository, aggregate="api_keys", noun="key"):
    """Statements about the API keys of the tenant that the transaction is bound to."""

    @query
    async def create(
        self,
        *,
        name: str,
        role: KeyRole,
        key_hash: bytes,
        key_mac: bytes,
        created_by: UUID,
        expires_at: datetime | None,
    ) -> ApiKey: ...

    @query(cached=Cached(lifetime=LEASE))
    async def authenticate(self, key_hash: bytes, *, seen_every: timedelta) -> KeyBearer | None: ...

    @query
    async def page_macs(self, *, has_mac: bool, after: UUID | None = None, limit: int) -> list[KeyToken]: ...

    @query
    async def write_macs(self, *, ids: list[UUID], key_macs: list[bytes]) -> int: ...

    @query
    async def page(
        self,
        *,
        role: KeyRole | None = None,
        after_created_at: datetime | None = None,
        after_id: UUID | None = None,
        limit: int = 50,
    ) -> list[ApiKey]: ...

    @query
    async def revoke(self, id: UUID) -> int: ...

    @query
    async def prune(self, limit: int) -> int: ...

    @query
    async def touch(self, ids: list[UUID]) -> int: ...
