"""The log: one number per tenant and transaction, dense, in commit order, whatever anybody sets or undoes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID, uuid4

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.database.database import Database
from service.errors import NotFound
from service.repos.campaigns import Campaign
from service.tenancy.identity import Actor, Origin
from service.work import Work


class Log:
    """The log as the superuser sees it."""

    def __init__(self, superuser: Any) -> None:
        superuser.autocommit = True
        self.superuser = superuser

    def head(self, tenant: NewTenant) -> int:
        return int(self.one("SELECT head FROM app.heads WHERE tenant_id = %s", tenant.id)[0])

    def numbers(self, tenant: NewTenant) -> list[int]:
        rows = self.superuser.execute(
            "SELECT number FROM app.commits WHERE tenant_id = %s ORDER BY number", [tenant.id]
        )
        return [number for (number,) in rows]

    def changes(self, tenant: NewTenant, number: int | None) -> list[tuple[str, str, UUID, list[str] | None]]:
        """The changes of one commit, in order."""
        return self.superuser.execute(  # type: ignore[no-any-return]
            "SELECT table_name, operation, row_id, columns FROM app.commits JOIN app.changes USING (tenant_id, xid)"
            " WHERE tenant_id = %s AND number = %s ORDER BY ordinal",
            [tenant.id, number],
        ).fetchall()

    def one(self, text: str, *values: object) -> Any:
        return self.superuser.execute(text, values).fetchone()


@pytest.fixture
def log(superuser: Any) -> Log:
    return Log(superuser)


class Undo(Exception):
    pass


async def create(work: Work, tenant: NewTenant, name: str) -> Campaign:
    return await work.campaigns.create(name=name, owner_id=tenant.owner.id)


async def undo(work: Work, tenant: NewTenant, *statements: str) -> None:
    """A campaign, and whatever follows it, undone by ROLLBACK TO."""
    with contextlib.suppress(Undo):
        async with work.savepoint("undone"):
            await create(work, tenant, "Undone")
            for statement in statements:
                await work.connection.execute(statement)
            raise Undo


async def test_several_statements_of_a_transaction_are_one_number(database: Database, new: Factory, log: Log) -> None:
    acme = await new.tenant("acme")
    before = log.head(acme)
    async with Work(database, acme.id) as work:
        first = await create(work, acme, "First")
        second = await create(work, acme, "Second")
        assert await work.campaigns.erase(first.id) == 1
    assert work.number == log.head(acme) == before + 1
    assert [(operation, row) for _, operation, row, _ in log.changes(acme, work.number)] == [
        ("insert", first.id), ("insert", second.id), ("delete", first.id),
    ]  # fmt: skip


async def test_an_undone_change_leaves_no_trace_and_the_next_one_gets_the_number(
    database: Database, new: Factory, log: Log
) -> None:
    acme = await new.tenant("acme")
    before = log.head(acme)
    async with Work(database, acme.id) as work:
        await undo(work, acme)
        kept = await create(work, acme, "Kept")
    assert work.number == before + 1
    assert [row for _, _, row, _ in log.changes(acme, work.number)] == [kept.id]
    assert log.one("SELECT count(*) FROM app.changes WHERE ordinal = 1") == log.one("SELECT count(*) FROM app.commits")


async def test_a_change_before_an_undone_one_keeps_its_number(database: Database, new: Factory, log: Log) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        kept = await create(work, acme, "Kept")
        await undo(work, acme)
        later = await create(work, acme, "Later")
    assert [row for _, _, row, _ in log.changes(acme, work.number)] == [kept.id, later.id]
    assert log.numbers(acme) == list(range(1, log.head(acme) + 1))


async def test_a_transaction_whose_changes_are_all_undone_gets_no_number(
    database: Database, new: Factory, log: Log
) -> None:
    acme = await new.tenant("acme")
    before = log.head(acme)
    async with Work(database, acme.id) as work:
        await undo(work, acme)
    assert (work.number, log.head(acme)) == (None, before)


async def test_an_aborted_transaction_gets_no_number(database: Database, new: Factory, log: Log) -> None:
    acme = await new.tenant("acme")
    before = log.head(acme), log.one("SELECT count(*) FROM app.changes")
    with contextlib.suppress(Undo):
        async with Work(database, acme.id) as work:
            await create(work, acme, "Undone")
            raise Undo
    assert work.number is None
    assert before == (log.head(acme), log.one("SELECT count(*) FROM app.changes"))


async def test_constraints_set_immediate_and_undone_do_not_make_a_gap(
    database: Database, new: Factory, log: Log
) -> None:
    acme = await new.tenant("acme")
    before = log.head(acme)
    async with Work(database, acme.id) as work:
        await undo(work, acme, "SET CONSTRAINTS ALL IMMEDIATE")
        kept = await create(work, acme, "Kept")
        await work.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        later = await create(work, acme, "Later")
    assert log.numbers(acme)[-1] == log.head(acme) == before + 1
    assert [row for _, _, row, _ in log.changes(acme, before + 1)] == [kept.id, later.id]


async def test_two_tenants_in_one_transaction_get_one_number_each(database: Database, new: Factory, log: Log) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    await new.campaign(acme)
    before = log.head(acme), log.head(globex)
    with log.superuser.transaction():
        log.superuser.execute("UPDATE quarry.users SET display_name = display_name || '!'")
        log.superuser.execute("UPDATE quarry.users SET display_name = display_name || '!'")
    assert (log.head(acme), log.head(globex)) == (before[0] + 1, before[1] + 1)
    for tenant in (acme, globex):
        changes = log.changes(tenant, log.head(tenant))
        assert changes == [("users", "update", tenant.owner.id, ["display_name"])] * 2


async def test_what_an_unbound_superuser_writes_is_numbered(new: Factory, log: Log) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme)
    before = log.head(acme)
    log.superuser.execute("UPDATE quarry.campaigns SET description = 'by hand'")
    assert log.head(acme) == before + 1
    assert log.changes(acme, before + 1) == [("campaigns", "update", campaign.id, ["description"])]


async def test_forged_settings_change_nothing_about_the_number(database: Database, new: Factory, log: Log) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    before = log.head(acme), log.head(globex)
    async with Work(database, acme.id) as work:
        for forged in ("app.ordinal = '9'", "app.number = '99'", "app.head = '99'", "app.xid = '1'"):
            await work.connection.execute(f"SET LOCAL {forged}")
        campaign = await create(work, acme, "Summer")
        await work.connection.execute(f"SET LOCAL app.tenant_id = '{globex.id}'")
    assert work.number == log.head(acme) == before[0] + 1
    assert log.head(globex) == before[1]
    assert log.changes(acme, work.number) == [("campaigns", "insert", campaign.id, None)]


async def test_the_commit_says_who_did_it_from_where(database: Database, new: Factory, log: Log) -> None:
    acme = await new.tenant("acme")
    actor = Actor(acme.owner.id, uuid4())
    origin = Origin(IPv4Address("192.0.2.7"), "request-1")
    async with Work(database, acme.id, origin=origin, actor=actor) as work:
        await create(work, acme, "Summer")
    async with Work(database, acme.id) as plain:
        await create(plain, acme, "Winter")
    text = "SELECT actor_id, session_id, ip, request_id FROM app.commits WHERE tenant_id = %s AND number = %s"
    assert log.one(text, acme.id, work.number) == (actor.user_id, actor.session_id, origin.ip, "request-1")
    assert log.one(text, acme.id, plain.number) == (None, None, None, None)


async def test_the_tenant_reads_the_number_that_the_work_was_told(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        await create(work, acme, "Summer")
    async with Work(database, acme.id, read_only=True) as reading:
        polled = await reading.connection.fetchval("SELECT head FROM app.heads(ARRAY[$1::uuid])", [acme.id])
        assert await reading.log.head() == polled == work.number


async def test_an_update_that_changes_nothing_raises_neither_version_nor_number(
    database: Database, new: Factory, log: Log
) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme)
    before = log.head(acme)
    async with Work(database, acme.id) as work:
        await work.connection.execute("UPDATE campaigns SET name = name, status = status, deleted_at = deleted_at")
    assert (work.number, log.head(acme)) == (None, before)
    async with Work(database, acme.id) as work:
        assert (await work.campaigns.find(campaign.id)).version == campaign.version


async def test_a_new_tenant_has_its_stream_and_its_first_number(new: Factory, log: Log) -> None:
    acme = await new.tenant("acme")
    assert log.changes(acme, 1) == [("tenants", "insert", acme.id, None)]
    assert log.changes(acme, 2) == [("users", "insert", acme.owner.id, None)]
    assert log.numbers(acme) == [1, 2]


SOAK = bool(os.environ.get("SOAK"))
TASKS, TRANSACTIONS = (16, 500) if SOAK else (8, 25)


async def write(database: Database, tenants: list[NewTenant], dice: random.Random, counts: Counter[Any]) -> None:
    """One transaction of a few writes, some undone, sometimes all of them; notes what its number must hold."""
    tenant = dice.choice(tenants)
    kept = 0
    aborts = dice.random() < 0.2
    try:
        async with Work(database, tenant.id) as work:
            for _ in range(dice.randint(1, 4)):
                try:
                    async with work.savepoint("step"):
                        await create(work, tenant, "Step")
                        if dice.random() < 0.4:
                            raise Undo
                        kept += 1
                except Undo:
                    counts["undone"] += 1
            with pytest.raises(NotFound):
                await work.campaigns.find(uuid4())
            if aborts:
                raise Undo
    except Undo:
        counts["aborted"] += 1
        assert work.number is None
        return
    counts["committed"] += 1
    assert (work.number is not None) == (kept > 0)
    if work.number is not None:
        assert (tenant.id, work.number) not in counts
        counts[tenant.id, work.number] = kept


@pytest.mark.soak
async def test_numbers_are_dense_per_tenant_under_concurrent_writers(
    database: Database, new: Factory, log: Log
) -> None:
    tenants = [await new.tenant(name) for name in ("acme", "globex", "initech")]
    counts: Counter[Any] = Counter({(tenant.id, number): 1 for tenant in tenants for number in log.numbers(tenant)})

    async def writer(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(TRANSACTIONS):
            await write(database, tenants, dice, counts)

    await asyncio.gather(*(writer(seed) for seed in range(TASKS)))
    assert counts["aborted"] + counts["committed"] == TASKS * TRANSACTIONS
    for tenant in tenants:
        assert log.numbers(tenant) == list(range(1, log.head(tenant) + 1))
    rows = log.superuser.execute(
        "SELECT tenant_id, number, count(*) FROM app.commits JOIN app.changes USING (tenant_id, xid) GROUP BY 1, 2"
    )
    told = {key: count for key, count in counts.items() if isinstance(key, tuple)}
    assert {(tenant, number): count for tenant, number, count in rows} == told
    assert log.one("SELECT count(*) FROM app.changes") == (sum(told.values()),)
    if SOAK:
        kinds = ", ".join(f"{counts[kind]} {kind}" for kind in ("committed", "aborted", "undone"))
        print(f"numbers: {len(told)} numbers of {len(tenants)} tenants, {TASKS} writers: {kinds}")
