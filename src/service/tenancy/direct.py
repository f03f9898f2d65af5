"""Reads that are sent as one message, without BEGIN and COMMIT. Their text binds the tenant itself (statements/frames.py).

Such a text is planned once on each connection (`plan_cache_mode = force_generic_plan`), before it has bound a tenant. That is
possible because the planner asks no policy for the tenant: `entered.tenant_id` stands in for it. `quarry sql check` proves this
of each statement. If a text can't be planned so after all, it fails with TN001 before it has begun, and takes the other way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.database.pool import Pool
from service.errors import TenantUnbound
from service.tenancy.identity import TenantId


class NotDirect(Exception):
    """A read can't be sent as one message, or its answer can't be used; it has to run in a transaction, or as rows.

    The cases: a tenant with a schema of its own, a pooler, a replica, an open transaction, a `-- planned:` line, a text that
    can't be planned before a tenant is bound, JSON that is not as the service would write it, and unknown commit numbers.
    """


class DirectReads:
    """Sends reads of one tenant, each as one message on a connection of the pool."""

    __slots__ = ("_pool", "tenant")

    def __init__(self, pool: Pool, tenant: TenantId) -> None:
        self._pool, self.tenant = pool, tenant

    @property
    def may_serve(self) -> bool:
        """Whether the tenant is not known to have a schema of its own."""
        return self.tenant not in self._pool.own_schema_tenants

    async def fetch(self, text: str, values: Sequence[object]) -> list[Any]:
        """Run a framed text whose first value and first column are the tenant; returns all rows. Raises NotDirect."""
        connection = await self._pool.acquire()
        try:
            records = await connection.fetch_alone(text, values)
        except TenantUnbound as error:
            raise NotDirect from error
        finally:
            await self._pool.release(connection)
        if records[0][0] is None:
            self._pool.own_schema_tenants.add(self.tenant)
            raise NotDirect
        return records
