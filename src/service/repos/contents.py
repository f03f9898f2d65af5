"""Contents: posts, videos, articles and the like that are made for a campaign."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from service.statements.cached import Cached
from service.statements.repository import Repository, query
from service.statements.rows import Row

Kind = Literal["post", "reel", "story", "video", "article"]
Status = Literal["draft", "submitted", "approved", "published"]


class Content(Row):
    """A content that is not deleted. A trigger sets `published_at` when the status becomes `published`, and clears it if the
    status changes again.
    """

    id: UUID
    campaign_id: UUID
    kind: Kind
    title: str
    body: str | None
    url: str | None
    status: Status
    published_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


class ContentOutcome(Content):
    """The result of `Contents.update`: the content as it is afterwards.

    `applied` is false if the content did not have the given `version`; in this case nothing was changed.
    """

    applied: bool


class Contents(Repository, aggregate="contents"):
    """Statements about the contents of campaigns, for the tenant that the transaction is bound to."""

    @query
    async def create(
        self,
        campaign_id: UUID,
        *,
        kind: Kind,
        title: str,
        body: str | None = None,
        url: str | None = None,
        status: Status = "draft",
    ) -> Content | None: ...

    @query(cached=Cached(row="id"))
    async def find(self, campaign_id: UUID, id: UUID) -> Content: ...

    @query(cached=Cached())
    async def page(
        self,
        campaign_id: UUID,
        *,
        status: Status | None = None,
        kind: Kind | None = None,
        after_created_at: datetime | None = None,
        after_id: UUID | None = None,
        limit: int = 50,
    ) -> list[Content]: ...

    @query
    async def update(
        self,
        campaign_id: UUID,
        id: UUID,
        *,
        version: int | None = None,
        given: list[str],
        kind: Kind | None = None,
        title: str | None = None,
        body: str | None = None,
        url: str | None = None,
        status: Status | None = None,
    ) -> ContentOutcome | None: ...

    @query
    async def remove(self, campaign_id: UUID, id: UUID, *, version: int | None = None) -> bool | None: ...

    @query
    async def restore(self, campaign_id: UUID, id: UUID) -> Content: ...
