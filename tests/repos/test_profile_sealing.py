"""Addresses and phones of brands and influencers: sealed, found again, verified and sealed again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from arranging.factories import Factory
from arranging.profile_kinds import Profiles
from service.database.database import Database
from service.errors import InvalidInput
from service.personal.keyring import SEALED
from service.statements.outcomes import changed_row, check_removed
from service.work import Work


async def test_the_same_text_keeps_what_is_sealed_and_is_no_change(
    database: Database, new: Factory, profiles: Profiles
) -> None:
    acme = await new.tenant("acme")
    created = await profiles.make(acme)
    same = {"email": created.email, "phone": created.phone}
    async with Work(database, acme.id) as work:
        before = await profiles.raw(work, created.id, "email, phone")
        changed_row(await profiles.of(work).update(created.id, given=list(same), **same))
        assert await profiles.raw(work, created.id, "email, phone") == before
    assert work.number is None
    async with Work(database, acme.id) as work:
        other = changed_row(await profiles.of(work).update(created.id, given=["email"], email="other@example.com"))
        after = await profiles.raw(work, created.id, "email, phone")
    assert (other.email, other.phone, other.version) == ("other@example.com", created.phone, 2)
    assert (after["email"] == before["email"], after["phone"] == before["phone"]) == (False, True)


async def test_another_phone_has_not_been_verified(database: Database, new: Factory, profiles: Profiles) -> None:
    acme = await new.tenant("acme")
    created, other = await profiles.make(acme), await profiles.make(acme)
    async with Work(database, acme.id) as work:
        assert [row.id for row in await profiles.of(work).verify_phone(created.phone)] == [created.id]
        update = profiles.of(work).update
        same = changed_row(await update(created.id, given=["phone", "bio"], phone=created.phone, bio="Bio"))
        assert same.is_phone_verified
        assert not (await profiles.of(work).find(other.id)).is_phone_verified
        changed = changed_row(await update(created.id, given=["phone"], phone="+14155559999"))
        assert (changed.phone, changed.is_phone_verified) == ("+14155559999", False)
        assert await profiles.of(work).verify_phone(created.phone) == []


async def test_the_table_holds_sealed_values_that_differ_for_the_same_text(
    database: Database, new: Factory, profiles: Profiles
) -> None:
    rows = []
    for name in ("acme", "globex"):
        tenant = await new.tenant(name)
        created = await profiles.make(tenant, email="same@example.com", phone="+14155550000")
        async with Work(database, tenant.id) as work:
            rows.append(await profiles.raw(work, created.id, "email, email_index, phone, phone_index"))
    assert not {*rows[0]} & {*rows[1]}
    for row in rows:
        assert row["email"][:1] == row["phone"][:1] == SEALED
        assert not any(plain in value for value in row for plain in (b"same", b"1415555"))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ("email = '\\x02aa'", "email"),
        ("email = 'plain'", "email"),
        ("email_index = '\\xaa'", "email"),
        ("phone = '\\x'", "phone"),
        ("phone_index = '\\xaa'", "phone"),
    ],
)
async def test_the_database_itself_refuses_what_is_not_sealed(
    database: Database, new: Factory, profiles: Profiles, wrong: str, field: str
) -> None:
    acme = await new.tenant("acme")
    await profiles.make(acme)
    with pytest.raises(InvalidInput) as refused:
        async with Work(database, acme.id) as work:
            await work.connection.execute(f"UPDATE {profiles.table} SET {wrong}")
    assert [error.field for error in refused.value.errors] == [field]


async def test_what_another_key_sealed_is_stale_deleted_or_not_and_sealed_again_unless_changed_meanwhile(
    database: Database, new: Factory, profiles: Profiles
) -> None:
    acme = await new.tenant("acme")
    created = await profiles.make(acme)
    async with Work(database, acme.id) as work:
        stale, binding = profiles.of(work).stale, work.binding
        check_removed(await profiles.of(work).remove(created.id))
        assert await stale(binding.keyring.prefix, after=UUID(int=0), limit=9) == []
        (row,) = await stale(b"\x01other", after=UUID(int=0), limit=9)
        assert await stale(b"\x01other", after=row.id, limit=9) == []
        values: dict[str, Any] = {f"{name}s": [value] for name, value in row if name not in ("id", "version")}
        for field in ("email", "phone"):
            values[f"{field}s"] = [binding.seal(f"new {field}", f"{profiles.table}.{field}", row.id)]
            values[f"{field}_indexes"] = [binding.index(f"new {field}", f"{profiles.table}.{field}")]
        for version, count in ((9, 0), (row.version, 1)):
            assert await profiles.of(work).reseal(ids=[row.id], versions=[version], **values) == count
        back = await profiles.of(work).restore(created.id)
    assert (back.email, back.phone) == ("new email", "new phone")
