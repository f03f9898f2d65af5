"""Idempotency keys: answers to repeat."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from service.personal.marking import Personal
from service.statements.repository import Repository, query
from service.statements.rows import Row


class Settled(Row):
    """What a key was used for, what was answered, and the number of the commit that the answer tells of, if any."""

    id: UUID
    fingerprint: bytes
    answer: Personal | None
    number: int | None


class StaleAnswer(Row):
    """An answer that is to be sealed again, as the database keeps it."""

    id: UUID
    answer: bytes


class IdempotencyKeys(Repository, aggregate="idempotency_keys", noun="key"):
    """The keys that callers of the tenant have used."""

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
