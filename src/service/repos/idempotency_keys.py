"""Idempotency keys and stored responses. If a client repeats a request with the same key, it gets the stored response."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from service.personal.marking import Personal
from service.statements.repository import Repository, query
from service.statements.rows import Row


class Settled(Row):
    """A key that a request has used. `fingerprint` is an HMAC of the request, `answer` the stored response.

    `answer` is None until the response is stored. `number` is the number of the request's commit in the tenant's log; None if
    the log has no such commit.
    """

    id: UUID
    fingerprint: bytes
    answer: Personal | None
    number: int | None


class StaleAnswer(Row):
    """A stored response that is to be sealed again. `answer` has the bytes that the database stores."""

    id: UUID
    answer: bytes


class IdempotencyKeys(Repository, aggregate="idempotency_keys", noun="key"):
    """Statements about the idempotency keys that callers (users and programs) of the bound tenant have used."""

    @query
    async def claim(self, *, caller_id: UUID, key: str, fingerprint: bytes, lifetime: timedelta) -> UUID | None: ...

    @query
    async def is_full(self, most: int) -> bool: ...

    @query
    async def settle(self, id: UUID, answer: Personal) -> int: ...

    @query
    async def find(self, caller_id: UUID, key: str) -> Settled | None: ...

    @query
    async def purge(self, limit: int) -> int: ...

    @query
    async def stale(self, prefix: bytes, *, after: UUID | None = None, limit: int) -> list[StaleAnswer]: ...

    @query
    async def reseal(self, *, ids: list[UUID], answers: list[bytes]) -> int: ...
