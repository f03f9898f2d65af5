"""API keys: the statements through the repository, as the serving role."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.database.database import Database
from service.errors import Conflict, InvalidInput, MissingReference
from service.repos.api_keys import ApiKey, KeyBearer
from service.work import Work

SEEN_EVERY = timedelta(minutes=1)
MAC = b"m" * 32


async def issued(database: Database, tenant: NewTenant, number: int = 1, **values: Any) -> ApiKey:
    given = {
        "name": "Import", "role": "member", "key_hash": bytes([number]) * 32, "key_mac": MAC, "created_by": tenant.owner.id,
        "expires_at": None, **values,
    }  # fmt: skip
    async with Work(database, tenant.id) as work:
        return await work.api_keys.create(**given)


async def authenticated(work: Work, number: int = 1) -> KeyBearer | None:
    return await work.api_keys.authenticate(bytes([number]) * 32, seen_every=SEEN_EVERY)


async def test_a_key_leads_to_its_role_inside_its_own_tenant(
    database: Database, platform: Database, new: Factory
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    key = await issued(database, acme, role="viewer")
    async with Work(platform, None) as work:
        await work.tenants.set_status(acme.domain, "suspended")
    async with Work(database, acme.id) as work:
        bearer = await authenticated(work)
        assert bearer is not None
        assert (bearer.key_id, bearer.user_id, bearer.role) == (key.id, acme.owner.id, "viewer")
        assert (bearer.tenant_status, bearer.is_expired, bearer.is_unseen) == ("suspended", False, True)
        assert await authenticated(work, 2) is None
    async with Work(database, globex.id) as work:
        assert await authenticated(work) is None
        assert await work.api_keys.page() == []
        assert (await work.api_keys.revoke(key.id), await work.api_keys.touch([key.id])) == (0, 0)


async def test_an_expired_key_is_known_as_one(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    for number, lifetime in ((1, -1), (2, 60)):
        await issued(database, acme, number, expires_at=datetime.now(UTC) + timedelta(seconds=lifetime))
    async with Work(database, acme.id) as work:
        bearers = [await authenticated(work, number) for number in (1, 2)]
    assert [bearer and bearer.is_expired for bearer in bearers] == [True, False]


async def test_a_key_that_was_not_seen_for_a_while_is_touched_without_a_change(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    key = await issued(database, acme)
    async with Work(database, acme.id) as work:
        assert await work.api_keys.touch([key.id, uuid4()]) == 1
        bearer = await authenticated(work)
        assert bearer is not None
        assert not bearer.is_unseen
        (touched,) = await work.api_keys.page()
    assert touched.last_used_at is not None
    assert (touched.model_copy(update={"last_used_at": None}), work.number) == (key, None)
    superuser.execute("UPDATE quarry.api_keys SET last_used_at = now() - interval '61 seconds'")
    superuser.commit()
    async with Work(database, acme.id) as work:
        bearer = await authenticated(work)
    assert bearer is not None
    assert bearer.is_unseen


async def test_a_revoked_key_is_over(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    key, other = await issued(database, acme, 1), await issued(database, acme, 2)
    async with Work(database, acme.id) as work:
        assert [await work.api_keys.revoke(key.id) for _ in range(2)] == [1, 0]
        assert await authenticated(work, 1) is None
        assert await work.api_keys.touch([key.id]) == 0
        assert await work.api_keys.page() == [other]
    assert work.number is not None


async def test_pages_are_newest_first_and_of_one_role(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    roles = ("admin", "viewer", "admin")
    made = [await issued(database, acme, number, role=role) for number, role in enumerate(roles)]
    async with Work(database, acme.id) as work:
        first = await work.api_keys.page(limit=2)
        rest = await work.api_keys.page(after_created_at=first[-1].created_at, after_id=first[-1].id)
        assert first + rest == made[::-1]
        assert await work.api_keys.page(role="viewer") == [made[1]]
        assert await work.api_keys.page(role="member") == []


async def test_the_database_itself_refuses_what_is_no_key(database: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    for wrong in ({"role": "owner"}, {"key_hash": b"short"}, {"key_mac": b"short"}, {"name": ""}, {"name": "x" * 201}):
        with pytest.raises(InvalidInput) as refused:
            await issued(database, acme, **wrong)
        assert [error.field for error in refused.value.errors] == list(wrong)
    with pytest.raises(MissingReference) as unknown:
        await issued(database, acme, created_by=globex.owner.id)
    assert [error.field for error in unknown.value.errors] == ["created_by"]
    await issued(database, acme)
    await issued(database, globex)
    with pytest.raises(Conflict):
        await issued(database, acme)
