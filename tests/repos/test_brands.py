"""Brands: what they do not share with influencers (tests/repos/test_profiles.py), and the campaigns that refer to them."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import InUse, InvalidInput, MissingReference
from service.personal.keyring import SEALED
from service.statements.outcomes import changed_row, check_removed
from service.work import Work

SEALED_FIELDS = {
    "email": "hello@tea.example", "phone": "+14155550001", "brand_email": "brand@tea.example",
    "poc_email": "poc@tea.example", "poc_contact_number": "+14155550002", "incorporation_document": "inc-1",
    "gst_document": "gst-1", "pan_document": "pan-1",
}  # fmt: skip
COMPLETE: dict[str, Any] = {
    "legal_entity_name": "Tea Ltd", "company_type": "llp", "poc_name": "Jo", "poc_designation": "Head",
    **{name: value for name, value in SEALED_FIELDS.items() if name not in ("email", "phone", "brand_email")},
}  # fmt: skip


async def test_everything_personal_is_sealed_in_the_table_and_plain_in_the_answer(
    database: Database, new: Factory
) -> None:
    acme = await new.tenant("acme")
    brand = await new.brand(acme, **SEALED_FIELDS)
    assert SEALED_FIELDS.items() <= dict(brand).items()
    async with Work(database, acme.id) as work:
        row = await work.connection.fetchrow(f"SELECT {', '.join(SEALED_FIELDS)} FROM brands", ())
        assert row is not None
        assert {bytes(value)[:1] for value in row} == {SEALED}
        cleared = changed_row(await work.brands.update(brand.id, given=["brand_email", "gst_document"]))
        assert (cleared.brand_email, cleared.gst_document, cleared.pan_document) == (None, None, "pan-1")


async def test_a_profile_is_completed_when_nothing_of_it_is_missing(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    brand = await new.brand(acme, **COMPLETE)
    assert brand.is_profile_completed
    async with Work(database, acme.id) as work:
        for field, value in COMPLETE.items():
            without = changed_row(await work.brands.update(brand.id, given=[field]))
            again = changed_row(await work.brands.update(brand.id, given=[field], **{field: value}))
            assert (without.is_profile_completed, again.is_profile_completed) == (False, True), field


async def test_brands_are_listed_by_their_type(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    brand, _ = await new.brand(acme, company_type="llp"), await new.brand(acme)
    async with Work(database, acme.id) as work:
        assert await work.brands.page(company_type="llp") == [brand]
        assert await work.brands.page(company_type="other") == []
    with pytest.raises(InvalidInput) as refused:
        await new.brand(acme, company_type="gmbh")
    assert [error.field for error in refused.value.errors] == ["company_type"]


@pytest.mark.parametrize("field", [name for name in SEALED_FIELDS if name not in ("email", "phone")])
async def test_the_database_itself_refuses_what_is_not_sealed(database: Database, new: Factory, field: str) -> None:
    acme = await new.tenant("acme")
    await new.brand(acme)
    with pytest.raises(InvalidInput) as refused:
        async with Work(database, acme.id) as work:
            await work.connection.execute(f"UPDATE brands SET {field} = 'plain'")
    assert [error.field for error in refused.value.errors] == [field]


async def test_a_brand_is_in_use_while_live_campaigns_refer_to_it(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    brand = await new.brand(acme)
    campaign, other = await new.campaign(acme, brand_id=brand.id), await new.campaign(acme, brand_id=brand.id)

    async def remove(work: Work) -> None:
        check_removed(await work.brands.remove(brand.id))

    with pytest.raises(InUse):
        await Work.run(database, remove, acme.id)
    async with Work(database, acme.id) as work:
        check_removed(await work.campaigns.remove(campaign.id))
        changed_row(await work.campaigns.update(other.id, given=["brand_id"]))
    await Work.run(database, remove, acme.id)


async def test_no_campaign_is_for_a_brand_that_is_deleted_or_another_tenants(database: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    gone, theirs = await new.brand(acme), await new.brand(globex)
    campaign = await new.campaign(acme)
    async with Work(database, acme.id) as work:
        check_removed(await work.brands.remove(gone.id))

    async def change(work: Work, brand_id: UUID) -> None:
        await work.campaigns.update(campaign.id, given=["brand_id"], brand_id=brand_id)

    for brand_id in (gone.id, theirs.id):
        for refer in (
            new.campaign(acme, brand_id=brand_id),
            Work.run(database, lambda w, b=brand_id: change(w, b), acme.id),
        ):
            with pytest.raises(MissingReference) as refused:
                await refer
            assert [error.field for error in refused.value.errors] == ["brand_id"]


async def test_a_campaign_and_its_brands_removal_exclude_each_other(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    for number in range(10):
        brand = await new.brand(acme)

        async def create(work: Work, brand_id: UUID = brand.id) -> None:
            await work.campaigns.create(name="Summer", owner_id=acme.owner.id, brand_id=brand_id)

        async def remove(work: Work, brand_id: UUID = brand.id) -> None:
            check_removed(await work.brands.remove(brand_id))

        order = (create, remove) if number % 2 else (remove, create)
        outcomes = await asyncio.gather(*(Work.run(database, each, acme.id) for each in order), return_exceptions=True)
        failed = [outcome for outcome in outcomes if outcome is not None]
        assert len(failed) == 1, outcomes
        assert isinstance(failed[0], InUse | MissingReference)
