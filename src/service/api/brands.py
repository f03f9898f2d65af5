"""Handlers of /v1/brands: the companies that campaigns are made for."""

from __future__ import annotations

from pydantic import Field, TypeAdapter

from service.api.call import Call
from service.api.fields import DocumentReference, Email, LongText, Name, NicheIds, Phone, PhoneFilter, Url, Username
from service.errors import NotFound
from service.http import answers
from service.http.answers import Created, Entity, Nothing, Page
from service.http.inputs import KEPT, NO_BODY, Body, Parsed, Patch, example
from service.http.numbered_pages import numbered_page
from service.http.pages import PageQuery
from service.http.preconditions import Precondition, expected
from service.http.rendered import read_entity
from service.profiles import change_profile, create_profile
from service.repos.brands import Brand, CompanyType
from service.statements.outcomes import check_removed
from service.work import Work

_BRANDS = TypeAdapter(list[Brand])


class BrandQuery(PageQuery):
    """The query parameters of the list of brands. Each field selects the brands with this value."""

    username: Username | None = None
    email: Email | None = None
    phone: PhoneFilter | None = None
    is_active: bool | None = None
    company_type: CompanyType | None = None


class BrandDraft(Body):
    """A new brand, with its niches."""

    model_config = example(
        brand_name="Nordlicht Tea",
        username="nordlicht",
        email="hello@nordlicht.example",
        phone="+4930555012",
        company_type="private_limited",
        poc_name="Jo Lindqvist",
        niche_ids=[],
    )

    brand_name: Name
    username: Username
    email: Email
    phone: Phone
    legal_entity_name: Name | None = None
    company_type: CompanyType | None = None
    brand_email: Email | None = None
    poc_name: Name | None = None
    poc_designation: Name | None = None
    poc_email: Email | None = None
    poc_contact_number: Phone | None = None
    bio: LongText | None = None
    profile_image: Url | None = None
    incorporation_document: DocumentReference | None = None
    gst_document: DocumentReference | None = None
    pan_document: DocumentReference | None = None
    is_active: bool = True
    niche_ids: NicheIds = Field(default=[])


class BrandPatch(Patch):
    """The fields of a brand to change; `niche_ids` replaces all niches of the brand."""

    model_config = example(poc_designation="Head of marketing")

    brand_name: Name = KEPT
    username: Username = KEPT
    email: Email = KEPT
    phone: Phone = KEPT
    legal_entity_name: Name | None = None
    company_type: CompanyType | None = None
    brand_email: Email | None = None
    poc_name: Name | None = None
    poc_designation: Name | None = None
    poc_email: Email | None = None
    poc_contact_number: Phone | None = None
    bio: LongText | None = None
    profile_image: Url | None = None
    incorporation_document: DocumentReference | None = None
    gst_document: DocumentReference | None = None
    pan_document: DocumentReference | None = None
    is_active: bool = KEPT
    niche_ids: NicheIds = KEPT


async def page(call: Call, query: Parsed[BrandQuery]) -> Page[Brand]:
    """List the brands with their niches, newest first."""
    return await numbered_page(call, query, _BRANDS, lambda work: work.brands.page(**query.get().arguments()))


async def create(call: Call, body: Parsed[BrandDraft]) -> Created[Brand]:
    """Create a brand with its niches."""

    async def operation(work: Work) -> Created[Brand]:
        brand = await create_profile(work.brands, dict(body.get()))
        return answers.created(Brand, brand, f"/v1/brands/{brand.id}")

    return await call.write(operation)


async def find(call: Call) -> Entity[Brand]:
    """Get one brand with its niches."""
    return await read_entity(call, Brand, lambda work: work.brands.find(call.id()))


async def update(call: Call, body: Parsed[BrandPatch], precondition: Precondition) -> Entity[Brand]:
    """Change the given fields of a brand."""

    async def operation(work: Work) -> Entity[Brand]:
        id = call.id()
        version = await expected(lambda: work.brands.find(id), body, precondition)
        return answers.entity(Brand, await change_profile(work.brands, id, version, body.get().fields()))

    return await call.write(operation)


async def remove(call: Call, precondition: Precondition) -> Nothing:
    """Delete a brand. A deleted brand can be restored.

    A brand that a campaign refers to can't be deleted, unless that campaign is deleted.
    """

    async def operation(work: Work) -> Nothing:
        id = call.id()
        version = await expected(lambda: work.brands.find(id), NO_BODY, precondition)
        check_removed(await work.brands.remove(id, version=version))
        return answers.nothing()

    return await call.write(operation)


async def restore(call: Call) -> Entity[Brand]:
    """Restore a deleted brand."""

    async def operation(work: Work) -> Entity[Brand]:
        return answers.entity(Brand, await work.brands.restore(call.id()))

    return await call.write(operation)


async def attach(call: Call) -> Entity[Brand]:
    """Attach a niche to a brand."""

    async def operation(work: Work) -> Entity[Brand]:
        id, niche_id = call.id(), call.id("niche_id")
        await work.niches.find(niche_id)
        await work.brands.attach_niche(id, niche_id)
        return answers.entity(Brand, await work.brands.find(id))

    return await call.write(operation)


async def detach(call: Call) -> Nothing:
    """Detach a niche from a brand."""

    async def operation(work: Work) -> Nothing:
        if not await work.brands.detach_niche(call.id(), call.id("niche_id")):
            raise NotFound("There is no such niche on this brand.")
        return answers.nothing()

    return await call.write(operation)
