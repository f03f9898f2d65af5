"""The epoch: a database that is not the one that it was begins another life, and keeps its log through it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.database.database import Database
from service.errors import Forbidden
from service.repos.log import AuditedChange, LoggedCommit
from service.statements.outcomes import changed_row
from service.work import Work

FORMER = 2**63
"""Where the transaction ids of former lives begin."""
OTHER_LIVES = {"database_oid": "1", "timeline": "timeline + 1", "system_identifier": "system_identifier - 1"}


async def enter(database: Database) -> int:
    async with Work(database, None) as work:
        return await work.installation.enter_epoch()


async def epoch(database: Database) -> int:
    async with Work(database, None, read_only=True) as work:
        return (await work.installation.find()).epoch


async def rename(database: Database, tenant: NewTenant, *names: str) -> int:
    async with Work(database, tenant.id) as work:
        for name in names:
            changed_row(await work.users.update(tenant.owner.id, given=["display_name"], display_name=name))
    assert work.number is not None
    return work.number


async def history(database: Database, tenant: NewTenant) -> tuple[list[AuditedChange], list[LoggedCommit]]:
    """The tenant's log, as the audit and as the stream have it."""
    async with Work(database, tenant.id, read_only=True) as work:
        return await work.log.audit(limit=1000), (await work.log.read_on(0, most=100, limit=1000)).commits


class Operator:
    """The superuser, who restores databases."""

    def __init__(self, superuser: Any) -> None:
        self.superuser = superuser

    def restore_elsewhere(self, column: str = "system_identifier") -> None:
        """Let the database be one that was restored, promoted or copied."""
        self.superuser.execute(f"UPDATE app.installation SET {column} = {OTHER_LIVES[column]}")
        self.superuser.commit()

    def collide(self, tenant: NewTenant) -> set[int]:
        """Give the tenant's commits those transaction ids that this server will give next; answers them."""
        numbers = self.xids(tenant)
        (next_xid,) = self.superuser.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        for number in numbers:
            self.set_xid(tenant, number, next_xid + number)
        return set(self.xids(tenant).values())

    def set_xid(self, tenant: NewTenant, number: int, xid: int) -> None:
        """Let a commit have had this transaction id, once this transaction is committed."""
        for table in ("changes", "commits"):  # commits last, for its number is looked up
            self.superuser.execute(
                f"UPDATE app.{table} SET xid = %s::text::xid8 WHERE tenant_id = %s"
                " AND xid = (SELECT xid FROM app.commits WHERE tenant_id = %s AND number = %s)",
                (xid, tenant.id, tenant.id, number),
            )

    def xids(self, tenant: NewTenant) -> dict[int, int]:
        """By number, the transaction id of each commit."""
        rows = self.superuser.execute("SELECT number, xid::text FROM app.commits WHERE tenant_id = %s", [tenant.id])
        found = {number: int(xid) for number, xid in rows}
        self.superuser.commit()
        return found

    def is_somebody_waiting(self) -> bool:
        """Whether a transaction waits for a lock in this database."""
        text = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        (count,) = self.superuser.execute(text).fetchone()
        self.superuser.commit()
        return bool(count)


@pytest.fixture
def operator(superuser: Any) -> Operator:
    return Operator(superuser)


@pytest.fixture
async def acme(new: Factory, database: Database) -> NewTenant:
    """A tenant of a dozen commits in a database that is at home."""
    await enter(database)
    acme = await new.tenant("acme")
    for number in range(10):
        await rename(database, acme, f"Jo {number}", f"Jo {number}!")
    return acme


async def test_a_copy_of_a_database_is_another_life(database: Database) -> None:
    assert await epoch(database) == 1  # what a test works on is a copy of the template
    assert await enter(database) == await epoch(database) == 2


async def test_the_same_server_answers_the_same_epoch(database: Database) -> None:
    await enter(database)
    async with Work(database, None, read_only=True) as work:
        assert [await work.installation.enter_epoch() for _ in range(3)] == [2, 2, 2]
    assert await epoch(database) == 2


@pytest.mark.parametrize("column", OTHER_LIVES)
async def test_another_life_raises_the_epoch_once_although_ten_enter_it(
    database: Database, operator: Operator, column: str
) -> None:
    await enter(database)
    operator.restore_elsewhere(column)
    barrier = asyncio.Barrier(10)

    async def enter_together() -> int:
        async with Work(database, None) as work:
            await barrier.wait()
            return await work.installation.enter_epoch()

    assert await asyncio.gather(*(enter_together() for _ in range(10))) == [3] * 10
    assert await enter(database) == await epoch(database) == 3


async def test_the_log_survives_a_restore_elsewhere(database: Database, operator: Operator, acme: NewTenant) -> None:
    before = await history(database, acme)
    operator.restore_elsewhere()
    await enter(database)
    assert await history(database, acme) == before
    assert len(before[0]) == 22
    assert min(operator.xids(acme).values()) > FORMER


async def test_transaction_ids_of_the_same_database_stay(
    database: Database, operator: Operator, acme: NewTenant
) -> None:
    before = operator.xids(acme)
    operator.restore_elsewhere("timeline")
    await enter(database)
    assert operator.xids(acme) == before


async def test_a_transaction_id_that_comes_again_is_another_commit(
    database: Database, operator: Operator, acme: NewTenant
) -> None:
    operator.restore_elsewhere()
    given_before = operator.collide(acme)
    audited, streamed = await history(database, acme)
    await enter(database)
    number = await rename(database, acme, "Alex", "Alex!")
    assert operator.xids(acme)[number] in given_before
    new_audited, new_streamed = await history(database, acme)
    assert (new_audited[2:], new_streamed[:-1]) == (audited, streamed)
    assert [(each.number, each.ordinal) for each in new_audited[:2]] == [(number, 2), (number, 1)]
    assert [change[3] for change in new_streamed[-1].changes] == [["display_name"]] * 2


async def test_a_writer_that_waits_for_the_move_is_another_commit_too(
    database: Database, operator: Operator, acme: NewTenant
) -> None:
    operator.restore_elsewhere()
    given_before = operator.collide(acme)
    _, streamed = await history(database, acme)
    async with Work(database, None) as entering:
        await entering.installation.enter_epoch()
        writing = asyncio.create_task(rename(database, acme, "Alex"))
        async with asyncio.timeout(30):
            while not operator.is_somebody_waiting():
                await asyncio.sleep(0.01)
    number = await writing
    assert operator.xids(acme)[number] in given_before
    assert [len(each.changes) for each in (await history(database, acme))[1]] == [
        *(len(each.changes) for each in streamed), 1,
    ]  # fmt: skip


async def test_nothing_is_moved_twice(database: Database, operator: Operator, acme: NewTenant) -> None:
    operator.restore_elsewhere()
    await enter(database)
    once = operator.xids(acme)
    await enter(database)
    assert operator.xids(acme) == once
    number = await rename(database, acme, "Alex")
    operator.restore_elsewhere()
    await enter(database)
    again = operator.xids(acme)
    assert {key: xid for key, xid in again.items() if key != number} == once
    assert again[number] > max(once.values())


async def test_lives_that_gave_the_same_transaction_id_are_kept_apart(
    database: Database, operator: Operator, acme: NewTenant
) -> None:
    numbers = []
    for name in ("Alex", "Sam", "Kim"):
        numbers.append(await rename(database, acme, name))
        operator.set_xid(acme, numbers[-1], 1000)
        operator.restore_elsewhere()
        await enter(database)
    xids = operator.xids(acme)
    assert [xids[number] - FORMER for number in numbers] == [1000 + (life << 44) for life in (2, 3, 4)]
    _, streamed = await history(database, acme)
    assert [len(each.changes) for each in streamed[-3:]] == [1, 1, 1]


async def test_the_platform_raises_an_epoch_that_nobody_could_notice(database: Database, platform: Database) -> None:
    before = await enter(database)
    async with Work(platform, None) as work:
        assert await work.connection.fetchval("SELECT app.raise_epoch()", ()) == before + 1
    assert await enter(database) == before + 1
    with pytest.raises(Forbidden):
        async with Work(database, None) as work:
            await work.connection.fetchval("SELECT app.raise_epoch()", ())


async def test_two_recoveries_from_one_backup_are_two_epochs(database: Database, superuser: Any) -> None:
    before = await epoch(database)
    found = []
    for later in (1, 2):
        superuser.execute("UPDATE app.installation SET epoch = %s, timeline = 1 - %s", (before, later))
        superuser.commit()
        found.append(await enter(database))
    assert found == [before + 1, before + 2]
