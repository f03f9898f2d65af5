"""The log: the audit and the stream that are read from it, and what is forgotten of it."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID, uuid4

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.database.database import Database
from service.errors import Forbidden, InvalidInput
from service.repos import log
from service.repos.log import AuditedChange, LoggedCommit, PolledPlace, StreamPlace
from service.statements.outcomes import changed_row
from service.tenancy.identity import Actor, Origin
from service.work import Work


async def rename(database: Database, tenant: NewTenant, *names: str, actor: Actor | None = None) -> int:
    """One commit that renames the owner so many times; its number."""
    origin = Origin(IPv4Address("192.0.2.7"), "request-1")
    async with Work(database, tenant.id, origin=origin, actor=actor) as work:
        for name in names:
            changed_row(await work.users.update(tenant.owner.id, given=["display_name"], display_name=name))
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
        assert (await work.installation.find()).log_retention == timedelta(days=365)
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


async def place(database: Database, tenant: NewTenant) -> StreamPlace:
    async with Work(database, tenant.id, read_only=True) as work:
        return await work.log.place()


async def polled(database: Database, *tenants: UUID) -> list[PolledPlace]:
    async with Work(database, None, read_only=True) as work:
        return await work.log.poll(list(tenants))


async def streamed(database: Database, tenant: NewTenant, after: int = 0, **limits: int) -> list[LoggedCommit]:
    async with Work(database, tenant.id, read_only=True) as work:
        return await work.log.commits_since(after, **{"most": 100, "budget": 1000, "limit": 100, **limits})


async def test_a_place_says_where_the_tenants_stream_begins_and_ends(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    number = await rename(database, acme, "Jo")
    assert await place(database, acme) == StreamPlace(epoch=1, shared_number=0, head=number, floor=0)
    age(superuser, acme, number - 1, 366)
    async with Work(database, acme.id) as work:
        await work.log.prune(99)
    superuser.execute("INSERT INTO app.niches (name) VALUES ('travel')")
    superuser.commit()
    assert await place(database, acme) == StreamPlace(epoch=1, shared_number=1, head=number, floor=number - 1)
    assert await place(database, globex) == StreamPlace(epoch=1, shared_number=1, head=2, floor=0)


async def test_the_places_of_several_tenants_are_polled_at_once_without_being_any(
    database: Database, new: Factory
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    await new.tenant("initech")
    number = await rename(database, acme, "Jo")
    found = await polled(database, acme.id, globex.id, uuid4())
    assert {each.tenant: (each.head, each.floor, each.epoch, each.shared_number) for each in found} == {
        acme.id: (number, 0, 1, 0),
        globex.id: (2, 0, 1, 0),
    }


async def test_a_poll_for_nobody_answers_what_holds_for_everybody(database: Database, new: Factory) -> None:
    await new.tenant("acme")
    for tenants in ([], [uuid4()]):
        assert await polled(database, *tenants) == [
            PolledPlace(tenant=None, head=None, floor=None, epoch=1, shared_number=0)
        ]


async def test_commits_are_read_in_order_after_a_number_some_at_a_time(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    last = [await rename(database, acme, name) for name in "abcdef"][-1]
    everything = await streamed(database, acme)
    assert [each.number for each in everything] == list(range(1, last + 1))
    assert [each.at for each in everything] == sorted(each.at for each in everything)
    assert await streamed(database, acme, 3, limit=2) == everything[3:5]
    assert await streamed(database, acme, last) == await streamed(database, acme, last + 9) == []


async def test_a_commit_has_its_changes_in_order(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    brand = await new.brand(acme)
    async with Work(database, acme.id) as work:
        await work.users.update(acme.owner.id, given=["display_name", "email"], display_name="Jo", email="jo@x.example")
        campaign = await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
        await work.brands.remove(brand.id)
        await work.campaigns.erase(campaign.id)
    assert work.number is not None
    (commit,) = await streamed(database, acme, work.number - 1)
    assert commit.is_whole
    assert commit.changes == [
        ("users", "update", acme.owner.id, ["email", "email_index", "display_name"]),
        ("campaigns", "insert", campaign.id, None),
        ("brands", "update", brand.id, ["deleted_at"]),
        ("campaigns", "delete", campaign.id, None),
    ]


@pytest.mark.parametrize(("most", "is_whole"), [(1, False), (2, False), (3, True), (4, True)])
async def test_a_commit_with_more_changes_than_asked_for_is_cut_and_says_so(
    database: Database, new: Factory, most: int, *, is_whole: bool
) -> None:
    acme = await new.tenant("acme")
    campaigns = [await new.campaign(acme) for _ in range(3)]
    async with Work(database, acme.id) as work:
        for campaign in campaigns:
            assert await work.campaigns.erase(campaign.id) == 1
    assert work.number is not None
    (commit,) = await streamed(database, acme, work.number - 1, most=most)
    assert [row for _, _, row, _ in commit.changes] == [campaign.id for campaign in campaigns][:most]
    assert commit.is_whole is is_whole


async def test_the_commits_of_another_tenant_are_never_read(database: Database, new: Factory, superuser: Any) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    superuser.execute(
        "UPDATE quarry.users SET display_name = 'both'"
    )  # one transaction of both, so that xids are the same
    superuser.commit()
    for tenant in (acme, globex):
        commits = await streamed(database, tenant)
        assert [len(each.changes) for each in commits] == [1, 1, 1]
        assert {row for each in commits for _, _, row, _ in each.changes} == {tenant.id, tenant.owner.id}


async def test_commits_that_have_more_changes_than_the_budget_are_left_for_the_next_read(
    database: Database, new: Factory
) -> None:
    acme = await new.tenant("acme")
    sizes = [1, 1, 3, 1, 2]  # of the tenant, of its owner, and of what follows
    for names in ("abc", "d", "ef"):
        await rename(database, acme, *names)
    for budget, expected in ((1, 1), (2, 2), (3, 3), (5, 3), (6, 4), (99, 5)):
        found = await streamed(database, acme, budget=budget)
        assert [len(each.changes) for each in found] == sizes[:expected], budget
    assert [each.number for each in await streamed(database, acme, 2, budget=1)] == [3]
    cut = await streamed(database, acme, most=1, budget=5)  # of three, the two that show that it is cut count
    assert [each.is_whole for each in cut] == [True, True, False, True]


@pytest.mark.parametrize(("after", "limit", "more"), [(0, 4, True), (0, 5, True), (0, 6, False), (5, 6, False)])
async def test_a_reader_learns_whether_to_read_on(
    database: Database, new: Factory, after: int, limit: int, *, more: bool
) -> None:
    acme = await new.tenant("acme")
    for name in "abc":
        await rename(database, acme, name)
    async with Work(database, acme.id, read_only=True) as work:
        page = await work.log.read_on(after, most=9, limit=limit)
    assert page.commits == await streamed(database, acme, after, limit=limit)
    assert page.more is more


@pytest.mark.parametrize(("budget", "more"), [(5, True), (6, True), (7, True), (8, False)])
async def test_a_reader_reads_on_after_a_page_that_the_budget_ended(
    database: Database, new: Factory, monkeypatch: pytest.MonkeyPatch, budget: int, *, more: bool
) -> None:
    acme = await new.tenant("acme")
    await rename(database, acme, *"abcdef")
    await rename(database, acme, "g")
    monkeypatch.setattr(log, "_BUDGET", budget)
    async with Work(database, acme.id, read_only=True) as work:
        page = await work.log.read_on(0, most=3, limit=9)
    assert [each.number for each in page.commits] == ([1, 2, 3] if budget < 7 else [1, 2, 3, 4])
    assert page.more is more
