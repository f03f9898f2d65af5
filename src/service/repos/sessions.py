"""Sessions of users who have signed in. The database stores a hash of the session's token, not the token itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from service.cache.watermarks import LEASE
from service.repos.users import Role
from service.statements.cached import Cached
from service.statements.repository import Repository, query
from service.statements.rows import Row


class Session(Row):
    """A session that is neither revoked nor expired, and that was used recently enough."""

    id: UUID
    user_id: UUID
    ip: IPv4Address | IPv6Address | None
    user_agent: str | None
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class Bearer(Row):
    """The session and the user that a request's token belongs to, with the facts that decide whether the request is refused.

    `is_unseen` is true if the stored time of the session's last use is so old that it has to be updated.
    """

    session_id: UUID
    user_id: UUID
    token_mac: bytes | None
    role: Role
    is_active: bool
    tenant_status: str
    is_expired: bool
    is_unseen: bool
    expires_at: datetime


class SessionToken(Row):
    """A session's id, the columns that its MAC is computed from (the user's id and the hash of the token), and the stored MAC."""

    id: UUID
    user_id: UUID
    token_hash: bytes
    token_mac: bytes | None


class Sessions(Repository, aggregate="sessions"):
    """Statements about the sessions of the tenant that the transaction is bound to."""

    @query
    async def create(
        self,
        *,
        user_id: UUID,
        password_hash: str,
        token_hash: bytes,
        token_mac: bytes,
        ip: IPv4Address | IPv6Address | None,
        user_agent: str | None,
        lifetime: timedelta,
    ) -> Session | None: ...

    @query(cached=Cached(lifetime=LEASE))
    async def authenticate(self, token_hash: bytes, *, idle: timedelta, seen_every: timedelta) -> Bearer | None: ...

    @query
    async def find(self, id: UUID, *, idle: timedelta) -> Session: ...

    @query
    async def page(
        self,
        user_id: UUID,
        *,
        idle: timedelta,
        after_created_at: datetime | None = None,
        after_id: UUID | None = None,
        limit: int = 50,
    ) -> list[Session]: ...

    @query
    async def revoke(self, id: UUID, *, user_id: UUID | None = None, roles: list[str] | None = None) -> int: ...

    @query
    async def revoke_of_user(self, user_id: UUID, *, keep: UUID | None = None) -> int: ...

    @query
    async def touch(self, ids: list[UUID]) -> int: ...

    @query
    async def expire(self, limit: int, *, idle: timedelta) -> int: ...

    @query
    async def page_macs(self, *, has_mac: bool, after: UUID | None = None, limit: int) -> list[SessionToken]: ...

    @query
    async def write_macs(self, *, ids: list[UUID], token_macs: list[bytes]) -> int: ...

    @query
    async def purge(self, limit: int, *, idle: timedelta) -> int: ...
