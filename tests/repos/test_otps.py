"""One-time codes: the statements through the repository, as the serving role."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.accounts.one_time_codes import ATTEMPTS
from service.database.database import Database
from service.errors import InvalidInput
from service.repos.otps import Guess, Otp
from service.work import Work

PHONE = "+14155550100"


async def sent(database: Database, tenant: NewTenant, code: str = "111111", phone: str = PHONE) -> Otp:
    async with Work(database, tenant.id) as work:
        return await work.otps.create(phone=phone, code=code, lifetime=timedelta(minutes=10))


async def guess(
    database: Database, tenant: NewTenant, code: str = "111111", phone: str = PHONE, attempts: int = ATTEMPTS
) -> bool | None:
    """Whether the guess is right; None when there is nothing to guess at."""
    async with Work(database, tenant.id) as work:
        attempt = await work.otps.attempt(phone=phone, code=code, attempts=attempts)
    return attempt.is_right if attempt else None


async def test_a_code_is_right_once_and_where_it_was_sent(database: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    await sent(database, acme)
    assert await guess(database, globex) is None
    assert await guess(database, acme, phone="+14155550101") is None
    assert [await guess(database, acme, code) for code in ("222222", "111111", "111111")] == [False, True, None]


async def test_the_newest_code_is_the_one_that_counts(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    for code in ("111111", "222222"):
        await sent(database, acme, code)
    await sent(database, acme, "333333", phone="+14155550101")
    assert [await guess(database, acme, code) for code in ("111111", "222222")] == [False, True]
    assert await guess(database, acme, "111111") is None  # the one before does not come back
    assert await guess(database, acme, "333333", phone="+14155550101")


async def test_an_expired_code_is_none(database: Database, new: Factory, superuser: Any) -> None:
    acme = await new.tenant("acme")
    otp = await sent(database, acme)
    superuser.execute(
        "UPDATE quarry.otps SET created_at = now() - interval '11 minutes', expires_at = now() WHERE id = %s", (otp.id,)
    )
    superuser.commit()
    assert await guess(database, acme) is None
    with pytest.raises(InvalidInput) as refused:
        async with Work(database, acme.id) as work:
            await work.otps.create(phone=PHONE, code="1", lifetime=-timedelta(minutes=1))
    assert [error.field for error in refused.value.errors] == ["expires_at"]


async def test_the_sixth_guess_is_refused_even_if_it_is_right(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    await sent(database, acme)
    assert [await guess(database, acme, "222222") for _ in range(ATTEMPTS)] == [False] * 5
    assert [await guess(database, acme) for _ in range(2)] == [None] * 2
    await sent(database, acme, "333333")
    assert await guess(database, acme, "333333")


async def test_guessing_ends_whatever_the_caller_allows(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    await sent(database, acme)
    assert [await guess(database, acme, "222222", attempts=1000) for _ in range(10)] == [False] * 10
    with pytest.raises(InvalidInput):
        await guess(database, acme, attempts=1000)


async def test_of_fifty_wrong_guesses_at_once_five_are_counted(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    await sent(database, acme)
    answers = await asyncio.gather(*(guess(database, acme, f"2222{number}") for number in range(50)))
    assert (answers.count(False), answers.count(None)) == (ATTEMPTS, 45)
    assert await guess(database, acme) is None
    async with Work(database, acme.id) as work:
        assert await work.connection.fetchval("SELECT attempts FROM otps", ()) == ATTEMPTS


async def test_of_many_right_guesses_at_once_exactly_one_is(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    for _ in range(5):
        await sent(database, acme)
        answers = await asyncio.gather(*(guess(database, acme) for _ in range(10)))
        assert (answers.count(True), answers.count(None)) == (1, 9)


async def test_a_guess_is_counted_when_its_work_is_committed(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    await sent(database, acme)
    with pytest.raises(ZeroDivisionError):
        async with Work(database, acme.id) as work:
            attempt = await work.otps.attempt(phone=PHONE, code="111111", attempts=ATTEMPTS)
            assert isinstance(attempt, Guess)
            assert (attempt.is_right, attempt.attempts) == (True, 1)
            raise ZeroDivisionError
    assert await guess(database, acme)


async def test_the_table_holds_hashes_that_are_others_in_every_tenant(database: Database, new: Factory) -> None:
    hashes = []
    for name in ("acme", "globex"):
        tenant = await new.tenant(name)
        for _ in range(2):
            await sent(database, tenant)
        async with Work(database, tenant.id) as work:
            hashes += [tuple(row) for row in await work.connection.fetch("SELECT phone_index, code_hash FROM otps", ())]
    assert (len(hashes), len(set(hashes)), len({each for row in hashes for each in row})) == (4, 2, 4)
    assert not any(plain in each for row in hashes for each in row for plain in (b"111111", b"1415555"))


async def test_codes_that_ended_a_day_ago_are_forgotten_some_at_a_time(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    for tenant in (acme, acme, acme, globex):
        await sent(database, tenant)
    superuser.execute("UPDATE quarry.otps SET created_at = '2000-01-01', expires_at = now() - interval '25 hours'")
    superuser.commit()
    await sent(database, acme)
    async with Work(database, acme.id) as work:
        assert [await work.otps.purge(2) for _ in range(3)] == [2, 1, 0]
    assert await guess(database, acme)
    async with Work(database, globex.id) as work:
        assert await work.connection.fetchval("SELECT count(*) FROM otps", ()) == 1
