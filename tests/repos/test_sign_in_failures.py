"""Failed sign-ins: the statements through the repository, as the serving role."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.database.database import Database
from service.errors import Forbidden, InvalidInput, MissingReference
from service.repos.sign_in_failures import SignInFailure
from service.work import Work


async def noted(database: Database, tenant: NewTenant, **values: Any) -> SignInFailure:
    given = {
        "email": "guess@example.com",
        "user_id": None,
        "ip": None,
        "user_agent": None,
        "request_id": None,
        **values,
    }
    async with Work(database, tenant.id) as work:
        return await work.sign_in_failures.create(**given)


async def test_a_failure_tells_whose_it_was_and_from_where_and_not_the_address(
    database: Database, new: Factory
) -> None:
    acme = await new.tenant("acme")
    for _ in range(2):
        failure = await noted(
            database, acme, user_id=acme.owner.id, ip=IPv4Address("192.0.2.7"), user_agent="Browser", request_id="r"
        )
    assert (failure.user_id, failure.ip, failure.user_agent) == (acme.owner.id, IPv4Address("192.0.2.7"), "Browser")
    await noted(database, acme, email="other@example.com")
    async with Work(database, acme.id) as work:
        rows = await work.connection.fetch("SELECT email_hash, f::text AS row FROM sign_in_failures AS f", ())
    assert len({row["email_hash"] for row in rows}) == 2
    assert not any("example" in row["row"] for row in rows)


async def test_pages_are_newest_first_of_one_user_and_of_this_tenant_alone(database: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    made = [await noted(database, acme, user_id=user_id) for user_id in (None, acme.owner.id, None)]
    async with Work(database, acme.id) as work:
        page = work.sign_in_failures.page
        first = await page(limit=2)
        rest = await page(after_created_at=first[-1].created_at, after_id=first[-1].id)
        assert first + rest == made[::-1]
        assert await page(user_id=acme.owner.id) == [made[1]]
    async with Work(database, globex.id) as work:
        assert await work.sign_in_failures.page() == []


async def test_the_database_itself_refuses_what_is_no_failure(database: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    with pytest.raises(InvalidInput) as refused:
        await noted(database, acme, user_agent="x" * 501)
    assert [error.field for error in refused.value.errors] == ["user_agent"]
    with pytest.raises(MissingReference) as unknown:
        await noted(database, acme, user_id=globex.owner.id)
    assert [error.field for error in unknown.value.errors] == ["user_id"]


@pytest.mark.parametrize("text", ["UPDATE sign_in_failures SET ip = NULL", "DELETE FROM sign_in_failures"])
async def test_the_serving_role_adds_and_takes_nothing_away(database: Database, new: Factory, text: str) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(Forbidden):
        async with Work(database, acme.id) as work:
            await work.connection.execute(text)


async def test_what_is_older_than_the_retention_is_forgotten_oldest_first_and_nothing_younger(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    made = [await noted(database, acme) for _ in range(5)]
    await noted(database, globex)
    for failure, days in zip(made, (367, 368, 366, 364, 0), strict=True):
        superuser.execute(
            "UPDATE quarry.sign_in_failures SET created_at = created_at - %s * interval '1 day' WHERE id = %s",
            (days, failure.id),
        )
    superuser.execute("UPDATE quarry.sign_in_failures SET created_at = '2000-01-01' WHERE tenant_id = %s", (globex.id,))
    superuser.commit()
    async with Work(database, acme.id) as work:
        assert await work.sign_in_failures.prune(2) == 2
        assert {row.id for row in await work.sign_in_failures.page()} == {failure.id for failure in made[2:]}
        assert [await work.sign_in_failures.prune(9) for _ in range(2)] == [1, 0]
        assert {row.id for row in await work.sign_in_failures.page()} == {failure.id for failure in made[3:]}
        other = await work.connection.fetchval("SELECT prune_sign_in_failures($1, 9)", [globex.id])
    async with Work(database, globex.id) as work:
        assert (other, len(await work.sign_in_failures.page())) == (0, 1)
