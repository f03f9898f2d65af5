"""Consumers that have missed something: they are told so before anything else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from arranging.accounts import NewTenant
from changes.followers import age, change, logging, prune, until
from changes.mail import Mail, Oops, end_pause, hand_all, lag, up_to_date
from service.changes.consumers import Consumers
from service.database.database import Database
from service.work import Work


async def test_whoever_is_behind_what_is_kept_is_reset(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    await up_to_date(one, mail, acme)
    await change(database, acme, times=2)
    superuser.autocommit = True
    prune(superuser, acme)
    last = await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset"]
    await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset", last + 1]


async def test_what_is_pruned_while_a_consumer_looks_is_noticed(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    await up_to_date(one, mail, acme)
    await change(database, acme, times=2)
    age(superuser, acme)
    superuser.commit()
    last = await change(database, acme)
    superuser.execute("LOCK TABLE app.commits IN ACCESS EXCLUSIVE MODE")
    superuser.execute("SELECT set_config('app.tenant_id', %s, false)", [str(acme.id)])
    assert superuser.execute("SELECT app.prune_log(%s, 10000)", [acme.id]).fetchone()[0] > 2
    handing = asyncio.create_task(hand_all(one, mail, acme))
    await until(lambda: superuser.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0])
    superuser.commit()
    await handing
    assert mail.of(acme) == ["reset"]
    await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset", last + 1]


async def test_another_life_of_the_database_is_a_reset(
    database: Database, platform: Database, acme: NewTenant, one: Consumers, mail: Mail
) -> None:
    last = await up_to_date(one, mail, acme)
    async with Work(platform, None) as work:
        await work.connection.fetchval("SELECT app.raise_epoch()", ())
    await hand_all(one, mail, acme)
    await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset", last + 1]


async def test_a_place_beyond_the_head_is_a_reset(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    last = await up_to_date(one, mail, acme)
    superuser.execute("UPDATE app.cursors SET number = 99")
    superuser.commit()
    await change(database, acme)
    await hand_all(one, mail, acme)
    await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset", last + 2]


async def test_a_commit_between_the_reset_and_its_end_is_handed_on(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail
) -> None:
    async def meanwhile(_: Work) -> None:
        mail.resetting = None
        numbers.append(await change(database, acme))

    numbers: list[int] = []
    mail.resetting = meanwhile
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset", *numbers]


async def test_whoever_is_too_far_behind_is_cut_off_until_it_has_handled_a_reset(
    database: Database, acme: NewTenant, one: Consumers, mail: Mail, superuser: Any
) -> None:
    await up_to_date(one, mail, acme)
    await change(database, acme, times=2)
    superuser.autocommit = True
    age(superuser, acme)

    async def fail(_: Work) -> None:
        raise Oops

    mail.resetting = fail
    with logging() as lines:
        await hand_all(one, mail, acme)
        assert (await lag(database)).cut_off == 1
        end_pause(superuser)
        await hand_all(one, mail, acme)
    found = await lag(database)
    assert (found.cut_off, found.failing, found.tenants) == (1, 1, 1)
    assert [line["event"] for line in lines] == ["consumer_cut_off", "consumer_failed", "consumer_failed"]
    assert lines[0]["consumer"] == "mail"
    mail.resetting = None
    end_pause(superuser)
    await hand_all(one, mail, acme)
    last = await change(database, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset"] * 3 + [last]
    assert (await lag(database)).cut_off == 0


async def test_whoever_is_behind_for_less_than_that_misses_nothing(
    database: Database, acme: NewTenant, mail: Mail, superuser: Any
) -> None:
    one = Consumers(database, [mail.consumer], 2 * 366 * 86400.0, datetime.now(UTC), Work)
    before = await up_to_date(one, mail, acme)
    await change(database, acme, times=2)
    superuser.autocommit = True
    age(superuser, acme)
    await hand_all(one, mail, acme)
    assert mail.of(acme) == [before + 1, before + 2]


async def test_a_consumer_that_was_forgotten_begins_with_a_reset(
    database: Database, platform: Database, acme: NewTenant, one: Consumers, mail: Mail
) -> None:
    await up_to_date(one, mail, acme)
    async with Work(platform, None) as work:
        assert await work.connection.fetchval("SELECT app.forget_consumer('mail')", ()) == 1
    await hand_all(one, mail, acme)
    assert mail.of(acme) == ["reset"]
