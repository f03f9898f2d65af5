"""Idempotency keys with the stored responses. When a request is repeated with its key, the stored response is sent again."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from service.personal.marking import Personal
from service.statements.repository import Repository, query
from service.statements.rows import Row


class Settled(Row):
    """A used key: the fingerprint (an HMAC) of its request, the stored response, and the number of the request's commit.

    `answer` is None until the response is stored. `number` is None if the request changed nothing.
    """

    id: UUID
    fingerprint: bytes
    answer: Personal | None
    number: int | None


class StaleAnswer(Row):
    """A stored response that has to be sealed again, as stored in the database."""

    id: UUID
    answer: bytes


class IdempotencyKeys(Repository, aggregate="idempotency_keys", noun="key"):
    """The idempotency keys that callers of the tenant (users and programs) have used."""

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
