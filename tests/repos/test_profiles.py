"""Brands and influencers: what holds for both, through their repositories, as the serving role."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from arranging.factories import Factory
from arranging.profile_kinds import Profiles
from service.database.database import Database
from service.errors import Conflict, InvalidInput, NotFound
from service.statements.outcomes import changed_row, check_removed
from service.work import Work

AddNiche = Callable[[str], UUID]


async def test_a_profile_is_found_as_it_was_created_with_its_niches_by_name(
    database: Database, new: Factory, profiles: Profiles, add_niche: AddNiche
) -> None:
    acme = await new.tenant("acme")
    tea, art = add_niche("Tea"), add_niche("Art")
    created = await profiles.make(acme, bio="A bio", niche_ids=[tea, art, tea])
    async with Work(database, acme.id) as work:
        found = await profiles.of(work).find(created.id)
        assert await profiles.of(work).exists(created.id)
    assert found == created
    assert [(niche.id, niche.name) for niche in found.niches] == [(art, "Art"), (tea, "Tea")]
    assert (found.bio, found.is_active, found.is_phone_verified, found.version) == ("A bio", True, False, 1)


async def test_a_profile_is_nobody_elses(
    database: Database, new: Factory, profiles: Profiles, add_niche: AddNiche
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    niche = add_niche("Tea")
    created = await profiles.make(acme, niche_ids=[niche])
    async with Work(database, globex.id) as work:
        theirs = profiles.of(work)
        for find in (theirs.find, theirs.restore):
            with pytest.raises(NotFound):
                await find(created.id)
        assert not await theirs.exists(created.id)
        assert await theirs.find_many([created.id]) == await theirs.page() == []
        assert await theirs.update(created.id, given=["bio"], bio="Theirs") is None
        assert await theirs.remove(created.id) is None
        assert await theirs.verify_phone(created.phone) == []
        for count in (theirs.attach_niche(created.id, niche), theirs.detach_niche(created.id, niche)):
            assert await count == 0
        assert await theirs.replace_niches(created.id, []) == 0
    async with Work(database, acme.id) as work:
        assert await profiles.of(work).find(created.id) == created


async def test_a_change_answers_the_row_and_whether_its_version_was_the_expected_one(
    database: Database, new: Factory, profiles: Profiles, add_niche: AddNiche
) -> None:
    acme = await new.tenant("acme")
    created = await profiles.make(acme, bio="Old", profile_image="https://x.example", niche_ids=[add_niche("Tea")])
    async with Work(database, acme.id) as work:
        update = profiles.of(work).update
        changed = changed_row(
            await update(created.id, version=1, given=["bio", "username"], username="new.name", profile_image="Ignored")
        )
        assert (changed.username, changed.bio, changed.profile_image) == ("new.name", None, "https://x.example")
        assert (changed.niches, changed.email, changed.version) == (created.niches, created.email, 2)
        stale = await update(created.id, version=1, given=["bio"], bio="Third")
        assert (stale.applied, stale.bio, stale.version, stale.niches) == (False, None, 2, created.niches)
        assert await update(uuid4(), given=[]) is None


async def test_a_deleted_profile_is_nowhere_and_comes_back_as_it_was(
    database: Database, new: Factory, profiles: Profiles, add_niche: AddNiche
) -> None:
    acme = await new.tenant("acme")
    niche = add_niche("Tea")
    created = await profiles.make(acme, niche_ids=[niche])
    async with Work(database, acme.id) as work:
        gone = profiles.of(work)
        assert await gone.remove(created.id, version=9) is False
        check_removed(await gone.remove(created.id, version=1))
        assert await gone.remove(created.id) is None
        assert await gone.page() == await gone.find_many([created.id]) == await gone.verify_phone(created.phone) == []
        assert await gone.update(created.id, given=[]) is None
        for change in (gone.attach_niche(created.id, add_niche("Art")), gone.detach_niche(created.id, niche)):
            assert await change == 0
        assert await gone.replace_niches(created.id, []) == 0
        with pytest.raises(NotFound):
            await gone.find(created.id)
        back = await gone.restore(created.id)
        assert back.model_copy(update={"version": 1, "updated_at": created.updated_at}) == created
        assert await gone.restore(created.id) == back


@pytest.mark.parametrize("field", ["username", "email", "phone"])
async def test_what_a_live_profile_has_is_taken(
    database: Database, new: Factory, profiles: Profiles, field: str
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    created, other = await profiles.make(acme), await profiles.make(acme)
    taken = {field: getattr(created, field)}
    for change in (
        lambda _: profiles.make(acme, **taken),
        lambda work: profiles.of(work).update(other.id, given=[field], **taken),
    ):
        with pytest.raises(Conflict) as refused:
            async with Work(database, acme.id) as work:
                await change(work)
        assert refused.value.field == field
    assert getattr(await profiles.make(globex, **taken), field) == taken[field]


@pytest.mark.parametrize("field", ["username", "email", "phone"])
async def test_a_profile_does_not_come_back_to_what_is_taken_meanwhile(
    database: Database, new: Factory, profiles: Profiles, field: str
) -> None:
    acme = await new.tenant("acme")
    created = await profiles.make(acme)
    async with Work(database, acme.id) as work:
        check_removed(await profiles.of(work).remove(created.id))
    await profiles.make(acme, **{field: getattr(created, field)})
    with pytest.raises(Conflict) as refused:
        async with Work(database, acme.id) as work:
            await profiles.of(work).restore(created.id)
    assert refused.value.field == field


async def test_pages_are_newest_first_and_filtered_by_what_is_sealed_too(
    database: Database, new: Factory, profiles: Profiles
) -> None:
    acme = await new.tenant("acme")
    made = [await profiles.make(acme, is_active=number != 1) for number in range(3)]
    async with Work(database, acme.id) as work:
        page = profiles.of(work).page
        first = await page(limit=2)
        rest = await page(after_created_at=first[-1].created_at, after_id=first[-1].id)
        assert first + rest == made[::-1]
        for field in ("email", "phone", "username"):
            assert await page(**{field: getattr(made[1], field)}) == [made[1]]
            assert await page(**{field: "nobody"}) == []
        assert await page(email=made[0].email, phone=made[1].phone) == []
        assert await page(is_active=False) == [made[1]]
        assert await profiles.of(work).find_many([each.id for each in made] * 2) == sorted(made, key=lambda p: p.id)


@pytest.mark.parametrize("wrong", [{"username": "Upper"}, {"username": "ab"}, {"bio": "x" * 10_001}, {"name": ""}])
async def test_the_database_itself_refuses_what_is_no_profile(
    new: Factory, profiles: Profiles, wrong: dict[str, str]
) -> None:
    acme = await new.tenant("acme")
    wrong = {profiles.name if field == "name" else field: value for field, value in wrong.items()}
    with pytest.raises(InvalidInput) as refused:
        await profiles.make(acme, **wrong)
    assert [error.field for error in refused.value.errors] == list(wrong)
