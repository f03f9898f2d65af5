"""What a handler does wrong, and what befalls it: it is asked again, and nobody else is held up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from changes.followers import NEVER, change, logging, until
from changes.mail import WEEK, Mail, Oops, end_pause, hand_all, lag, note, noted, up_to_date
from service import metrics
from service.changes import consumers
from service.changes.consumers import Consumer, Consumers
from service.database.database import Database
from service.errors import Conflict
from service.repos.log import LoggedCommit
from service.work import Work


async def test_a_failing_handler_is_called_again_with_the_same_after_a_pause(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    before = await up_to_date(one, mail, acme)
    await change(database, acme)
    failures = metrics.CONSUMER_FAILURES.labels(consumer="mail")._value.get

    async def fail(_: Work, __: Sequence[LoggedCommit]) -> None:
        raise Oops

    mail.doing, counted = fail, failures()
    with logging() as lines:
        for times in (1, 2, 3):
            assert not await one.hand_on(mail.consumer, acme.id)
            assert not await one.hand_on(mail.consumer, acme.id)
            assert mail.of(acme) == [before + 1] * times
            end_pause(superuser)
    assert (await lag(database)).failing == 1
    assert failures() - counted == 3
    assert [(line["event"], line["failures"]) for line in lines] == [("consumer_failed", n) for n in (1, 2, 3)]
    mail.doing = None
    await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.told[-1] == (acme.id, [before + 1, before + 2])
    assert (await lag(database)).failing == 0


async def test_the_pause_doubles_up_to_a_limit(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    await up_to_date(one, mail, acme)
    await change(database, acme)

    async def fail(_: Work, __: Sequence[LoggedCommit]) -> None:
        raise Oops

    mail.doing = fail
    superuser.autocommit = True
    for failures, most in ((0, 1.0), (1, 2.0), (5, 32.0), (9, 300.0), (10_000, 300.0)):
        superuser.execute("UPDATE app.cursors SET failures = %s, retry_at = NULL", [failures])
        await one.hand_on(mail.consumer, acme.id)
        ((pause,),) = superuser.execute("SELECT extract(epoch FROM retry_at - now()) FROM app.cursors").fetchall()
        assert 0.4 * most < float(pause) <= most


SPOILS = {
    "an error of its own": "raise",
    "a swallowed error of the database": "swallow",
    "a cancellation of something of its own": "cancel",
    "an error of the service": "conflict",
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
async def test_however_a_handler_spoils_its_work_it_is_a_failure_that_is_told(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, spoil: str
) -> None:
    await up_to_date(one, mail, acme)
    await change(database, acme)

    async def fail(work: Work, _: Sequence[LoggedCommit]) -> None:
        match spoil:
            case "raise":
                raise Oops
            case "swallow":
                with contextlib.suppress(Exception):
                    await work.connection.execute("SELECT 1 / 0")
            case "cancel":
                task = asyncio.create_task(asyncio.sleep(NEVER))
                task.cancel()
                await task
            case "conflict":
                raise Conflict

    mail.doing = fail
    with logging() as lines:
        assert not await one.hand_on(mail.consumer, acme.id)
    assert [line["event"] for line in lines] == ["consumer_failed"]
    assert (await lag(database)).failing == 1


async def test_a_handler_that_takes_too_long_has_failed(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, monkeypatch: pytest.MonkeyPatch, superuser: Any
) -> None:
    before = await up_to_date(one, mail, acme)
    await change(database, acme)
    monkeypatch.setattr(consumers, "_PATIENCE", 0.05)

    async def dawdle(work: Work, _: Sequence[LoggedCommit]) -> None:
        await note(work, _)
        await asyncio.sleep(NEVER)

    mail.doing = dawdle
    assert not await one.hand_on(mail.consumer, acme.id)
    assert (await lag(database)).failing == 1
    monkeypatch.undo()
    mail.doing = note
    end_pause(superuser)
    await hand_all(one, mail, acme)
    assert mail.of(acme)[:2] == [before + 1] * 2
    assert await noted(database, acme) == (1, 1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("trouble", ["raises", "hangs"])
async def test_trouble_with_one_tenant_holds_up_neither_the_others_nor_other_consumers(
    database: Database, new: Factory, acme: NewTenant, trouble: str
) -> None:
    globex = await new.tenant("globex")
    mail, search = Mail(), Mail()
    troubled = asyncio.Event()

    async def fail(work: Work, _: Sequence[LoggedCommit]) -> None:
        if work.tenant == acme.id:
            troubled.set()
            if trouble == "hangs":
                await asyncio.sleep(NEVER)
            raise Oops

    both = [mail.consumer, Consumer("search", search.handle, search.reset)]
    async with Consumers.open(database, both, WEEK, Work):
        await until(lambda: len(mail.told) == len(search.told) == 2)
        mail.doing = fail
        last = await change(database, acme)
        await troubled.wait()
        for _ in range(3):
            # One after the other, so that each of them is found by a look of its own.
            expected = await change(database, globex)
            await until(lambda expected=expected: mail.of(globex)[-1] == search.of(globex)[-1] == expected)
        await until(lambda: search.of(acme)[-1] == last)
    assert set(mail.of(acme)[1:]) == {last}


@pytest.mark.usefixtures("quick")
async def test_a_database_that_was_lost_for_a_while_ends_no_consumer(
    database: Database, acme: NewTenant, mail: Mail, superuser: Any
) -> None:
    async with Consumers.open(database, [mail.consumer], WEEK, Work):
        await until(lambda: mail.told)
        # A reset that is lost before it is noted would come again, with the last commit in it.
        first = await change(database, acme)
        await until(lambda: mail.of(acme)[-1:] == [first])
        superuser.autocommit = True
        superuser.execute(f"REVOKE CONNECT ON DATABASE {superuser.info.dbname} FROM PUBLIC, quarry_app")
        with logging() as lines:
            superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'quarry_app'")
            await until(lambda: any(line["event"] == "consumer_waits" for line in lines))
        superuser.execute(f"GRANT CONNECT ON DATABASE {superuser.info.dbname} TO quarry_app")
        last = await change(database, acme)
        await until(lambda: mail.of(acme)[-1] == last)
