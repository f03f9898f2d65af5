"""The log: the audit that is read from it, and what is forgotten of it."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID, uuid4

import pytest

from factories import Factory, NewTenant
from service.database import Database
from service.errors import Forbidden, InvalidInput
from service.repos.log import AuditedChange
from service.repos.rows import settled
from service.tenancy.identity import Actor, Origin
from service.work import Work


async def rename(database: Database, tenant: NewTenant, *names: str, actor: Actor | None = None) -> int:
    """One commit that renames the owner so many times; its number."""
    origin = Origin(IPv4Address("192.0.2.7"), "request-1")
    async with Work(database, tenant.id, origin=origin, actor=actor) as work:
        for name in names:
            settled(await work.users.update(tenant.owner.id, given=["display_name"], display_name=name))
    assert work.number is not None
    return work.number


async def audit(database: Database, tenant: NewTenant, **filters: Any) -> list[AuditedChange]:
    async with Work(database, tenant.id, read_only=True) as work:
        return await work.log.audit(**filters)


def age(superuser: Any, tenant: NewTenant, number: int, days: int) -> None:
    """Let the commits up to this one be so old."""
    superuser.execute(
        "UPDATE app.commits SET at = now() - %s * interval '1 day' WHERE tenant_id = %s AND number <= %s",
        (days, tenant.id, number),
    )
    superuser.commit()


async def numbers(database: Database, tenant: NewTenant) -> tuple[list[int], int]:
    """The numbers that are left in order, and the floor."""
    async with Work(database, tenant.id, read_only=True) as work:
        rows = await work.connection.fetch("SELECT number FROM app.commits ORDER BY number", ())
        return [row["number"] for row in rows], await work.connection.fetchval("SELECT floor FROM app.heads", ())


async def test_the_audit_says_who_did_what_to_which_row_and_from_where(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    number = await rename(database, acme, "Jo", actor=Actor(acme.owner.id, UUID(int=5)))
    (change,) = await audit(database, acme, limit=1)
    assert (change.number, change.ordinal, change.table_name, change.operation) == (number, 1, "users", "update")
    assert (change.row_id, change.columns) == (acme.owner.id, ["display_name"])
    assert (change.actor_id, change.session_id) == (acme.owner.id, UUID(int=5))
    assert (change.ip, change.request_id) == (IPv4Address("192.0.2.7"), "request-1")


async def test_the_audit_is_paged_newest_first_across_the_changes_of_a_commit(database: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    for names in (["a", "b", "c"], ["d"], ["e", "f"]):
        await rename(database, acme, *names)
        await rename(database, globex, *names)
    everything = await audit(database, acme)
    keys = [(each.number, each.ordinal) for each in everything]
    assert (len(keys), keys) == (8, sorted(keys, reverse=True))
    paged: list[AuditedChange] = []
    while page := await audit(
        database, acme, limit=2,
        **({"after_number": paged[-1].number, "after_ordinal": paged[-1].ordinal} if paged else {}),
    ):  # fmt: skip
        paged += page
    assert paged == everything


async def test_the_audit_is_filtered_by_actor_table_and_row(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme)
    number = await rename(database, acme, "Jo", actor=Actor(acme.owner.id))
    await rename(database, acme, "Jo again", actor=Actor(uuid4()))

    async def found(**filters: Any) -> list[int]:
        return [each.number for each in await audit(database, acme, **filters)]

    assert await found(actor_id=acme.owner.id) == [number]
    assert await found(table_name="campaigns") == await found(row_id=campaign.id) == [number - 1]
    assert await found(row_id=acme.owner.id, table_name="users") == [number + 1, number, number - 2]
    assert await found(row_id=acme.owner.id, after_number=number, after_ordinal=1) == [number - 2]
    assert await found(actor_id=acme.owner.id, table_name="campaigns") == await found(row_id=uuid4()) == []


async def test_what_is_older_than_the_retention_is_forgotten_and_the_floor_rises(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    last = [await rename(database, acme, "a", "b") for _ in range(5)][-1]
    age(superuser, acme, last - 1, 364)
    age(superuser, acme, last - 2, 366)
    seen = []
    for limit in (2, 100, 100):
        async with Work(database, acme.id) as work:
            count = await work.log.prune(limit)
        left, floor = await numbers(database, acme)
        assert left == list(range(floor + 1, last + 1))
        assert [each.number for each in await audit(database, acme)][-1] == floor + 1
        seen.append((count, floor))
    assert seen == [(2, 2), (last - 4, last - 2), (0, last - 2)]
    assert superuser.execute("SELECT count(*) FROM app.changes AS h WHERE tenant_id = %s AND NOT EXISTS"
                             " (SELECT FROM app.commits AS c WHERE (c.tenant_id, c.xid) = (h.tenant_id, h.xid))",
                             (acme.id,)).fetchone() == (0,)  # fmt: skip
    assert await rename(database, acme, "c") == last + 1


async def test_a_tenant_that_is_not_bound_keeps_its_log(database: Database, new: Factory, superuser: Any) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    for tenant in (acme, globex):
        age(superuser, tenant, 99, 1000)
    before = await numbers(database, globex)
    async with Work(database, acme.id) as work:
        assert await work.connection.fetchval("SELECT app.prune_log($1, 99)", [globex.id]) == 0
        assert await work.log.prune(99) > 0
    assert await numbers(database, globex) == before


async def test_the_retention_is_a_year_and_the_platforms_to_change(
    database: Database, platform: Database, new: Factory, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    retain = "UPDATE app.installation SET log_retention = $1::text::interval"
    async with Work(database, acme.id) as work:
        assert (await work.log.installation()).log_retention == timedelta(days=365)
    with pytest.raises(Forbidden):
        async with Work(database, acme.id) as work:
            await work.connection.fetch(retain, ["1 day"])
    with pytest.raises(InvalidInput):
        async with Work(platform, None) as work:
            await work.connection.fetch(retain, ["23 hours"])
    async with Work(platform, None) as work:
        await work.connection.fetch(retain, ["2 days"])
    age(superuser, acme, 99, 3)
    async with Work(database, acme.id) as work:
        assert await work.log.prune(99) > 0
