"""Consumers: handed every commit in order, at least once; what they write with it happens exactly once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from changes.followers import NEVER, change, logged, prune, until
from changes.mail import WEEK, Mail, Oops, end_pause, hand_all, lag, note, noted, up_to_date
from service.changes import consumers
from service.changes.consumers import Consumers
from service.database.database import Database
from service.errors import Unavailable
from service.repos.log import LoggedCommit
from service.settings.settings import Settings
from service.work import Work


async def test_a_new_consumer_is_reset_first_and_handed_what_comes_after(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail
) -> None:
    before = await change(database, acme)
    await hand_all(one, mail, acme)
    await change(database, acme, times=2)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset", before + 1, before + 2]


async def test_commits_are_handed_on_in_order_a_page_at_a_time(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "_PAGE", 3)
    before = await up_to_date(one, mail, acme)
    await change(database, acme, times=7)
    await hand_all(one, mail, acme)
    assert [numbers for _, numbers in mail.told] == [
        [before + 1, before + 2, before + 3], [before + 4, before + 5, before + 6], [before + 7],
    ]  # fmt: skip
    await hand_all(one, mail, acme)
    assert len(mail.told) == 3


async def test_a_commit_is_handed_on_as_the_log_has_it(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail
) -> None:
    before = await up_to_date(one, mail, acme)
    handed: list[LoggedCommit] = []

    async def keep(_: Work, commits: Sequence[LoggedCommit]) -> None:
        handed.extend(commits)

    mail.doing = keep
    await change(database, acme, times=3)
    await hand_all(one, mail, acme)
    assert handed == await logged(database, acme, before)


async def test_what_a_handler_writes_is_there_once_though_it_is_handed_the_same_twice(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    before = await up_to_date(one, mail, acme)
    await change(database, acme, times=3)

    async def stumble(work: Work, commits: Sequence[LoggedCommit]) -> None:
        await note(work, commits)
        if len(mail.told) == 1:
            raise Oops

    mail.doing = stumble
    await hand_all(one, mail, acme)
    assert await noted(database, acme) == (0, 0)
    end_pause(superuser)
    await hand_all(one, mail, acme)
    assert await noted(database, acme) == (3, 3)
    assert [numbers[0] for _, numbers in mail.told[:2]] == [before + 1, before + 1]


async def test_a_crash_between_handling_and_moving_hands_on_again(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    before = await up_to_date(one, mail, acme)
    await change(database, acme, times=2)
    superuser.autocommit = True

    async def crash(work: Work, commits: Sequence[LoggedCommit]) -> None:
        await note(work, commits)
        if len(mail.told) == 1:
            pid = work.connection.raw.get_server_pid()
            superuser.execute("SELECT pg_terminate_backend(%s)", [pid])
            gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
            await until(lambda: superuser.execute(gone, [pid]).fetchone() == (0,))

    mail.doing = crash
    with pytest.raises(Unavailable):
        await one.hand_on(mail.consumer, acme.id)
    assert (await lag(database)).failing == 0
    await hand_all(one, mail, acme)
    assert [numbers for _, numbers in mail.told[:2]] == [[before + 1, before + 2]] * 2
    assert await noted(database, acme) == (2, 2)


@pytest.mark.usefixtures("quick")
async def test_two_processes_never_handle_a_tenant_together_and_miss_nothing(
    settings: Settings, database: Database, new: Factory, mail: Mail
) -> None:
    tenants = [await new.tenant("acme"), await new.tenant("globex")]
    starts: dict[UUID, int] = {}

    async def start(work: Work) -> None:
        starts[work.tenant] = await work.log.head()

    async def linger(work: Work, commits: Sequence[LoggedCommit]) -> None:
        await note(work, commits)
        await asyncio.sleep(0.002)

    mail.doing, mail.resetting = linger, start
    async with contextlib.AsyncExitStack() as stack:
        runners = []
        for name in ("first", "second"):
            pool = await stack.enter_async_context(
                Database.open(settings.address("quarry_app"), settings.limits, name=name, keyring=database.keyring)
            )
            told = replace(pool, on_numbered=lambda tenant, _: [each.committed(tenant) for each in runners] and None)
            runners.append(await stack.enter_async_context(Consumers.open(told, [mail.consumer], WEEK, Work)))
        database = replace(
            database, on_numbered=lambda tenant, _: [each.committed(tenant) for each in runners] and None
        )
        await until(lambda: len(starts) == 2)
        await asyncio.gather(*(change(database, tenants[n % 2], times=20) for n in range(8)))
        for tenant in tenants:
            await until(lambda tenant=tenant: caught_up(database, mail, tenant))
            assert await noted(database, tenant) == (80, 80)
            handed = mail.of(tenant)
            assert (handed[0], mail.most_at_work) == ("reset", 1)
            assert handed[1:] == list(range(starts[tenant.id] + 1, handed[-1] + 1))


async def caught_up(database: Database, mail: Mail, tenant: NewTenant) -> bool:
    """Whether every commit of the tenant has been handled, those of the handler too."""
    async with Work(database, tenant.id, read_only=True) as work:
        text = "SELECT number FROM app.cursors WHERE tenant_id = $1 AND consumer = 'mail'"
        return bool(await work.connection.fetchval(text, [tenant.id]) == await work.log.head() == mail.of(tenant)[-1])


@pytest.mark.usefixtures("quick")
async def test_commits_of_this_process_are_handed_on_without_waiting_for_a_sweep(
    database: Database, acme: NewTenant, mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "_SWEEP_EVERY", NEVER)
    async with Consumers.open(database, [mail.consumer], WEEK, Work) as running:
        await until(lambda: mail.told == [(acme.id, "reset")])
        database = replace(database, on_numbered=lambda tenant, _: running.committed(tenant))
        last = await change(database, acme)
        await until(lambda: mail.of(acme) == ["reset", last])


@pytest.mark.usefixtures("quick")
async def test_commits_of_others_and_new_tenants_are_found_by_sweeping(
    database: Database, new: Factory, acme: NewTenant, mail: Mail
) -> None:
    async with Consumers.open(database, [mail.consumer], WEEK, Work):
        await until(lambda: mail.told == [(acme.id, "reset")])
        last = await change(database, acme)
        await until(lambda: mail.of(acme) == ["reset", last])
        globex = await new.tenant("globex")
        await until(lambda: mail.of(globex))


async def test_of_a_tenant_that_comes_later_everything_is_handed_on_from_the_first_commit(
    database: Database, new: Factory, one: Consumers, mail: Mail
) -> None:
    globex = await new.tenant("globex")
    last = await change(database, globex)
    await hand_all(one, mail, globex)
    assert mail.of(globex) == list(range(1, last + 1))


async def test_of_a_later_tenant_whose_log_begins_later_a_reset_is_handed_on(
    database: Database, new: Factory, one: Consumers, mail: Mail, superuser: Any
) -> None:
    globex = await new.tenant("globex")
    superuser.autocommit = True
    prune(superuser, globex)
    await change(database, globex)
    await hand_all(one, mail, globex)
    assert mail.of(globex) == ["reset"]


async def test_a_handler_works_as_its_tenant_alone(
    database: Database, new: Factory, acme: NewTenant, one: Consumers, mail: Mail
) -> None:
    globex = await new.tenant("globex")
    await up_to_date(one, mail, acme)
    theirs = await new.campaign(globex)
    seen: list[Any] = []

    async def look(work: Work, _: Sequence[LoggedCommit]) -> None:
        assert work.tenant == acme.id
        rows = await work.connection.fetch("SELECT DISTINCT tenant_id FROM campaigns", ())
        seen.extend(row["tenant_id"] for row in rows)
        seen.append(await work.campaigns.erase(theirs.id))

    mail.doing = look
    await change(database, acme)
    await hand_all(one, mail, acme)
    assert seen == [acme.id, 0]
