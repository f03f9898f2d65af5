"""Idempotency keys: the statements through the repository, as the serving role."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.database.database import Database
from service.errors import InvalidInput
from service.personal.keyring import SEALED
from service.work import Work

CALLER = UUID(int=7)


async def claim(work: Work, *, caller: UUID = CALLER, key: str = "key", fingerprint: bytes = b"f" * 32) -> UUID | None:
    return await work.idempotency_keys.claim(
        caller_id=caller, key=key, fingerprint=fingerprint, lifetime=timedelta(hours=1)
    )


async def answered(database: Database, tenant: NewTenant, answer: str = "an answer", **values: Any) -> Work:
    """A campaign, and the answer that tells of it."""
    async with Work(database, tenant.id) as work:
        id = await claim(work, **values)
        assert id is not None
        await work.campaigns.create(name="Summer", owner_id=tenant.owner.id)
        assert await work.idempotency_keys.settle(id, answer) == 1
    return work


def expire(superuser: Any) -> None:
    superuser.execute("UPDATE quarry.idempotency_keys SET created_at = '2000-01-01', expires_at = now()")
    superuser.commit()


async def waiting(work: Work, late: asyncio.Future[Any]) -> None:
    while not await work.connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)", ()):
        assert not late.done()


async def test_a_key_is_used_once_by_each_caller_of_each_tenant(database: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    async with Work(database, acme.id) as work:
        assert [bool(await claim(work)) for _ in range(2)] == [True, False]
        assert await claim(work, caller=uuid4())
        assert await claim(work, key="other")
    async with Work(database, globex.id) as work:
        assert await work.idempotency_keys.find(CALLER, "key") is None
        assert await claim(work)


async def test_an_answer_is_found_with_the_number_of_its_commit(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    work = await answered(database, acme)
    async with Work(database, acme.id) as reading:
        assert await claim(reading) is None
        found = await reading.idempotency_keys.find(CALLER, "key")
        assert found is not None
        assert (found.fingerprint, found.answer, found.number) == (b"f" * 32, "an answer", work.number)
        assert "an answer" not in repr(found)
        for other in ((uuid4(), "key"), (CALLER, "other")):
            assert await reading.idempotency_keys.find(*other) is None
        await claim(reading, key="nothing changed")
    async with Work(database, acme.id) as reading:
        found = await reading.idempotency_keys.find(CALLER, "nothing changed")
        assert found is not None
        assert (found.answer, found.number) == (None, None)


async def test_a_twin_waits_and_then_gets_none(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        id = await claim(work)
        late = asyncio.ensure_future(Work.run(database, claim, acme.id))
        await waiting(work, late)
        assert id is not None
        await work.idempotency_keys.settle(id, "the first")
    assert await late is None
    async with Work(database, acme.id) as work:
        found = await work.idempotency_keys.find(CALLER, "key")
    assert found is not None
    assert found.answer == "the first"


async def test_work_that_is_undone_leaves_the_key_to_its_twin(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    with pytest.raises(ZeroDivisionError):
        async with Work(database, acme.id) as work:
            assert await claim(work)
            late = asyncio.ensure_future(Work.run(database, claim, acme.id))
            await waiting(work, late)
            raise ZeroDivisionError
    assert await late is not None


async def test_an_expired_key_is_nobodys_and_can_be_claimed_again(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    first = await answered(database, acme, "the first")
    expire(superuser)
    async with Work(database, acme.id) as work:
        assert await work.idempotency_keys.find(CALLER, "key") is None
    second = await answered(database, acme, "the second", fingerprint=b"g" * 32)
    async with Work(database, acme.id) as work:
        found = await work.idempotency_keys.find(CALLER, "key")
    assert found is not None
    assert (found.fingerprint, found.answer, found.number) == (b"g" * 32, "the second", second.number)
    assert second.number != first.number


async def test_an_expired_key_that_is_claimed_again_has_no_answer_yet(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    await answered(database, acme)
    expire(superuser)
    async with Work(database, acme.id) as work:
        assert await claim(work)
        found = await work.idempotency_keys.find(CALLER, "key")
    assert found is not None
    assert (found.answer, found.number) == (None, None)


async def test_of_many_who_claim_an_expired_key_one_gets_it(database: Database, new: Factory, superuser: Any) -> None:
    acme = await new.tenant("acme")
    await answered(database, acme)
    expire(superuser)
    claims = await asyncio.gather(*(Work.run(database, claim, acme.id) for _ in range(10)))
    assert sum(each is not None for each in claims) == 1


async def test_answers_are_sealed_in_the_table(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    for key in ("one", "two"):
        await answered(database, acme, key=key)
    async with Work(database, acme.id) as work:
        answers = [row["answer"] for row in await work.connection.fetch("SELECT answer FROM idempotency_keys", ())]
    assert [answer[:1] for answer in answers] == [SEALED] * 2
    assert answers[0] != answers[1]
    assert not any(b"answer" in answer for answer in answers)


async def test_the_database_itself_refuses_what_is_no_key(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    for wrong in ({"key": ""}, {"key": "x" * 201}, {"fingerprint": b"short"}):
        with pytest.raises(InvalidInput) as refused:
            async with Work(database, acme.id) as work:
                await claim(work, **wrong)  # type: ignore[arg-type]
        assert [error.field for error in refused.value.errors] == list(wrong)
    await answered(database, acme)
    with pytest.raises(InvalidInput) as refused:
        async with Work(database, acme.id) as work:
            await work.connection.execute("UPDATE idempotency_keys SET answer = 'plain'")
    assert [error.field for error in refused.value.errors] == ["answer"]


async def test_expired_answers_are_forgotten_some_at_a_time(database: Database, new: Factory, superuser: Any) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    for tenant, keys in ((acme, "abc"), (globex, "a")):
        for key in keys:
            await answered(database, tenant, key=key)
    expire(superuser)
    await answered(database, acme, key="fresh")
    async with Work(database, acme.id) as work:
        assert [await work.idempotency_keys.purge(2) for _ in range(3)] == [2, 1, 0]
        assert await work.idempotency_keys.find(CALLER, "fresh") is not None
    async with Work(database, globex.id) as work:
        assert await work.connection.fetchval("SELECT count(*) FROM idempotency_keys", ()) == 1


async def test_what_another_key_sealed_is_stale_and_sealed_again(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    await answered(database, acme)
    async with Work(database, acme.id) as work:
        assert await claim(work, key="not answered yet")
        keyring = work.binding.keyring
        assert keyring is not None
        assert await work.idempotency_keys.stale(keyring.prefix, after=UUID(int=0), limit=9) == []
        (row,) = await work.idempotency_keys.stale(b"\x01other", after=UUID(int=0), limit=9)
        answer = work.binding.seal("sealed again", "idempotency_keys.answer", row.id)
        assert await work.idempotency_keys.reseal(ids=[row.id, uuid4()], answers=[answer, answer]) == 1
        found = await work.idempotency_keys.find(CALLER, "key")
    assert found is not None
    assert found.answer == "sealed again"
