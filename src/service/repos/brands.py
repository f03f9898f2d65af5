"""Brands: the companies that campaigns are run for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Json

from service.personal.marking import Personal
from service.repos.niches import NicheSummary
from service.repos.profiles import Verified
from service.statements.cached import Cached
from service.statements.repository import Repository, query
from service.statements.rows import Row

CompanyType = Literal["private_limited", "public_limited", "llp", "partnership", "sole_proprietorship", "other"]


class Brand(Row):
    """A brand that is not deleted, with its niches, sorted by name.

    A trigger sets `is_profile_completed`. It is true if the legal name, the company type, all fields of the contact person
    (`poc_…`) and all three documents are given.
    """

    id: UUID
    brand_name: str
    username: str
    email: Personal
    phone: Personal
    legal_entity_name: str | None
    company_type: CompanyType | None
    brand_email: Personal | None
    poc_name: str | None
    poc_designation: str | None
    poc_email: Personal | None
    poc_contact_number: Personal | None
    bio: str | None
    profile_image: str | None
    incorporation_document: Personal | None
    gst_document: Personal | None
    pan_document: Personal | None
    is_phone_verified: bool
    is_profile_completed: bool
    is_active: bool
    niches: Json[list[NicheSummary]]
    created_at: datetime
    updated_at: datetime
    version: int


class BrandOutcome(Brand):
    """The result of `Brands.update`: the brand as it is afterwards.

    `applied` is false if the brand did not have the given `version`; in this case nothing was changed.
    """

    applied: bool


class StaleBrand(Row):
    """A brand with at least one value that is to be sealed again: its id, its version and its personal data as stored bytes."""

    id: UUID
    version: int
    email: bytes
    phone: bytes
    brand_email: bytes | None
    poc_email: bytes | None
    poc_contact_number: bytes | None
    incorporation_document: bytes | None
    gst_document: bytes | None
    pan_document: bytes | None


class Brands(Repository, aggregate="brands"):
    """Statements about the brands of the tenant that the transaction is bound to."""

    @query
    async def create(
        self,
        *,
        id: UUID,
        brand_name: str,
        username: str,
        email: Personal,
        phone: Personal,
        legal_entity_name: str | None = None,
        company_type: CompanyType | None = None,
        brand_email: Personal | None = None,
        poc_name: str | None = None,
        poc_designation: str | None = None,
        poc_email: Personal | None = None,
        poc_contact_number: Personal | None = None,
        bio: str | None = None,
        profile_image: str | None = None,
        incorporation_document: Personal | None = None,
        gst_document: Personal | None = None,
        pan_document: Personal | None = None,
        is_active: bool = True,
        niche_ids: Sequence[UUID] = (),
    ) -> Brand: ...

    @query(cached=Cached(row="id"))
    async def find(self, id: UUID) -> Brand: ...

    @query
    async def find_many(self, ids: list[UUID]) -> list[Brand]: ...

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
        company_type: CompanyType | None = None,
        after_created_at: datetime | None = None,
        after_id: UUID | None = None,
        limit: int = 50,
    ) -> list[Brand]: ...

    @query
    async def update(
        self,
        id: UUID,
        *,
        version: int | None = None,
        given: list[str],
        brand_name: str | None = None,
        username: str | None = None,
        email: Personal | None = None,
        phone: Personal | None = None,
        legal_entity_name: str | None = None,
        company_type: CompanyType | None = None,
        brand_email: Personal | None = None,
        poc_name: str | None = None,
        poc_designation: str | None = None,
        poc_email: Personal | None = None,
        poc_contact_number: Personal | None = None,
        bio: str | None = None,
        profile_image: str | None = None,
        incorporation_document: Personal | None = None,
        gst_document: Personal | None = None,
        pan_document: Personal | None = None,
        is_active: bool | None = None,
    ) -> BrandOutcome | None: ...

    @query
    async def remove(self, id: UUID, *, version: int | None = None) -> bool | None: ...

    @query
    async def restore(self, id: UUID) -> Brand: ...

    @query
    async def attach_niche(self, id: UUID, niche_id: UUID) -> int: ...

    @query
    async def detach_niche(self, id: UUID, niche_id: UUID) -> int: ...

    @query
    async def replace_niches(self, id: UUID, niche_ids: list[UUID]) -> int: ...

    @query
    async def verify_phone(self, phone: Personal) -> list[Verified]: ...

    @query
    async def stale(self, prefix: bytes, *, after: UUID | None = None, limit: int) -> list[StaleBrand]: ...

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
        brand_emails: list[bytes | None],
        poc_emails: list[bytes | None],
        poc_contact_numbers: list[bytes | None],
        incorporation_documents: list[bytes | None],
        gst_documents: list[bytes | None],
        pan_documents: list[bytes | None],
    ) -> int: ...
