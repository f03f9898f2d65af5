"""Niches: topics such as travel or food. The list of niches is the same for all tenants."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from service.statements.cached import Cached
from service.statements.repository import Repository, query
from service.statements.rows import Row


class Niche(Row):
    """A topic that can be assigned to brands and influencers."""

    id: UUID
    name: str
    icon: str | None
    description: str | None
    is_active: bool
    created_at: datetime
    updated_at: datetime
    version: int


class NicheSummary(Row):
    """The fields of a niche that are shown together with a brand or an influencer."""

    id: UUID
    name: str
    icon: str | None


class Niches(Repository, aggregate="niches"):
    """Statements about niches. Niches are shared data: all tenants read the same rows, and only the platform writes them."""

    @query(cached=Cached())
    async def find(self, id: UUID) -> Niche: ...

    @query(cached=Cached())
    async def page(
        self,
        *,
        is_active: bool | None = None,
        after_created_at: datetime | None = None,
        after_id: UUID | None = None,
        limit: int = 50,
    ) -> list[Niche]: ...
