"""Users: the statements through the repository, as the serving role."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import Conflict, DatabaseError, InUse, InvalidInput, NotFound, StaleVersion
from service.personal.keyring import SEALED
from service.statements.outcomes import changed_row, check_removed
from service.work import Work


async def test_a_user_is_found_as_they_were_created_and_by_their_own_tenant_only(
    database: Database, new: Factory
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    user = await new.user(acme.id, email="user@acme.example", role="viewer")
    async with Work(database, acme.id) as work:
        assert await work.users.find(user.id) == user
        assert {found.id for found in await work.users.page()} == {user.id, acme.owner.id}
    async with Work(database, globex.id) as work:
        assert await work.users.find_credentials(user.email) is None
        assert await work.users.update(user.id, given=["role"], role="owner") is None
        assert await work.users.remove(user.id) is None
        assert await work.users.set_password(user.id, "stolen") == 0
        assert await work.sessions.revoke_of_user(user.id) == 0
        for find in (work.users.find, work.users.credentials):
            with pytest.raises(NotFound):
                await find(user.id)


async def test_the_database_itself_refuses_what_is_no_user(new: Factory) -> None:
    acme = await new.tenant("acme")
    for wrong, field in (
        ({"display_name": ""}, "display_name"),
        ({"display_name": "x" * 201}, "display_name"),
        ({"role": "root"}, "role"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await new.user(acme.id, **wrong)
        assert [error.field for error in refused.value.errors] == [field]
    with pytest.raises(Conflict) as taken:
        await new.user(acme.id, email=acme.owner.email)
    assert taken.value.field == "email"


@pytest.mark.parametrize("wrong", ["email = '\\x'", "email = '\\x02aa'", "email = 'plain'", "email_index = '\\xaa'"])
async def test_the_database_itself_refuses_an_address_that_is_not_sealed(
    database: Database, new: Factory, wrong: str
) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(InvalidInput) as refused:
        async with Work(database, acme.id) as work:
            await work.connection.execute(f"UPDATE users SET {wrong}")
    assert [error.field for error in refused.value.errors] == ["email"]


async def test_the_same_address_is_sealed_otherwise_each_time_and_found_in_its_own_tenant_alone(
    database: Database, new: Factory
) -> None:
    sealed = []
    for tenant in (await new.tenant("acme"), await new.tenant("globex")):
        user = await new.user(tenant.id, email="same@example.com")
        async with Work(database, tenant.id) as work:
            found = await work.users.find_credentials("same@example.com")
            assert found is not None
            assert found.id == user.id
            assert [row.id for row in await work.users.page(email="same@example.com")] == [user.id]
            assert await work.users.page(email="Same@example.com") == []
            sealed += await work.connection.fetch("SELECT email, email_index FROM users WHERE id = $1", [user.id])
    assert not any(b"same" in bytes(value) for row in sealed for value in row)
    assert all(row["email"][:1] == SEALED for row in sealed)
    assert sealed[0]["email"] != sealed[1]["email"]
    assert sealed[0]["email_index"] != sealed[1]["email_index"]


async def test_the_same_address_again_is_no_change(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        changed = changed_row(await work.users.update(acme.owner.id, given=["email"], email=acme.owner.email))
    assert (changed, work.number) == (changed.model_copy(update={"version": 1}), None)
    async with Work(database, acme.id) as work:
        changed = changed_row(await work.users.update(acme.owner.id, given=["email"], email="other@acme.example"))
        assert (changed.email, changed.version) == ("other@acme.example", 2)
        assert await work.users.find_credentials(acme.owner.email) is None


async def test_what_another_key_sealed_is_stale_until_it_is_sealed_again(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    keyring = database.keyring
    assert keyring is not None
    async with Work(database, acme.id) as work:
        stale, nowhere, kept = work.users.stale, UUID(int=0), keyring.hash_prefix(keyring.prefix)
        assert await stale(keyring.prefix, hash_prefix=kept, after=nowhere, limit=9) == []
        for prefix, hash_prefix in ((b"\x01another", kept), (keyring.prefix, "sealed:another")):
            (row,) = await stale(prefix, hash_prefix=hash_prefix, after=nowhere, limit=9)
            assert await stale(prefix, hash_prefix=hash_prefix, after=row.id, limit=9) == []
        email, index = work.binding.seal("new@acme.example", "users.email", row.id), b"i" * 32
        for version, count in ((7, 0), (row.version, 1)):
            assert count == await work.users.reseal(
                ids=[row.id], versions=[version], emails=[email], email_indexes=[index], password_hashes=["another"]
            )
        assert (row.version, (await work.users.find(row.id)).email) == (1, "new@acme.example")
        assert (await work.users.credentials(row.id)).password_hash == "another"


async def test_a_change_answers_the_row_and_whether_its_version_was_the_expected_one(
    database: Database, new: Factory
) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        update = work.users.update
        changed = changed_row(await update(acme.owner.id, version=1, given=["display_name"], display_name="Other"))
        assert (changed.display_name, changed.version, changed.email) == ("Other", 2, acme.owner.email)
        stale = await update(acme.owner.id, version=1, given=["display_name"], display_name="Third")
        assert stale is not None
        assert (stale.applied, stale.display_name, stale.version) == (False, "Other", 2)
        with pytest.raises(StaleVersion):
            changed_row(stale)
        assert changed_row(await update(acme.owner.id, given=[], display_name="Ignored")).display_name == "Other"
        assert await update(uuid4(), given=[]) is None


async def test_a_password_is_replaced_only_while_it_is_the_one_that_was_compared(
    database: Database, new: Factory
) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        old = (await work.users.credentials(acme.owner.id)).password_hash
        assert await work.users.set_password(acme.owner.id, "second", current=old) == 1
        assert await work.users.set_password(acme.owner.id, "third", current=old) == 0
        assert (await work.users.credentials(acme.owner.id)).password_hash == "second"
        assert await work.users.set_password(acme.owner.id, "third") == 1
        assert await work.users.set_password(uuid4(), "third") == 0


async def test_a_removed_user_is_nowhere_to_be_found(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    user = await new.user(acme.id, email="user@acme.example")
    async with Work(database, acme.id) as work:
        with pytest.raises(StaleVersion):
            check_removed(await work.users.remove(user.id, version=9))
        check_removed(await work.users.remove(user.id, version=1))
        assert await work.users.remove(user.id) is None
        assert await work.users.find_credentials(user.email) is None
        assert await work.users.set_password(user.id, "x") == 0
        assert [found.id for found in await work.users.page()] == [acme.owner.id]


async def test_a_campaign_and_its_owners_removal_exclude_each_other(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    for number in range(10):
        user = await new.user(acme.id, email=f"{number}@acme.example")

        async def create(work: Work, owner: object = user.id) -> None:
            await work.campaigns.create(name="Summer", owner_id=owner)  # type: ignore[arg-type]

        async def remove(work: Work, owner: object = user.id) -> None:
            check_removed(await work.users.remove(owner))  # type: ignore[arg-type]

        order = (create, remove) if number % 2 else (remove, create)
        outcomes = await asyncio.gather(*(Work.run(database, each, acme.id) for each in order), return_exceptions=True)
        failed = [outcome for outcome in outcomes if outcome is not None]
        assert len(failed) == 1, outcomes
        assert isinstance(failed[0], InUse | InvalidInput)
        assert isinstance(failed[0], DatabaseError)
