"""The niches of brands and influencers: attached, detached and replaced as a part of the profile."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from arranging.factories import Factory
from arranging.profile_kinds import Profiles
from service.database.database import Database
from service.errors import MissingReference
from service.statements.outcomes import changed_row
from service.work import Work

AddNiche = Callable[[str], UUID]


async def test_a_profile_and_its_niches_are_one_statement_and_one_commit(
    database: Database, new: Factory, profiles: Profiles, add_niche: AddNiche
) -> None:
    acme = await new.tenant("acme")
    niche = add_niche("Tea")
    statements: list[str] = []
    database.pool.observe = lambda name, *_: statements.append(name)
    created = await profiles.make(acme, niche_ids=[niche])
    assert statements == [f"{profiles.table}.create"]
    async with Work(database, acme.id) as work:
        audited = await work.log.audit(limit=2)
    assert {(each.table_name, each.operation) for each in audited} == {
        (profiles.table, "insert"), (f"{profiles.noun}_niches", "insert"),
    }  # fmt: skip
    assert created.id in {each.row_id for each in audited}
    assert len({each.number for each in audited}) == 1


async def test_a_profile_with_a_niche_that_does_not_exist_is_not_created(
    database: Database, new: Factory, profiles: Profiles, add_niche: AddNiche
) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(MissingReference) as refused:
        await profiles.make(acme, niche_ids=[add_niche("Tea"), uuid4()])
    assert [error.field for error in refused.value.errors] == ["niche_id"]
    created = await profiles.make(acme)
    for attach in (lambda p: p.attach_niche(created.id, uuid4()), lambda p: p.replace_niches(created.id, [uuid4()])):
        with pytest.raises(MissingReference):
            async with Work(database, acme.id) as work:
                await attach(profiles.of(work))
    async with Work(database, acme.id) as work:
        assert await profiles.of(work).page() == [created]


async def test_niches_raise_the_version_once_and_only_when_they_become_others(
    database: Database, new: Factory, profiles: Profiles, add_niche: AddNiche
) -> None:
    acme = await new.tenant("acme")
    a, b, c = add_niche("A"), add_niche("B"), add_niche("C")
    id = (await profiles.make(acme, niche_ids=[a])).id
    version = 1
    for change, count, niches in (
        (lambda p: p.attach_niche(id, b), 1, [a, b]),
        (lambda p: p.attach_niche(id, b), 0, [a, b]),
        (lambda p: p.detach_niche(id, a), 1, [b]),
        (lambda p: p.detach_niche(id, a), 0, [b]),
        (lambda p: p.replace_niches(id, [c, a, c]), 1, [a, c]),
        (lambda p: p.replace_niches(id, [a, c]), 0, [a, c]),
        (lambda p: p.replace_niches(id, [c]), 1, [c]),
        (lambda p: p.replace_niches(id, []), 1, []),
    ):
        async with Work(database, acme.id) as work:
            assert await change(profiles.of(work)) == count
        version += count
        assert (work.number is not None) == bool(count)
        async with Work(database, acme.id) as work:
            found = await profiles.of(work).find(id)
        assert ([niche.id for niche in found.niches], found.version) == (niches, version)


async def test_fields_and_niches_changed_together_raise_the_version_once(
    database: Database, new: Factory, profiles: Profiles, add_niche: AddNiche
) -> None:
    acme = await new.tenant("acme")
    created = await profiles.make(acme)
    async with Work(database, acme.id) as work:
        changed_row(await profiles.of(work).update(created.id, version=1, given=["bio"], bio="New"))
        assert await profiles.of(work).replace_niches(created.id, [add_niche("A"), add_niche("B")]) == 1
        assert (await profiles.of(work).find(created.id)).version == 2
