"""Rotation on a real database: what is sealed again reads the same, and nobody's change is lost over it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from arranging.accounts import PASSWORD_HASH, NewTenant
from arranging.factories import Factory
from service.accounts import tokens
from service.accounts.tokens import Token
from service.database.database import Database
from service.operations import rotation
from service.operations.sealing import AGGREGATES
from service.personal.keyring import SEALED, Keyring, KeyringError
from service.settings.settings import Settings
from service.statements.repository import attached
from service.work import Work

PERSONAL = {
    "brand_email": "press@b.example", "poc_email": "poc@b.example", "poc_contact_number": "+14155550199",
    "incorporation_document": "https://b.example/i", "gst_document": "https://b.example/g",
    "pan_document": "https://b.example/p",
}  # fmt: skip

NOTHING = dict.fromkeys(("users", "influencers", "brands", "idempotency_keys", "sessions", "api_keys"), 0)


@pytest.fixture
def newer(database: Database) -> Database:
    """The serving role with another key in front of the one that the factory seals with."""
    older = database.keyring
    assert older is not None
    keys = Keyring("row-newer", {"row-newer": b"n" * 32, **older.keys}, older.index_key)
    return Database(database.pool, keyring=keys)


@pytest.fixture
def alone(newer: Database) -> Database:
    """The same after the older key has been taken away."""
    assert newer.keyring is not None
    keys = Keyring("row-newer", {"row-newer": newer.keyring.keys["row-newer"]}, newer.keyring.index_key)
    return Database(newer.pool, keyring=keys)


def quietly(_: str) -> None:
    """Nobody reads the progress."""


async def answered(database: Database, tenant: NewTenant, answer: str = "answered") -> tuple[Any, str]:
    """An idempotency key with its answer: who has it, and the key."""
    caller, key = uuid4(), "k"
    async with Work(database, tenant.id) as work:
        id = await work.idempotency_keys.claim(
            caller_id=caller, key=key, fingerprint=b"f" * 32, lifetime=timedelta(hours=1)
        )
        assert id is not None
        await work.idempotency_keys.settle(id, answer)
    return caller, key


def unsealed_user(superuser: Any, tenant: NewTenant, email: str) -> str:
    """A user as a seed writes it; answers the id."""
    row = superuser.execute(
        "INSERT INTO quarry.users (tenant_id, email, email_index, display_name, password_hash, role)"
        " VALUES (%s, app.unsealed(%s), app.unsealed_index(%s), 'U', '!', 'member') RETURNING id",
        (tenant.id, email, email),
    ).fetchone()
    superuser.commit()
    return str(row[0])


def forms(superuser: Any, prefix: bytes) -> tuple[int, int]:
    """How many users' addresses begin with `prefix`, of how many."""
    row = superuser.execute(
        "SELECT count(*) FILTER (WHERE substring(email FROM 1 FOR octet_length(%s)) = %s), count(*) FROM quarry.users",
        (prefix, prefix),
    ).fetchone()
    superuser.commit()
    return int(row[0]), int(row[1])


def numbers(superuser: Any) -> list[Any]:
    rows = superuser.execute("SELECT tenant_id, number FROM app.commits ORDER BY 1, 2").fetchall()
    superuser.commit()
    return list(rows)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def test_every_column_that_a_row_declares_personal_is_rotated() -> None:
    declared: dict[str, set[str]] = {}
    for name, repository in attached(Work).items():
        for method in vars(repository).values():
            if personal := getattr(getattr(method, "model", None), "personal", None):
                declared.setdefault(name, set()).update(personal)
    assert declared == {each.name: set(each.personal) for each in AGGREGATES}


async def test_values_under_an_older_key_end_under_the_newer_and_read_the_same(
    new: Factory, newer: Database, alone: Database, platform: Database
) -> None:
    tenants = [await new.tenant("acme"), await new.tenant("globex")]
    made = [
        (t, await new.brand(t, **PERSONAL), await new.influencer(t), await answered(new.database, t)) for t in tenants
    ]
    report = await rotation.rotate(newer, platform, quietly)
    assert (report.counts, report.failures) == (
        {**NOTHING, "users": 2, "influencers": 2, "brands": 2, "idempotency_keys": 2}, [],
    )  # fmt: skip
    for tenant, brand, influencer, (caller, key) in made:
        async with Work(alone, tenant.id, read_only=True) as work:
            [owner] = await work.users.page(email=tenant.owner.email)
            assert (owner.id, owner.email, owner.version) == (tenant.owner.id, tenant.owner.email, 2)
            [again] = await work.brands.page(email=brand.email, phone=brand.phone)
            assert again == brand.model_copy(update={"version": 2, "updated_at": again.updated_at})
            [other] = await work.influencers.page(email=influencer.email, phone=influencer.phone)
            assert other == influencer.model_copy(update={"version": 2, "updated_at": other.updated_at})
            settled = await work.idempotency_keys.find(caller, key)
            assert settled is not None
            assert settled.answer == "answered"


async def test_deleted_rows_are_rotated_too(new: Factory, newer: Database, platform: Database, superuser: Any) -> None:
    acme = await new.tenant("acme")
    gone = await new.user(acme.id)
    async with Work(new.database, acme.id) as work:
        await work.users.remove(gone.id)
    assert (await rotation.rotate(newer, platform, quietly)).counts["users"] == 2
    assert newer.keyring is not None
    assert forms(superuser, newer.keyring.prefix) == (2, 2)


async def test_the_log_tells_of_a_rotation(new: Factory, newer: Database, platform: Database, superuser: Any) -> None:
    await new.tenant("acme")
    before = len(numbers(superuser))
    await rotation.rotate(newer, platform, quietly)
    assert len(numbers(superuser)) == before + 1
    logged = superuser.execute("SELECT table_name, columns FROM app.changes WHERE operation = 'update'").fetchall()
    assert logged == [("users", ["email", "password_hash"])]


async def test_nothing_to_do_takes_no_number(new: Factory, platform: Database, superuser: Any) -> None:
    acme = await new.tenant("acme")
    await new.brand(acme)
    before = numbers(superuser)
    assert not any((await rotation.rotate(new.database, platform, quietly)).counts.values())
    assert not any((await rotation.seal(new.database, [acme.id], quietly)).counts.values())
    assert await rotation.waiting(new.database) == []
    assert numbers(superuser) == before


async def test_plain_text_is_sealed_and_found_and_what_is_sealed_keeps_its_key(
    new: Factory, newer: Database, platform: Database, superuser: Any
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    unsealed_user(superuser, acme, "jo@acme.example")
    assert await rotation.waiting(new.database) == [acme.id]
    report = await rotation.seal(newer, [acme.id, globex.id], quietly)
    assert (str(report), report.lines()) == ("sealed 1 users", ["sealed 1 users"])
    async with Work(newer, acme.id) as work:
        assert [user.email for user in await work.users.page(email="jo@acme.example")] == ["jo@acme.example"]
    assert newer.keyring is not None
    assert forms(superuser, newer.keyring.prefix) == (1, 3)


async def test_plain_text_in_a_table_that_the_engine_has_never_heard_of_is_found(new: Factory, superuser: Any) -> None:
    acme, _ = await new.tenant("acme"), await new.tenant("globex")
    superuser.execute(
        "CREATE TABLE quarry.boats (tenant_id uuid, keeper bytea CHECK (app.is_sealed(keeper)),"
        " harbour bytea CHECK (app.is_sealed(harbour)))"
    )
    superuser.execute("GRANT ALL ON quarry.boats TO quarry_owner")
    superuser.execute(
        "INSERT INTO quarry.boats VALUES (%s, app.unsealed('Jo'), NULL), (%s, NULL, NULL)", [acme.id, acme.id]
    )
    superuser.commit()
    assert await rotation.waiting(new.database) == [acme.id]


async def test_plain_text_that_somebody_has_put_there_is_not_sealed_by_a_rotation(
    new: Factory, newer: Database, platform: Database, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    planted = unsealed_user(superuser, acme, "mallory@acme.example")
    report = await rotation.rotate(newer, platform, quietly)
    assert ([str(each.id) for each in report.failures], report.counts["users"]) == ([planted], 1)
    assert await rotation.waiting(new.database) == [acme.id]


async def lets_in(work: Work, token: Token) -> bool:
    bearer = await work.sessions.authenticate(token.hash, idle=timedelta(hours=1), seen_every=timedelta(minutes=1))
    assert bearer is not None
    return work.binding.verifies(bearer.token_mac, tokens.session_fields(token.hash, bearer.user_id))


async def test_hashes_that_an_earlier_release_has_kept_are_sealed_in_place(
    new: Factory, database: Database, platform: Database, superuser: Any
) -> None:
    keys = database.keyring
    assert keys is not None
    earlier = Keyring("k0", {"k0": b"e" * 32}, keys.index_key)
    between = Keyring(keys.current, {**keys.keys, **earlier.keys}, keys.index_key)
    was, is_now = (Database(database.pool, keyring=each) for each in (earlier, between))
    acme = await Factory(was, platform).tenant("acme")
    token = tokens.read(await Factory(was, platform).token(acme))
    assert token is not None
    async with Work(was, acme.id) as work:
        await work.api_keys.create(
            name="K", role="admin", key_hash=b"k" * 32, key_mac=bytes(32), created_by=acme.owner.id, expires_at=None
        )  # fmt: skip
    superuser.execute("UPDATE quarry.sessions SET token_mac = NULL; UPDATE quarry.api_keys SET key_mac = NULL")
    superuser.commit()
    report = await rotation.rotate(is_now, platform, quietly)
    assert (report.counts, report.failures) == ({**NOTHING, "users": 1, "sessions": 1, "api_keys": 1}, [])
    async with Work(database, acme.id) as work:
        assert work.users.opened(await work.users.credentials(acme.owner.id)).opened == PASSWORD_HASH
        assert await lets_in(work, token)
        (key,) = await work.api_keys.page_macs(has_mac=True, limit=2)
        assert work.binding.verifies(key.key_mac, tokens.key_fields(b"k" * 32, acme.owner.id, "admin"))


async def test_what_is_no_address_stays_as_it_was(new: Factory, newer: Database, platform: Database) -> None:
    acme = await new.tenant("acme")
    brand = await new.brand(acme, poc_email="sales desk, 4th floor")
    await rotation.rotate(newer, platform, quietly)
    async with Work(newer, acme.id) as work:
        assert (await work.brands.find(brand.id)).poc_email == "sales desk, 4th floor"


async def test_a_key_that_binds_less_is_not_rotated_to(database: Database, platform: Database) -> None:
    keys = database.keyring
    assert keys is not None
    back = Keyring("2025-01", {"2025-01": b"b" * 32, **keys.keys}, keys.index_key)
    with pytest.raises(KeyringError, match="of an earlier release"):
        await rotation.rotate(Database(database.pool, keyring=back), platform, quietly)


async def test_tokens_of_neither_index_key_stand_in_nobody_s_way(
    new: Factory, database: Database, platform: Database, superuser: Any
) -> None:
    acme, former = await new.tenant("acme"), database.keyring
    assert former is not None
    await new.token(acme)
    superuser.execute("UPDATE quarry.sessions SET token_mac = %s", (b"x" * 32,))
    superuser.commit()
    other = Database(database.pool, keyring=replace(former, index_key=b"o" * 32))
    report = await rotation.reindex(other, platform, former, quietly)
    async with Work(database, acme.id) as work:
        (left,) = await work.sessions.page_macs(has_mac=True, limit=2)
    assert (left.token_mac, report.failures, [each.id for each in report.unauthentic]) == (b"x" * 32, [], [left.id])
    assert report.counts["sessions"] == 0


async def test_tokens_that_have_no_mac_any_more_are_reported(
    new: Factory, database: Database, platform: Database, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    await new.token(acme)
    superuser.execute("UPDATE quarry.sessions SET token_mac = NULL")
    superuser.commit()
    report = await rotation.rotate(database, platform, quietly)
    assert ([each.aggregate for each in report.unauthentic], report.failures) == (["sessions"], [])


async def test_everything_is_found_by_another_index_key_also_after_a_run_that_was_killed(
    new: Factory, database: Database, platform: Database
) -> None:
    former = database.keyring
    assert former is not None
    acme = await new.tenant("acme")
    brand, token = await new.brand(acme), tokens.read(await new.token(acme))
    assert token is not None
    other = Database(database.pool, keyring=replace(former, index_key=b"o" * 32))
    for sessions in (1, 0):
        report = await rotation.reindex(other, platform, former, quietly, batch=1)
        assert (report.counts, report.failures) == ({**NOTHING, "users": 1, "brands": 1, "sessions": sessions}, [])
    async with Work(other, acme.id) as work:
        assert [each.id for each in await work.brands.page(email=brand.email, phone=brand.phone)] == [brand.id]
        assert await lets_in(work, token)
    async with Work(database, acme.id) as work:
        assert await work.brands.page(email=brand.email) == []


async def test_all_tenants_are_rotated_however_many_pages_they_are(
    new: Factory, newer: Database, platform: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_PAGE", 2)
    for name in ("a1", "b1", "c1", "d1", "e1"):
        await new.tenant(name)
    assert (await rotation.rotate(newer, platform, quietly)).counts["users"] == 5


async def test_a_run_that_was_ended_between_batches_is_continued(
    new: Factory, newer: Database, platform: Database, superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = await new.tenant("acme")
    for n in range(6):
        await new.user(acme.id, email=f"user{n}@acme.example")
    monkeypatch.setattr(rotation, "_PROGRESS_SECONDS", -1.0)
    said: list[str] = []

    def end(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rotation.rotate(newer, platform, end, batch=2)
    assert said == ["sealed 2 users so far", "sealed 4 users so far"]
    assert newer.keyring is not None
    assert forms(superuser, newer.keyring.prefix) == (4, 7)
    assert (await rotation.rotate(newer, platform, quietly, batch=2)).counts["users"] == 3
    assert forms(superuser, newer.keyring.prefix) == (7, 7)


async def test_a_change_made_meanwhile_is_kept_and_sealed_in_the_next_pass(
    new: Factory, newer: Database, alone: Database, platform: Database, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    other = await new.user(acme.id)
    keys = new.database.keyring
    assert keys is not None
    sealed = keys.seal("new@acme.example", acme.id, other.id, "users.email")
    superuser.execute(
        "UPDATE quarry.users SET email = %s, email_index = %s WHERE id = %s",
        (sealed, keys.index("new@acme.example", acme.id, "users.email"), other.id),
    )
    rotating = asyncio.create_task(rotation.rotate(newer, platform, quietly))
    await until(lambda: superuser.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone())
    superuser.commit()
    report = await rotating
    assert (report.counts["users"], report.failures) == (2, [])
    async with Work(alone, acme.id) as work:
        assert (await work.users.find(other.id)).email == "new@acme.example"


async def test_an_answer_to_a_key_that_was_claimed_again_meanwhile_is_kept(
    new: Factory, newer: Database, alone: Database, platform: Database, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    caller, key = await answered(new.database, acme)
    assert new.database.keyring is not None
    (row,) = superuser.execute("SELECT id FROM quarry.idempotency_keys").fetchone()
    superuser.execute(
        "UPDATE quarry.idempotency_keys SET answer = %s",
        (new.database.keyring.seal("another", acme.id, row, "idempotency_keys.answer"),),
    )
    rotating = asyncio.create_task(rotation.rotate(newer, platform, quietly))
    await until(lambda: superuser.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone())
    superuser.commit()
    assert (await rotating).failures == []
    async with Work(alone, acme.id) as work:
        settled = await work.idempotency_keys.find(caller, key)
    assert settled is not None
    assert settled.answer == "another"


async def test_what_cannot_be_opened_is_reported_and_the_rest_is_done(
    new: Factory, newer: Database, platform: Database, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    lost = await new.user(acme.id, email="lost@acme.example")
    await new.brand(acme)
    gone = Keyring("row-gone", {"row-gone": b"g" * 32}, b"i" * 32)
    sealed = gone.seal("lost@acme.example", acme.id, lost.id, "users.email")
    superuser.execute("UPDATE quarry.users SET email = %s WHERE id = %s", (sealed, lost.id))
    superuser.commit()
    report = await rotation.rotate(newer, platform, quietly)
    assert [(each.aggregate, each.id) for each in report.failures] == [("users", lost.id)]
    assert str(report.failures[0]) == (
        f"users {lost.id} of tenant {acme.id}: email: It is sealed with the key row-gone, which is not among PII_KEYS."
    )
    # The password's hash of the same row among it.
    assert report.counts == {**NOTHING, "users": 2, "brands": 1}
    assert (await rotation.rotate(newer, platform, quietly)).counts == NOTHING


async def test_an_address_that_two_live_rows_have_is_reported_and_the_rest_is_done(
    new: Factory, newer: Database, superuser: Any
) -> None:
    acme = await new.tenant("acme")
    taken = {unsealed_user(superuser, acme, email) for email in (acme.owner.email, "jo@acme.example")}
    for n in range(9):
        unsealed_user(superuser, acme, f"user{n}@acme.example")
    await new.user(acme.id, email="jo@acme.example")
    report = await rotation.seal(newer, [acme.id], quietly)
    assert {str(each.id) for each in report.failures} == taken
    assert {each.reason for each in report.failures} == {"The email is taken."}
    assert report.counts["users"] == 9
    assert forms(superuser, SEALED) == (11, 13)


async def test_a_row_that_stays_locked_is_reported_and_the_rest_is_done(
    new: Factory, newer: Database, platform: Database, superuser: Any, settings: Settings
) -> None:
    acme = await new.tenant("acme")
    locked = await new.user(acme.id)
    superuser.execute("SELECT FROM quarry.users WHERE id = %s FOR UPDATE", (locked.id,))
    limits = replace(settings.limits, lock_timeout=0.05)
    async with Database.open(settings.address("quarry_app"), limits, keyring=newer.keyring) as impatient:
        report = await rotation.rotate(impatient, platform, quietly)
    superuser.rollback()
    assert [(each.id, each.reason) for each in report.failures] == [
        (locked.id, "The row is locked by other work; nothing was changed.")
    ]
    assert report.counts["users"] == 1


async def test_an_aggregate_that_does_not_come_to_an_end_is_reported(
    new: Factory, newer: Database, platform: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await new.tenant("acme")
    monkeypatch.setattr(rotation, "_PASSES", 1)
    [failure] = (await rotation.rotate(newer, platform, quietly)).failures
    assert (failure.aggregate, failure.id) == ("users", None)
    assert "still being written under another key" in str(failure)
