"""A tenant leaves with everything and comes back as it was, here or elsewhere."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from arranging.offboarding_rows import LONG_NUMBER, Stock, opened, quietly, rewrite, settings_of
from arranging.tenancy_rows import cloned
from service.database.database import Database
from service.embedded.server import Server
from service.errors import OperatorError
from service.offboarding import exporting, importing
from service.personal import keyring
from service.personal.keyring import Keyring
from service.settings.settings import Settings
from service.tables import HISTORY, UNEXPORTED
from service.tenancy.identity import TenantId
from service.work import Work


@pytest.fixture
async def elsewhere(server: Server, template: Any) -> AsyncIterator[Settings]:
    """Another installation: a database of its own and other keys."""
    async with cloned(server, template) as url:
        yield settings_of(server, url, "E")


async def test_a_tenant_comes_back_as_it_was(stock: Stock, tmp_path: Path) -> None:
    before, others = opened(stock.settings, stock.arranged, stock.a), stock.bytes_of(stock.b)
    path = tmp_path / "a.tar.gz"
    await stock.export(path)
    await stock.erase(stock.a)
    assert not any(opened(stock.settings, stock.arranged, stock.a).values())
    await importing.restore(stock.settings, path, quietly)
    after = opened(stock.settings, stock.arranged, stock.a)
    assert all(before.values())
    assert after == before
    assert any(LONG_NUMBER in row.replace("\\", "") for row in after["app.tenants"])
    # To the byte, with its log and its number.
    assert stock.bytes_of(stock.b) == others


async def test_a_tenant_comes_back_on_a_database_that_was_restored_twice(stock: Stock, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    for _ in range(2):
        change(stock)
        # Another system identifier is what a restored database finds: transaction ids of before go above 2^63.
        stock.superuser.execute("UPDATE app.installation SET system_identifier = system_identifier + 1")
        stock.superuser.execute("SELECT app.enter_life()")
    assert stock.one("SELECT max(xid)::text::numeric > 2::numeric ^ 63 FROM app.commits WHERE tenant_id = %s", stock.a)
    before = opened(stock.settings, stock.arranged, stock.a)
    await stock.export(path)
    await stock.erase(stock.a)
    await importing.restore(stock.settings, path, quietly)
    assert opened(stock.settings, stock.arranged, stock.a) == before
    change(stock)
    await stock.export(path)


async def test_niches_that_all_would_see_are_made_when_asked_for_alone(
    stock: Stock, tmp_path: Path, elsewhere: Settings
) -> None:
    path = tmp_path / "a.tar.gz"
    await stock.export(path)
    with pytest.raises(OperatorError, match="niches of the archive are not here") as refused:
        await importing.restore(elsewhere, path, quietly)
    assert "--with-niches" in refused.value.remedy


async def test_an_api_key_that_somebody_has_changed_by_hand_does_not_leave(stock: Stock, tmp_path: Path) -> None:
    stock.superuser.execute("UPDATE quarry.api_keys SET role = 'admin', name = 'Mine' WHERE tenant_id = %s", [stock.a])
    ids = stock.superuser.execute("SELECT id FROM quarry.api_keys WHERE tenant_id = %s", [stock.a]).fetchall()
    told: list[str] = []
    manifest = await exporting.export(stock.settings, stock.domain(stock.a), tmp_path / "a.tar.gz", told.append)
    assert [table.rows for table in manifest.tables if table.name == "api_keys"] == [0]
    assert [each.split(": ")[1] for each in told if "left out" in each] == [
        f"api_keys {id} is left out" for (id,) in ids
    ]


async def test_the_log_begins_again_and_tells_of_the_import(stock: Stock, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    manifest = await stock.export(path)
    await stock.erase(stock.a)
    await importing.restore(stock.settings, path, quietly)
    tracked = {"niches", "sign_in_failures", *HISTORY}
    assert stock.one("SELECT count(*) FROM app.commits WHERE tenant_id = %s", stock.a) == 1
    assert stock.one("SELECT count(*) FROM app.changes WHERE tenant_id = %s", stock.a) == sum(
        table.rows for table in manifest.tables if table.name not in tracked
    )


def head(stock: Stock) -> int:
    return int(stock.one("SELECT head FROM app.heads WHERE tenant_id = %s", stock.a))


def change(stock: Stock) -> None:
    """One more commit of the tenant that leaves."""
    stock.superuser.execute(
        "UPDATE quarry.users SET display_name = display_name || '!' WHERE tenant_id = %s", [stock.a]
    )


async def test_numbers_after_an_import_are_above_every_number_before(stock: Stock, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    given = 0
    for _ in range(3):
        manifest = await stock.export(path)
        change(stock)
        assert given < manifest.number < head(stock)
        given = head(stock)
        await stock.erase(stock.a)
        await importing.restore(stock.settings, path, quietly)
        assert stock.one("SELECT min(number) FROM app.commits WHERE tenant_id = %s", stock.a) > given


async def test_the_floor_says_that_old_numbers_are_gone(stock: Stock, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    manifest = await stock.export(path)
    await stock.erase(stock.a)
    await importing.restore(stock.settings, path, quietly)
    floor = stock.one("SELECT floor FROM app.heads WHERE tenant_id = %s", stock.a)
    assert floor > manifest.number
    # The commit of the import itself is there to be read.
    assert floor == stock.one("SELECT min(number) FROM app.commits WHERE tenant_id = %s", stock.a) - 1


async def test_a_second_import_of_an_archive_repeats_no_number(stock: Stock, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    await stock.export(path)
    given = 0
    for _ in range(3):
        await stock.erase(stock.a)
        await importing.restore(stock.settings, path, quietly)
        assert stock.one("SELECT min(number) FROM app.commits WHERE tenant_id = %s", stock.a) > given
        change(stock)
        given = head(stock)


async def test_an_archive_without_a_number_is_imported(stock: Stock, tmp_path: Path) -> None:
    def forget(held: dict[str, bytes]) -> None:
        manifest = json.loads(held["manifest.json"])
        assert manifest.pop("number") == before
        held["manifest.json"] = json.dumps(manifest).encode()

    before, path = head(stock), tmp_path / "a.tar.gz"
    await stock.export(path)
    rewrite(path, forget)
    await stock.erase(stock.a)
    assert (await importing.restore(stock.settings, path, quietly)).number == 0
    assert head(stock) > before


async def test_a_tenant_moves_to_an_installation_with_other_keys(
    stock: Stock, elsewhere: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "a.tar.gz"
    await stock.export(path)
    await importing.restore(elsewhere, path, quietly, with_shared=True)
    assert opened(elsewhere, stock.arranged, stock.a) == opened(stock.settings, stock.arranged, stock.a)
    user, kept = stock.superuser.execute(
        "SELECT id, password_hash FROM quarry.users WHERE tenant_id = %s AND deleted_at IS NULL", [stock.a]
    ).fetchone()
    hashed = keyring.load(stock.settings).open_hash(kept, stock.a, user)
    async with (
        Database.open(elsewhere.address("quarry_app"), elsewhere.limits, keyring=keyring.load(elsewhere)) as database,
        Work(database, TenantId(stock.a), read_only=True) as work,
    ):
        found = await work.users.find_credentials(f"email {user} ü")
        assert found is not None
        assert (found.id, work.users.opened(found).opened) == (user, hashed)
    with psycopg.connect(elsewhere.administration().url) as connection:
        assert connection.execute("SELECT name, icon FROM app.niches").fetchall() == [("shared", "🍜")]


async def test_a_password_whose_key_is_gone_stops_the_export(stock: Stock, tmp_path: Path) -> None:
    gone = Keyring("row-gone", {"row-gone": b"g" * 32}, b"i" * 32)
    (user,) = stock.superuser.execute("SELECT id FROM quarry.users WHERE tenant_id = %s LIMIT 1", [stock.a]).fetchone()
    stock.superuser.execute(
        "UPDATE quarry.users SET password_hash = %s WHERE id = %s", [gone.seal_hash("$argon2id$", stock.a, user), user]
    )
    with pytest.raises(OperatorError, match=r"users\.password_hash of the row .* can't be opened"):
        await stock.export(tmp_path / "a.tar.gz")


async def test_an_archive_holds_one_tenant_in_plain_text_and_nothing_that_is_left_out(
    stock: Stock, tmp_path: Path
) -> None:
    path = tmp_path / "a.tar.gz"
    manifest = await stock.export(path)
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        held = {member.name: tar.extractfile(member).read().decode() for member in members}  # type: ignore[union-attr]
    assert path.stat().st_mode & 0o777 == 0o600
    assert [member.name for member in members] == ["manifest.json", *(f"{t.name}.jsonl" for t in manifest.tables)]
    assert not UNEXPORTED.keys() & {table.name for table in manifest.tables}
    text = "".join(held.values())
    assert str(stock.b) not in text
    assert stock.domain(stock.b) not in text
    user = json.loads(held["users.jsonl"].splitlines()[0])
    assert user["email"] == f"email {user['id']} ü"
    assert {"tenant_id", "email_index"}.isdisjoint(user)
    assert json.loads(held["contents.jsonl"].splitlines()[0])["published_at"] == "2020-02-29T12:00:00.123456Z"
    assert len(held["changes.jsonl"].splitlines()) == stock.one(
        "SELECT count(*) FROM app.changes WHERE tenant_id = %s", stock.a
    )


async def test_tables_larger_than_a_batch_are_whole(
    stock: Stock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_BATCH", 2)
    monkeypatch.setattr(importing, "_BATCH_ROWS", 2)
    before, path = opened(stock.settings, stock.arranged, stock.a), tmp_path / "a.tar.gz"
    manifest = await stock.export(path)
    counts = {table.name: table.rows for table in manifest.tables}
    for name in HISTORY:
        assert counts[name] == stock.one(f"SELECT count(*) FROM app.{name} WHERE tenant_id = %s", stock.a) > 2
    await stock.erase(stock.a)
    await importing.restore(stock.settings, path, quietly)
    assert opened(stock.settings, stock.arranged, stock.a) == before


async def test_an_export_is_of_one_moment(stock: Stock, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"

    def add_a_code(said: str) -> None:
        if said.startswith("users "):
            stock.superuser.execute(
                "INSERT INTO quarry.sign_in_failures (tenant_id, id, email_hash) VALUES (%s, %s, sha256('x'))",
                [stock.a, UUID(int=1)],
            )

    before = stock.one("SELECT count(*) FROM quarry.sign_in_failures WHERE tenant_id = %s", stock.a)
    manifest = await exporting.export(stock.settings, stock.domain(stock.a), path, add_a_code)
    assert {table.name: table.rows for table in manifest.tables}["sign_in_failures"] == before


async def test_the_number_is_of_the_moment_of_the_rows(stock: Stock, tmp_path: Path) -> None:
    before = head(stock)
    manifest = await exporting.export(
        stock.settings, stock.domain(stock.a), tmp_path / "a.tar.gz", lambda _: change(stock)
    )
    assert manifest.number == before < head(stock)


async def test_what_can_not_be_opened_is_not_exported(stock: Stock, tmp_path: Path) -> None:
    stock.superuser.execute("UPDATE quarry.influencers SET phone = app.unsealed('+49') WHERE tenant_id = %s", [stock.a])
    with pytest.raises(OperatorError, match=r"influencers\.phone of the row .* can't be opened"):
        await stock.export(tmp_path / "a.tar.gz")
    assert not os.listdir(tmp_path)  # noqa: PTH208  what it yields would be awaited
