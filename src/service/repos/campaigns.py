"""Campaigns that a tenant (an agency) runs, each for at most one brand."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import Json

from service.statements.cached import Cached
from service.statements.repository import Repository, query
from service.statements.rows import Row

Status = Literal["draft", "active", "paused", "completed", "archived"]


class Campaign(Row):
    """A campaign that is not deleted. The budget is in minor units of `currency`, such as cents."""

    id: UUID
    name: str
    description: str | None
    status: Status
    owner_id: UUID
    brand_id: UUID | None
    budget_minor: int
    currency: str
    starts_on: date | None
    ends_on: date | None
    created_at: datetime
    updated_at: datetime
    version: int


class CampaignOutcome(Campaign):
    """The result of `Campaigns.update`: the campaign as it is afterwards.

    `applied` is false if the campaign did not have the given `version`; in this case nothing was changed.
    """

    applied: bool


class ContentSummary(Row):
    """The fields of a content that are shown together with its campaign."""

    id: UUID
    kind: str
    title: str
    status: str


class CampaignWithContents(Campaign):
    """A campaign with those of its contents that are not deleted, newest first."""

    contents: Json[list[ContentSummary]]


class Campaigns(Repository, aggregate="campaigns"):
    """Statements about the campaigns of the tenant that the transaction is bound to."""

    @query
    async def create(
        self,
        *,
        name: str,
        description: str | None = None,
        status: Status = "draft",
        owner_id: UUID,
        brand_id: UUID | None = None,
        budget_minor: int = 0,
        currency: str = "USD",
        starts_on: date | None = None,
        ends_on: date | None = None,
    ) -> Campaign: ...

    @query(cached=Cached(row="id"))
    async def find(self, id: UUID) -> Campaign: ...

    @query
    async def find_many(self, ids: list[UUID]) -> list[Campaign]: ...

    @query
    async def find_with_contents(self, id: UUID) -> CampaignWithContents: ...

    @query
    async def exists(self, id: UUID) -> bool: ...

    @query
    async def count(self, *, status: Status | None = None) -> int: ...

    @query(cached=Cached())
    async def page(
        self,
        *,
        status: Status | None = None,
        owner_id: UUID | None = None,
        brand_id: UUID | None = None,
        q: str | None = None,
        after_created_at: datetime | None = None,
        after_id: UUID | None = None,
        limit: int = 50,
    ) -> list[Campaign]: ...

    @query
    async def update(
        self,
        id: UUID,
        *,
        version: int | None = None,
        given: list[str],
        name: str | None = None,
        description: str | None = None,
        status: Status | None = None,
        owner_id: UUID | None = None,
        brand_id: UUID | None = None,
        budget_minor: int | None = None,
        currency: str | None = None,
        starts_on: date | None = None,
        ends_on: date | None = None,
    ) -> CampaignOutcome | None: ...

    @query
    async def remove(self, id: UUID, *, version: int | None = None) -> bool | None: ...

    @query
    async def restore(self, id: UUID) -> Campaign: ...

    @query
    async def erase(self, id: UUID) -> int: ...
