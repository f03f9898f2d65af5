"""One-time codes: how somebody proves that a phone is theirs."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from service.personal.marking import Personal
from service.statements.repository import Repository, query
from service.statements.rows import Row


class Otp(Row):
    """A one-time code that was created. The code itself is not in the row: only its receiver knows it."""

    id: UUID
    expires_at: datetime


class Guess(Row):
    """The result of one guess at a code, and how many guesses at it there have been."""

    id: UUID
    is_right: bool
    attempts: int


class Otps(Repository, aggregate="otps", noun="code"):
    """The tenant's one-time codes."""

    @query
    async def create(self, *, phone: Personal, code: Personal, lifetime: timedelta) -> Otp: ...

    @query
    async def attempt(self, *, phone: Personal, code: Personal, attempts: int) -> Guess | None: ...

    @query
    async def purge(self, limit: int) -> int: ...
