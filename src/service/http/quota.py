"""A limit on the number of a tenant's idempotency keys, because each key may store a whole answer until the key expires."""

from __future__ import annotations

from time import monotonic

from service.engine import EngineWork
from service.errors import RateLimited
from service.tenancy.identity import TenantId

_ASK_EVERY = 10.0
"""Seconds for which the result of a count is used. Until the next count, keys that are added may exceed the quota."""
_RETRY_AFTER = 60
_TENANTS = 10_000


class Quota:
    """Allows a tenant at most `most` stored idempotency keys; 0 means no limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._asked: dict[TenantId, tuple[float, bool]] = {}

    async def check(self, work: EngineWork, tenant: TenantId) -> None:
        """Raise RateLimited if the tenant has too many keys, including the key that the present request has just stored.

        A tenant's keys are counted in the database, at most once in _ASK_EVERY seconds. In between, the last result is used.
        """
        if not self._most:
            return
        asked_at, is_full = self._asked.get(tenant, (-_ASK_EVERY, False))
        if monotonic() - asked_at >= _ASK_EVERY:
            is_full = await work.idempotency_keys.is_full(self._most + 1)
            if len(self._asked) >= _TENANTS:
                self._asked.clear()
            self._asked[tenant] = monotonic(), is_full
        if is_full:
            raise RateLimited(_RETRY_AFTER)
