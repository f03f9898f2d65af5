"""Influencers: profiles of people who make content for campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import Json

from service.personal.marking import Personal
from service.repos.niches import NicheSummary
from service.repos.profiles import Verified
from service.statements.cached import Cached
from service.statements.repository import Repository, query
from service.statements.rows import Row

Gender = Literal["female", "male", "other", "undisclosed"]


class Influencer(Row):
    """An influencer who is not deleted, with the influencer's niches, sorted by name."""

    id: UUID
    name: str
    username: str
    email: Personal
    phone: Personal
    date_of_birth: date | None
    gender: Gender | None
    bio: str | None
    profile_image: str | None
    is_phone_verified: bool
    is_active: bool
    niches: Json[list[NicheSummary]]
    created_at: datetime
    updated_at: datetime
    version: int


class InfluencerOutcome(Influencer):
    """The result of `Influencers.update`: the influencer's row as it is afterwards.

    `applied` is false if the row did not have the given `version`; in this case nothing was changed.
    """

    applied: bool


class StaleInfluencer(Row):
    """An influencer with at least one value that is to be sealed again: id, version and personal data as stored bytes."""

    id: UUID
    version: int
    email: bytes
    phone: bytes


class Influencers(Repository, aggregate="influencers"):
    """Statements about the influencers of the tenant that the transaction is bound to."""

    @query
    async def create(
        self,
        *,
        id: UUID,
        name: str,
        username: str,
        email: Personal,
        phone: Personal,
        date_of_birth: date | None = None,
        gender: Gender | None = None,
        bio: str | None = None,
        profile_image: str | None = None,
        is_active: bool = True,
        niche_ids: Sequence[UUID] = (),
    ) -> Influencer: ...

    @query(cached=Cached(row="id"))
    async def find(self, id: UUID) -> Influencer: ...

    @query
    async def find_many(self, ids: list[UUID]) -> list[Influencer]: ...

    @query
    async def exists(self, id: UUID) -> bool: ...

    @query(cached=Cached())
    async def page(
        self,
        *,
        username: str | None = None,
        email: Personal | None = None,
        phone: Personal | None = None,
        is_active: bool | None = None,
        q: str | None = None,
        after_created_at: datetime | None = None,
        after_id: UUID | None = None,
        limit: int = 50,
    ) -> list[Influencer]: ...

    @query
    async def update(
        self,
        id: UUID,
        *,
        version: int | None = None,
        given: list[str],
        name: str | None = None,
        username: str | None = None,
        email: Personal | None = None,
        phone: Personal | None = None,
        date_of_birth: date | None = None,
        gender: Gender | None = None,
        bio: str | None = None,
        profile_image: str | None = None,
        is_active: bool | None = None,
    ) -> InfluencerOutcome | None: ...

    @query
    async def remove(self, id: UUID, *, version: int | None = None) -> bool | None: ...

    @query
    async def restore(self, id: UUID) -> Influencer: ...

    @query
    async def attach_niche(self, id: UUID, niche_id: UUID) -> int: ...

    @query
    async def detach_niche(self, id: UUID, niche_id: UUID) -> int: ...

    @query
    async def replace_niches(self, id: UUID, niche_ids: list[UUID]) -> int: ...

    @query
    async def verify_phone(self, phone: Personal) -> list[Verified]: ...

    @query
    async def stale(self, prefix: bytes, *, after: UUID | None = None, limit: int) -> list[StaleInfluencer]: ...

    @query
    async def reseal(
        self,
        *,
        ids: list[UUID],
        versions: list[int],
        emails: list[bytes | None],
        email_indexes: list[bytes | None],
        phones: list[bytes | None],
        phone_indexes: list[bytes | None],
    ) -> int: ...
