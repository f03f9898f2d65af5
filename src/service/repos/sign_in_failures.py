"""Failed sign-ins. The audit consists of these rows and of the log of changes."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from service.personal.marking import Personal
from service.statements.repository import Repository, query
from service.statements.rows import Row


class SignInFailure(Row):
    """A refused attempt to sign in. `user_id` is the user with the email address that was given; None if there is none."""

    id: UUID
    user_id: UUID | None
    ip: IPv4Address | IPv6Address | None
    user_agent: str | None
    request_id: str | None
    created_at: datetime


class SignInFailures(Repository, aggregate="sign_in_failures"):
    """Statements about failed sign-ins to the tenant that the transaction is bound to."""

    @query
    async def create(
        self,
        *,
        email: Personal,
        user_id: UUID | None,
        ip: IPv4Address | IPv6Address | None,
        user_agent: str | None,
        request_id: str | None,
    ) -> SignInFailure: ...

    @query
    async def page(
        self,
        *,
        user_id: UUID | None = None,
        after_created_at: datetime | None = None,
        after_id: UUID | None = None,
        limit: int = 50,
    ) -> list[SignInFailure]: ...

    @query
    async def prune(self, limit: int) -> int: ...
