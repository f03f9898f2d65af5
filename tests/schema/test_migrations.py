"""Migrations up and down, what a failing one leaves, and the locks between those who migrate."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from arranging import dumps
from arranging.factories import Factory
from service.addresses import Address
from service.embedded.server import Server
from service.errors import OperatorError
from service.schema import migrations, own_schemas, provisioning, yoyo_backend
from service.schema.migration_errors import MigrationError
from service.settings.settings import Settings


def quietly(_: str) -> None:
    """Nobody reads the progress."""


def test_every_migration_goes_back_and_forth_and_leaves_the_same_catalog(
    server: Server, owner: Address, superuser: Any, folders: tuple[Path, Path]
) -> None:
    catalog = dumps.schema(server, superuser.info.dbname)
    for last in reversed(migrations.status(owner, "quarry")):
        own_schemas.down(owner, "quarry", migrations.last(owner, "quarry", 1, folders), quietly, folders)
        below = dumps.schema(server, superuser.info.dbname)
        assert below != catalog
        assert migrations.up(owner, "quarry", quietly, folders) == [last.id]
        assert dumps.schema(server, superuser.info.dbname) == catalog
        own_schemas.down(owner, "quarry", migrations.last(owner, "quarry", 1, folders), quietly, folders)
        assert dumps.schema(server, superuser.info.dbname) == below
        for folder in folders:
            (folder / f"{last.id}.sql").unlink(missing_ok=True)
        catalog = below


def test_all_down_and_all_up_again_gives_the_same_catalog_and_nothing_is_left_between(
    server: Server, settings: Settings, owner: Address, superuser: Any
) -> None:
    database = superuser.info.dbname
    catalog = dumps.schema(server, database)
    own_schemas.down(owner, "quarry", migrations.last(owner, "quarry", 100), quietly)
    emptied = dumps.schema(server, database)
    superuser.execute("DROP SCHEMA app, quarry CASCADE")
    superuser.commit()
    asyncio.run(provisioning.prepare_database(settings.administration()))
    assert dumps.schema(server, database) == emptied
    migrations.up(owner, "quarry", quietly)
    assert dumps.schema(server, database) == catalog


async def test_hashes_in_the_form_that_no_release_had_end_with_it(
    owner: Address, new: Factory, superuser: psycopg.Connection[Any]
) -> None:
    acme = await new.tenant("acme")
    await new.token(acme)
    names = [each.id for each in migrations.status(owner, "quarry")]
    count = len(names) - names.index("0017.add-token-macs")
    await asyncio.to_thread(own_schemas.down, owner, "quarry", migrations.last(owner, "quarry", count), quietly)
    superuser.execute("UPDATE quarry.sessions SET token_hash = token_hash || '0123456789abcdef'")
    superuser.execute(
        "INSERT INTO quarry.api_keys (tenant_id, name, role, key_hash, created_by)"
        " SELECT tenant_id, 'k', 'member', convert_to(repeat('k', 48), 'UTF8'), id FROM quarry.users"
    )
    superuser.commit()
    await asyncio.to_thread(migrations.up, owner, "quarry", quietly)
    assert superuser.execute("SELECT count(*) FROM quarry.sessions").fetchone() == (0,)
    assert superuser.execute("SELECT octet_length(key_hash), revoked_at <= now() FROM quarry.api_keys").fetchall() == [
        (32, True)
    ]
    told = "SELECT operation FROM app.changes WHERE table_name = 'sessions' ORDER BY xid"
    assert [each for (each,) in superuser.execute(told)] == ["insert", "update", "delete"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-- Broken.\nCREATE TABLE fine (id int);\n\n-- About it.\nINSERT INTO fine\nVALUES (1, 2);\n",
         "0099.break-it.sql:6: INSERT has more expressions than target columns, in: INSERT INTO fine VALUES (1, 2);"),
        ("-- Broken.\nCREATE TABLE fine (id int);\nDO $$ BEGIN\n RAISE 'no; never';\nEND $$;\n",
         "0099.break-it.sql:3: no; never"),
        ("CREATE TABLE fine (id int PRIMARY KEY, next int REFERENCES fine INITIALLY DEFERRED);\nINSERT INTO fine VALUES (1, 2);",
         "in: COMMIT"),
    ],
    ids=["statement", "block", "commit"],
)  # fmt: skip
def test_failing_migration_leaves_nothing_and_names_file_line_and_statement(
    owner: Address, folders: tuple[Path, Path], superuser: Any, text: str, said: str
) -> None:
    before = migrations.status(owner, "quarry")
    (folders[1] / "0099.break-it.sql").write_text(text)
    with pytest.raises(MigrationError) as caught:
        migrations.up(owner, "quarry", quietly, folders)
    assert said in caught.value.message
    assert superuser.execute("SELECT to_regclass('quarry.fine')").fetchone() == (None,)
    assert migrations.status(owner, "quarry") == before
    (folders[1] / "0099.break-it.sql").write_text("-- Mended.\nCREATE TABLE fine (id int);\n")
    assert migrations.up(owner, "quarry", quietly, folders) == ["0099.break-it"]


def test_migrations_before_a_failing_one_stay_and_their_edit_is_noticed(
    owner: Address, folders: tuple[Path, Path]
) -> None:
    good = folders[1] / "0098.add-good.sql"
    good.write_text("-- Good.\nCREATE TABLE good (id int);\n")
    (folders[1] / "0099.break-it.sql").write_text("-- Broken.\nSELECT 1/0;\n")
    with pytest.raises(MigrationError, match="division by zero"):
        migrations.up(owner, "quarry", quietly, folders)
    good.write_text("-- Edited.\n")
    changed = [each.id for each in migrations.status(owner, "quarry", folders) if each.is_changed]
    assert changed == ["0098.add-good"]


def test_failing_way_back_keeps_the_migration_applied(owner: Address, folders: tuple[Path, Path]) -> None:
    (folders[1] / "0099.add-it.sql").write_text("-- It.\nCREATE TABLE it (id int);\n")
    (folders[1] / "0099.add-it.rollback.sql").write_text("DROP TABLE it;\nDROP TABLE nothing;\n")
    migrations.up(owner, "quarry", quietly, folders)
    with pytest.raises(MigrationError, match=r"0099.add-it.rollback.sql:2: table \"nothing\" does not exist"):
        own_schemas.down(owner, "quarry", migrations.last(owner, "quarry", 1, folders), quietly, folders)
    assert migrations.status(owner, "quarry", folders)[-1].applied_at is not None


def test_migration_without_a_way_back_is_not_taken_back(owner: Address, folders: tuple[Path, Path]) -> None:
    (folders[1] / "0099.add-it.sql").write_text("-- It.\nCREATE TABLE it (id int);\n")
    migrations.up(owner, "quarry", quietly, folders)
    with pytest.raises(MigrationError, match=r"no file that takes 0099\.add-it back") as caught:
        own_schemas.down(owner, "quarry", migrations.last(owner, "quarry", 1, folders), quietly, folders)
    assert "write 0099.add-it.rollback.sql beside it" in caught.value.remedy


def test_migration_outside_a_transaction_runs(owner: Address, folders: tuple[Path, Path], superuser: Any) -> None:
    (folders[1] / "0099.add-it.sql").write_text(
        "-- It.\n-- transactional: false\nCREATE INDEX CONCURRENTLY it ON users (tenant_id, role);\n"
    )
    assert migrations.up(owner, "quarry", quietly, folders) == ["0099.add-it"]
    assert superuser.execute("SELECT to_regclass('quarry.it') IS NOT NULL").fetchone() == (True,)


OUTSIDE = "-- It.\n-- transactional: false\nSET lock_timeout = '4s';\n"


def half_done(folder: Path) -> None:
    """A file without a transaction whose second statement fails, with a way back that yoyo would pair with the first."""
    (folder / "0099.add-it.sql").write_text(
        f"{OUTSIDE}ALTER TABLE users ADD COLUMN note text;\nALTER TABLE users ADD COLUMN display_name text;\n"
    )
    (folder / "0099.add-it.rollback.sql").write_text(
        "SET lock_timeout = '4s';\nALTER TABLE users DROP COLUMN display_name;\nALTER TABLE users DROP COLUMN note;\n"
    )


def columns(superuser: Any) -> set[str]:
    """The columns of users."""
    rows = superuser.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'quarry.users'::regclass AND attnum > 0"
    )
    return {name for (name,) in rows.fetchall()}


def test_failure_outside_a_transaction_undoes_nothing_and_names_what_stands(
    owner: Address, folders: tuple[Path, Path], superuser: Any
) -> None:
    half_done(folders[1])
    with pytest.raises(MigrationError, match='column "display_name"') as caught:
        migrations.up(owner, "quarry", quietly, folders)
    assert "these statements stand: ALTER TABLE users ADD COLUMN note text; Undo them by hand" in caught.value.remedy
    assert {"note", "display_name"} <= columns(superuser)


def test_plain_yoyo_undoes_nothing_outside_a_transaction_either(
    owner: Address, folders: tuple[Path, Path], superuser: Any
) -> None:
    half_done(folders[1])
    command = [str(Path(sys.executable).with_name("yoyo")), "apply", "--batch", "--no-config-file"]
    url = migrations.yoyo_url(owner, "quarry")
    done = subprocess.run(
        [*command, "--database", url, *map(str, folders)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert 'column "display_name" of relation "users" already exists' in done.stderr
    assert {"note", "display_name"} <= columns(superuser)


def test_nothing_is_undone_in_a_transaction_because_the_server_would_make_no_table_just_now(
    owner: Address, superuser: Any
) -> None:
    superuser.execute("ALTER SCHEMA quarry OWNER TO postgres; REVOKE CREATE ON SCHEMA quarry FROM PUBLIC, quarry_owner")
    superuser.commit()
    with yoyo_backend.connect(migrations.yoyo_url(owner, "quarry")) as backend:
        assert backend.has_transactional_ddl


def test_failing_way_back_outside_a_transaction_does_nothing_again(
    owner: Address, folders: tuple[Path, Path], superuser: Any
) -> None:
    (folders[1] / "0099.add-it.sql").write_text(
        f"{OUTSIDE}ALTER TABLE users ADD COLUMN a text;\nALTER TABLE users ADD COLUMN b text;\n"
    )
    (folders[1] / "0099.add-it.rollback.sql").write_text(
        "ALTER TABLE users DROP COLUMN b;\nALTER TABLE users DROP COLUMN nothing;\n"
    )
    migrations.up(owner, "quarry", quietly, folders)
    with pytest.raises(MigrationError, match='column "nothing"') as caught:
        own_schemas.down(owner, "quarry", migrations.last(owner, "quarry", 1, folders), quietly, folders)
    assert "stand: ALTER TABLE users DROP COLUMN b;" in caught.value.remedy
    assert columns(superuser) & {"a", "b"} == {"a"}


def test_index_is_built_while_another_instance_waits_for_its_turn(
    owner: Address, folders: tuple[Path, Path], superuser: Any
) -> None:
    (folders[1] / "0099.add-it.sql").write_text(f"{OUTSIDE}CREATE INDEX CONCURRENTLY it ON users (tenant_id, role);\n")
    superuser.execute("LOCK TABLE quarry.users IN ROW EXCLUSIVE MODE")
    said: list[str] = []
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(migrations.up, owner, "quarry", said.append, folders)
        second = threads.submit(migrations.up, owner, "quarry", said.append, folders)
        while "waiting for another instance that is migrating" not in said:
            assert not first.done() or not second.done()
        superuser.commit()
        assert sorted([first.result(30), second.result(30)]) == [[], ["0099.add-it"]]


def test_connections_that_wait_are_not_cut_for_being_idle(
    owner: Address, folders: tuple[Path, Path], superuser: Any
) -> None:
    name = superuser.info.dbname
    superuser.execute(f"ALTER DATABASE {name} SET idle_session_timeout = '100ms'")
    superuser.commit()
    (folders[1] / "0099.add-it.sql").write_text("-- It.\nSELECT pg_sleep(0.5);\n")
    assert migrations.up(owner, "quarry", quietly, folders) == ["0099.add-it"]


def test_migration_whose_idle_connections_are_cut_is_applied_all_the_same(
    owner: Address, folders: tuple[Path, Path], superuser: Any
) -> None:
    (folders[1] / "0099.add-it.sql").write_text("-- It.\nLOCK TABLE users;\nCREATE TABLE it (id int);\n")
    superuser.execute("LOCK TABLE quarry.users IN ACCESS SHARE MODE")
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    idle = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name LIKE 'quarry%' AND state = 'idle'"
    )
    with (
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(superuser.info.dsn, password=superuser.info.password, autocommit=True) as other,
    ):
        running = threads.submit(migrations.up, owner, "quarry", quietly, folders)
        while other.execute(waits).fetchone() == (0,):
            assert not running.done()
        assert other.execute(idle).fetchone() == (2,)
        superuser.commit()
        assert running.result(30) == ["0099.add-it"]
    assert superuser.execute("SELECT count(*) FROM quarry.yoyo_lock").fetchone() == (0,)
    assert not any(each.is_changed for each in migrations.status(owner, "quarry", folders))


def test_read_only_database_is_called_that(owner: Address, folders: tuple[Path, Path], superuser: Any) -> None:
    (folders[1] / "0099.add-it.sql").write_text("-- It.\nCREATE TABLE it (id int);\n")
    superuser.execute(f"ALTER DATABASE {superuser.info.dbname} SET default_transaction_read_only = on")
    superuser.commit()
    with pytest.raises(OperatorError, match="the database is read-only") as caught:
        migrations.up(owner, "quarry", quietly, folders)
    assert "DATABASE_MIGRATION_URL" in caught.value.remedy


def test_copy_from_stdin_is_refused_with_what_to_write_instead(owner: Address, folders: tuple[Path, Path]) -> None:
    (folders[1] / "0099.add-it.sql").write_text("-- It.\nCREATE TABLE it (id int);\nCOPY it FROM stdin;\n")
    with pytest.raises(MigrationError, match=r"0099\.add-it\.sql:3: COPY … FROM stdin has nothing") as caught:
        migrations.up(owner, "quarry", quietly, folders)
    assert "INSERT" in caught.value.remedy


def test_checkout_with_other_line_ends_is_the_same_files(owner: Address, folders: tuple[Path, Path]) -> None:
    for path in folders[1].glob("*.sql"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert not any(each.is_changed for each in migrations.status(owner, "quarry", folders))


def test_database_of_another_encoding_is_refused_at_once(owner: Address, superuser: Any) -> None:
    superuser.autocommit = True
    superuser.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(OperatorError, match="the database is encoded as LATIN1") as caught:
            migrations.up(owner.aimed("latin"), "quarry", quietly)
        assert "ENCODING 'UTF8'" in caught.value.remedy
    finally:
        superuser.execute("DROP DATABASE latin WITH (FORCE)")


def test_last_applied_is_taken_back_first_whatever_its_number(owner: Address, folders: tuple[Path, Path]) -> None:
    late = folders[0] / "0099.add-late.sql"
    late.write_text("-- Late.\nCREATE TABLE app.late (id int);\n")
    late.with_suffix(".rollback.sql").write_text("DROP TABLE app.late;\n")
    migrations.up(owner, "quarry", quietly, folders)
    assert own_schemas.down(owner, "quarry", migrations.last(owner, "quarry", 1, folders), quietly, folders) == [
        "0099.add-late"
    ]


@pytest.mark.parametrize("text", ["-- It.\n-- depends: nothing\nSELECT 1;\n", "-- transactional: maybe\nSELECT 1;\n"])
def test_unreadable_migration_is_the_files_mistake(owner: Address, folders: tuple[Path, Path], text: str) -> None:
    (folders[1] / "0099.add-it.sql").write_text(text)
    with pytest.raises(MigrationError, match="can't be read"):
        migrations.status(owner, "quarry", folders)


def test_lock_of_a_dead_process_is_cleared(owner: Address, superuser: Any) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    superuser.execute("INSERT INTO quarry.yoyo_lock VALUES (1, now(), %s)", (dead.pid,))
    superuser.commit()
    assert migrations.up(owner, "quarry", quietly) == []
    assert superuser.execute("SELECT count(*) FROM quarry.yoyo_lock").fetchone() == (0,)


@pytest.mark.parametrize("is_here", [True, False], ids=["on this host", "on another host"])
def test_lock_of_a_living_process_is_respected(owner: Address, superuser: Any, is_here: bool) -> None:
    pid = os.getppid() if is_here else 2**22 + 1
    superuser.execute("INSERT INTO quarry.yoyo_lock VALUES (1, now(), %s)", (pid,))
    superuser.commit()
    url = migrations.yoyo_url(owner, "quarry").replace("+quarry", "")
    with psycopg.connect(url if not is_here else owner.url), pytest.raises(OperatorError) as caught:
        migrations.up(owner, "quarry", quietly, patience=0.5)
    assert caught.value.message == f"another process is migrating: Process {pid} has locked this database"
    assert "yoyo break-lock" in caught.value.remedy


def test_status_of_a_database_without_any_table_is_all_pending(owner: Address, superuser: Any) -> None:
    superuser.execute("DROP SCHEMA app, quarry CASCADE")
    superuser.commit()
    assert all(each.applied_at is None for each in migrations.status(owner, "quarry"))
    with pytest.raises(OperatorError, match="the schema quarry does not exist"):
        migrations.up(owner, "quarry", quietly)


def test_address_keeps_the_options_and_tls_that_it_was_given() -> None:
    address = Address("postgresql://u:p%40@h/q?options=-c%20a%3Db&sslmode=require", role="quarry_owner",
                      libpq={"sslmode": "verify-full", "sslrootcert": "system"})  # fmt: skip
    url = migrations.yoyo_url(address, "quarry")
    assert url.startswith("postgresql+quarry://u:p%40@h/q?")
    assert (
        "options=-c%20a%3Db%20-c%20search_path%3Dquarry%20-c%20idle_session_timeout%3D0%20-c%20role%3Dquarry_owner"
        in url
    )
    assert "sslmode=verify-full" in url
    assert "sslmode=require" not in url
