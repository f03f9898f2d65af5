"""Work: one transaction and its outcome; `run`, the one place that repeats."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import (
    Conflict,
    Contention,
    InvalidInput,
    NotFound,
    ReadOnly,
    TenantUnbound,
    Timeout,
    TransactionAborted,
    Unavailable,
)
from service.statements.outcomes import changed_row
from service.work import Work


async def test_work_that_raises_leaves_nothing_behind(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(ZeroDivisionError):
        async with Work(database, acme.id) as work:
            await work.campaigns.create(name="Never", owner_id=acme.owner.id)
            raise ZeroDivisionError
    async with Work(database, acme.id) as work:
        assert await work.campaigns.count() == 0


async def test_several_repositories_commit_together(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        campaign = await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
        await work.contents.create(campaign.id, kind="reel", title="One")
        await work.users.update(acme.owner.id, given=["display_name"], display_name="New name")
    async with Work(database, acme.id) as work:
        assert (await work.campaigns.find_with_contents(campaign.id)).contents[0].title == "One"
        assert (await work.users.find(acme.owner.id)).display_name == "New name"


async def test_work_knows_the_number_of_its_commit(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        before = await work.log.head()
        await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
    assert work.number == before + 1
    async with Work(database, acme.id) as reading:
        assert await reading.log.head() == work.number
    assert reading.number is None


async def test_a_swallowed_error_does_not_pass_for_a_commit(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(TransactionAborted):
        async with Work(database, acme.id) as work:
            await work.campaigns.create(name="Lost", owner_id=acme.owner.id)
            with pytest.raises(InvalidInput):
                await work.campaigns.create(name="Wrong", owner_id=acme.owner.id, currency="??")
    async with Work(database, acme.id) as work:
        assert await work.campaigns.count() == 0


async def test_on_commit_is_called_after_the_commit_and_never_after_a_rollback(
    database: Database, new: Factory
) -> None:
    acme = await new.tenant("acme")
    called: list[int | None] = []

    async def note(work: Work) -> None:
        called.append(work.number)

    async with Work(database, acme.id) as work:
        await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
        work.on_commit(note)
        assert called == []
    assert called == [work.number]
    with pytest.raises(NotFound):
        async with Work(database, acme.id) as work:
            work.on_commit(note)
            raise NotFound
    assert len(called) == 1


async def test_a_failing_callback_does_not_undo_the_commit(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    called: list[str] = []

    async def fail(_: Work) -> None:
        called.append("failing")
        raise ZeroDivisionError

    async def note(_: Work) -> None:
        called.append("next")

    async with Work(database, acme.id) as work:
        await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
        work.on_commit(fail)
        work.on_commit(note)
    assert called == ["failing", "next"]
    assert work.number is not None


async def test_a_tenants_statement_needs_a_tenant(database: Database) -> None:
    with pytest.raises(TenantUnbound):
        async with Work(database, None) as work:
            await work.campaigns.page()


async def test_read_only_work_can_not_write(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(ReadOnly):
        async with Work(database, acme.id, read_only=True) as work:
            await work.campaigns.create(name="Never", owner_id=acme.owner.id)


async def test_the_statement_timeout_is_enforced_by_the_server(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(Timeout):
        async with Work(database, acme.id, statement_timeout=0.05) as work:
            await work.connection.fetch("SELECT pg_sleep(30)", ())


async def test_contention_is_repeated_from_the_start(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    attempts: list[int] = []

    async def operation(work: Work) -> str:
        attempts.append(work.attempt)
        await work.campaigns.create(name=f"Attempt {work.attempt}", owner_id=acme.owner.id)
        if work.attempt < 3:
            await work.connection.execute("DO $$ BEGIN RAISE EXCEPTION '' USING ERRCODE = '40001'; END $$")
        return "done"

    assert await Work.run(database, operation, acme.id) == "done"
    assert attempts == [1, 2, 3]
    async with Work(database, acme.id) as work:
        assert [campaign.name for campaign in await work.campaigns.page()] == ["Attempt 3"]


async def test_run_gives_up_after_its_attempts(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    attempts: list[int] = []

    async def operation(work: Work) -> None:
        attempts.append(work.attempt)
        raise Contention

    with pytest.raises(Contention):
        await Work.run(database, operation, acme.id, attempts=2)
    assert attempts == [1, 2]


async def test_what_will_not_pass_is_not_repeated(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    attempts: list[int] = []

    async def operation(work: Work) -> None:
        attempts.append(work.attempt)
        await work.users.create(id=uuid4(), email=acme.owner.email, display_name="Twin", password_hash="-")

    with pytest.raises(Conflict) as refused:
        await Work.run(database, operation, acme.id)
    assert (attempts, refused.value.field) == ([1], "email")


async def test_deadlocked_work_is_repeated_and_both_get_done(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    one, two = await new.campaign(acme, "One"), await new.campaign(acme, "Two")
    both_hold_one = asyncio.Barrier(2)

    def rename(first: object, second: object) -> object:
        async def operation(work: Work) -> int:
            await work.campaigns.update(first.id, given=["budget_minor"], budget_minor=work.attempt)
            if work.attempt == 1:
                await both_hold_one.wait()
            await work.campaigns.update(second.id, given=["budget_minor"], budget_minor=work.attempt)
            return work.attempt

        return Work.run(database, operation, acme.id)

    attempts = await asyncio.gather(rename(one, two), rename(two, one))
    assert sorted(attempts) == [1, 2]


async def test_a_plan_made_stale_by_a_migration_is_repeated(
    database: Database, new: Factory, superuser: object
) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme)

    async def operation(work: Work) -> int:
        rows = await work.connection.fetch("SELECT * FROM campaigns WHERE tenant_id = $1", [acme.id])
        assert rows[0]["id"] == campaign.id
        return work.attempt

    assert await Work.run(database, operation, acme.id) == 1
    superuser.execute("ALTER TABLE quarry.campaigns ADD COLUMN extra int")
    superuser.commit()
    assert await Work.run(database, operation, acme.id) == 2


async def test_a_lost_update_becomes_a_stale_version(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme)

    async def rename(name: str) -> bool:
        async with Work(database, acme.id) as work:
            outcome = await work.campaigns.update(campaign.id, version=1, given=["name"], name=name)
        return outcome.applied

    assert sorted(await asyncio.gather(*(rename(f"Name {n}") for n in range(5)))) == [False] * 4 + [True]
    async with Work(database, acme.id) as work:
        assert (await work.campaigns.find(campaign.id)).version == 2


async def test_repeatable_read_sees_one_moment(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme, "Before")
    async with Work(database, acme.id, isolation="repeatable read", read_only=True) as reading:
        assert (await reading.campaigns.find(campaign.id)).name == "Before"
        async with Work(database, acme.id) as writing:
            changed_row(await writing.campaigns.update(campaign.id, given=["name"], name="After"))
        assert (await reading.campaigns.find(campaign.id)).name == "Before"


async def test_a_connection_lost_before_commit_is_repeated_on_another(
    database: Database, new: Factory, superuser: object
) -> None:
    acme = await new.tenant("acme")

    async def operation(work: Work) -> int:
        await work.campaigns.create(name="Once", owner_id=acme.owner.id)
        if work.attempt == 1:
            superuser.execute("SELECT pg_terminate_backend(%s)", (work.connection.raw.get_server_pid(),))
            with pytest.raises(Unavailable):
                await work.campaigns.count()
            raise Unavailable
        return work.attempt

    assert await Work.run(database, operation, acme.id) == 2
    async with Work(database, acme.id) as work:
        assert await work.campaigns.count() == 1
