"""One-time codes. Such a code is sent to a phone, and whoever enters it has proved that they have access to the phone."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from service.personal.marking import Personal
from service.statements.repository import Repository, query
from service.statements.rows import Row


class Otp(Row):
    """The row of a new one-time code. It does not contain the code: the database stores only an HMAC of it."""

    id: UUID
    expires_at: datetime


class Guess(Row):
    """The result of a guess at a one-time code. `attempts` is the number of guesses at this code, including this guess."""

    id: UUID
    is_right: bool
    attempts: int


class Otps(Repository, aggregate="otps", noun="code"):
    """Statements about the one-time codes of the tenant that the transaction is bound to."""

    @query
    async def create(self, *, phone: Personal, code: Personal, lifetime: timedelta) -> Otp: ...

    @query
    async def attempt(self, *, phone: Personal, code: Personal, attempts: int) -> Guess | None: ...

    @query
    async def purge(self, limit: int) -> int: ...
