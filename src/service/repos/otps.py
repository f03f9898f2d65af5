"""One-time codes: how somebody proves that a phone is theirs."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from service.personal.marking import Personal
from service.statements.repository import Repository, query
from service.statements.rows import Row


class Otp(Row):
    """A new one-time code, without the code itself: the database stores only an HMAC of the code."""

    id: UUID
    expires_at: datetime


class Guess(Row):
    """The result of a guess at a one-time code. `attempts` is the number of guesses at this code so far."""

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
