"""`quarry pii`, and what migrations seal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from arranging.factories import Factory
from service.cli import migrate
from service.database.database import Database
from service.personal import keyring
from service.settings.settings import Settings

WITHOUT = {"PII_KEYS": "", "PII_INDEX_KEY": ""}
PASSWORD = {"QUARRY_PASSWORD": "long enough"}


def add(local: Any, email: str = "jo@acme.example", **variables: str) -> None:
    local("tenants", "add", "acme.example", "--name", "Acme", **variables)
    assert local("users", "add", "acme.example", email, **PASSWORD, **variables).status == 0


def add_unsealed(superuser: Any) -> None:
    superuser.execute(
        "INSERT INTO quarry.users (tenant_id, email, email_index, display_name, password_hash)"
        " SELECT id, app.unsealed('al@' || domain), app.unsealed_index('al@' || domain), 'Al', '!' FROM app.tenants"
    )
    superuser.commit()


def test_keys_are_printed_as_the_settings_take_them(inside: Any) -> None:
    key, index = inside("pii", "key"), inside("pii", "key", "--index")
    assert (key.status, key.err, index.status, index.err) == (0, "", 0, "")
    assert keyring.parse(key.out.strip(), index.out.strip()).current == key.out.partition(":")[0]
    assert key.out != inside("pii", "key").out


def test_rotation_seals_with_the_first_key_and_tells_how_much(local: Any, quarry: Any) -> None:
    add(local)
    newer = keyring.fresh_key()
    keys = {"PII_KEYS": f"{newer},{quarry.variables['PII_KEYS']}"}
    done = local("pii", "rotate", "--json", **keys)
    assert (done.status, done.err) == (0, "quarry: sealed 1 users\n")
    counts = json.loads(done.out)
    assert (counts.pop("users"), set(counts.values())) == (1, {0})
    again = local("pii", "rotate", PII_KEYS=newer)
    assert (again.status, again.out, again.err) == (0, "", "quarry: sealed nothing\n")
    assert local("users", "passwd", "acme.example", "jo@acme.example", **PASSWORD, PII_KEYS=newer).status == 0


def test_a_new_key_is_put_in_front_of_those_in_the_directory(local: Any, tmp_path: Path) -> None:
    add(local, **WITHOUT)
    file = tmp_path / ".quarry" / "pii.keys"
    before = file.read_text().splitlines()
    done = local("pii", "rotate", "--new-key", **WITHOUT)
    keys, index = file.read_text().splitlines()
    newer = keys.removeprefix("PII_KEYS=").partition(":")[0]
    assert (keys.endswith(before[0].removeprefix("PII_KEYS=")), index) == (True, before[1])
    assert done.err.splitlines() == [
        f"quarry: the key {newer} seals from now on",
        "quarry: sealed 1 users",
    ]
    assert local("users", "passwd", "acme.example", "jo@acme.example", **PASSWORD, **WITHOUT).status == 0


def test_a_new_key_is_refused_where_the_keys_are_given(local: Any, tmp_path: Path) -> None:
    refused = local("pii", "rotate", "--new-key")
    assert (refused.status, refused.out) == (1, "")
    message, remedy = refused.err.splitlines()
    assert message == "quarry: the keys are given in PII_KEYS, and not kept in QUARRY_HOME"
    assert "`quarry pii key`" in remedy
    assert not (tmp_path / ".quarry").exists()


def test_what_cannot_be_sealed_is_told_and_is_a_failure(local: Any) -> None:
    add(local)
    failed = local("pii", "rotate", "--json", PII_KEYS=keyring.fresh_key())
    assert (failed.status, json.loads(failed.out)["users"]) == (1, 0)
    row, done, message, remedy = failed.err.splitlines()
    assert row.startswith("quarry: users ")
    assert "email: It is sealed with the key row-test, which is not among PII_KEYS." in row
    assert (done, message) == ("quarry: sealed nothing", "quarry: 1 could not be sealed again and are as they were")
    assert remedy.startswith("  → ")


@pytest.mark.parametrize("command", [("pii", "rotate"), ("users", "add", "acme.example", "jo@acme.example")])
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (WITHOUT, "production needs keys for personal data"),
        ({"PII_KEYS": "secret"}, "PII_KEYS can't be read"),
        ({"PII_INDEX_KEY": "secret"}, "PII_INDEX_KEY can't be read"),
        ({"PII_INDEX_KEY": ""}, "PII_KEYS is given, and PII_INDEX_KEY is not"),
    ],
)
def test_keys_that_are_missing_or_wrong_are_one_line_and_a_remedy(
    local: Any, command: tuple[str, ...], keys: dict[str, str], said: str
) -> None:
    answer = local(*command, ENVIRONMENT="production", **PASSWORD, **keys)
    assert (answer.status, answer.out) == (1, "")
    message, remedy = answer.err.splitlines()
    assert (message, remedy[:4], "secret" in answer.err) == (f"quarry: {said}", "  → ", False)


def test_index_key_is_exchanged_and_people_are_found_by_the_new_one(local: Any, quarry: Any) -> None:
    add(local)
    new, old = {"PII_INDEX_KEY": keyring.fresh_index_key()}, quarry.variables["PII_INDEX_KEY"]
    other = {"PII_INDEX_KEY": keyring.fresh_index_key(), "QUARRY_OLD_INDEX_KEY": keyring.fresh_index_key()}
    assert "QUARRY_OLD_INDEX_KEY is not the index key of this database" in local("pii", "rotate-index", **other).err
    assert "the same key" in local("pii", "rotate-index", QUARRY_OLD_INDEX_KEY=old).err
    sealed, done = local("pii", "rotate-index", **new, QUARRY_OLD_INDEX_KEY=old).err.splitlines()
    assert (sealed, done.split(";")[0]) == (
        "quarry: sealed 1 users", "quarry: PII_INDEX_KEY is the index key of this database now",
    )  # fmt: skip
    assert "index key already" in local("pii", "rotate-index", **new, QUARRY_OLD_INDEX_KEY=old).err
    assert local("users", "passwd", "acme.example", "jo@acme.example", **PASSWORD, **new).status == 0
    passwd = local("users", "passwd", "acme.example", "jo@acme.example", **PASSWORD)
    assert "not the keys of this database" in passwd.err


def test_after_a_run_that_was_killed_no_third_index_key_is_taken_and_no_instance_starts(
    local: Any, quarry: Any, superuser: Any
) -> None:
    add(local)
    old, new = quarry.variables["PII_INDEX_KEY"], keyring.fresh_index_key()
    # A row that can't be changed ends the run as a kill does, before the database is done with the old key.
    superuser.execute("UPDATE quarry.users SET email = app.unsealed('x@acme.example')")
    superuser.commit()
    assert local("pii", "rotate-index", PII_INDEX_KEY=new, QUARRY_OLD_INDEX_KEY=old).status == 1
    third = local("pii", "rotate-index", PII_INDEX_KEY=keyring.fresh_index_key(), QUARRY_OLD_INDEX_KEY=old)
    assert "where a run was killed, give the same two again" in third.err
    for key in (old, new):
        refused = local("users", "passwd", "acme.example", "jo@acme.example", **PASSWORD, PII_INDEX_KEY=key)
        assert "`quarry pii rotate-index` has not come to its end" in refused.err
    superuser.execute("DELETE FROM quarry.users")
    superuser.commit()
    assert local("pii", "rotate-index", PII_INDEX_KEY=old, QUARRY_OLD_INDEX_KEY=new).status == 0


async def test_keys_are_not_exchanged_while_an_instance_runs(quarry: Any, database: Database, new: Factory) -> None:
    await new.tenant("acme")
    key, old = keyring.fresh_index_key(), quarry.variables["PII_INDEX_KEY"]
    assert "the old index key is not given" in quarry("pii", "rotate-index", PII_INDEX_KEY=key).err
    assert "can't be read" in quarry("pii", "rotate-index", PII_INDEX_KEY=key, QUARRY_OLD_INDEX_KEY="x").err
    refused = quarry("pii", "rotate-index", PII_INDEX_KEY=key, QUARRY_OLD_INDEX_KEY=old)
    assert "instances are connected: " in refused.err
    assert "instances are connected: " in quarry("pii", "rotate", "--new-key").err


def test_what_waits_is_sealed_by_its_command_and_by_no_other(local: Any, superuser: Any) -> None:
    tenant = local("tenants", "add", "acme.example", "--name", "Acme").out.strip()
    add_unsealed(superuser)
    assert local("migrate", "up").err == (
        f"quarry: tenant {tenant}: plain text waited to be sealed before this, and was left as it is\n"
        "  → `quarry pii rotate` names the rows; look where they come from, then run `quarry pii seal`\n"
        "quarry: nothing to apply\n"
    )
    failed = local("pii", "rotate")
    assert "plain text that waits to be sealed; `quarry pii seal` does it" in failed.err
    assert local("pii", "seal").status == 1  # nobody is there to say yes
    assert local("pii", "seal", "--yes").err == "quarry: sealed 1 users\n"
    assert local("migrate", "up").err == "quarry: nothing to apply\n"
    assert local("users", "passwd", "acme.example", "al@acme.example", **PASSWORD).status == 0


async def test_migrating_seals_what_its_migrations_have_left(new: Factory, settings: Settings, superuser: Any) -> None:
    acme = await new.tenant("acme")
    add_unsealed(superuser)
    await migrate._seal(settings, [acme.id])
    assert await migrate.waiting(settings) == [acme.id]
    await migrate._seal(settings, [])
    assert await migrate.waiting(settings) == []


def test_migrating_needs_no_keys_where_nothing_waits(local: Any) -> None:
    local("tenants", "add", "acme.example", "--name", "Acme")
    done = local("migrate", "up", ENVIRONMENT="production", **WITHOUT)
    assert (done.status, done.err) == (0, "quarry: nothing to apply\n")


def test_migrating_needs_no_login_that_may_list_tenants(local: Any, quarry: Any) -> None:
    local("migrate", "down", "--yes")
    done = local("migrate", "up", DATABASE_PLATFORM_URL=quarry.variables["DATABASE_URL"])
    assert (done.status, done.err.splitlines()[-1]) == (0, "quarry: 1 applied")
    assert "wait to be sealed" not in done.err
