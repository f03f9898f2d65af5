"""The most idempotency keys that a tenant may have: each may keep a whole answer until it expires."""

from __future__ import annotations

from time import monotonic

from service.engine import EngineWork
from service.errors import RateLimited
from service.tenancy.identity import TenantId

_ASK_EVERY = 10.0
"""Seconds: what a tenant adds meanwhile may be above the quota."""
_RETRY_AFTER = 60
_TENANTS = 10_000


class Quota:
    """At most `most` idempotency keys of a tenant; 0 for any number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._asked: dict[TenantId, tuple[float, bool]] = {}

    async def check(self, work: EngineWork, tenant: TenantId) -> None:
        """Raises RateLimited while the tenant has too many, the one just claimed included. Asks the database now and then."""
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
