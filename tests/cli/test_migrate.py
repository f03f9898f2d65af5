"""`quarry migrate`, beside the ordinary yoyo on the same files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from service.settings.settings import Settings


def yoyo(checkout: Path, *arguments: str, **variables: str) -> str:
    """What the ordinary command prints, run with the checkout's yoyo.ini."""
    command = [str(Path(sys.executable).with_name("yoyo")), *arguments, "--batch"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=checkout, env={**os.environ, **variables}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def last(checkout: Path) -> str:
    """The name of the last migration of the tenant tables."""
    folder = checkout / "sql" / "migrations" / "tenant"
    return max(path.name for path in folder.glob("0*.sql") if ".rollback." not in path.name).removesuffix(".sql")


def test_show_and_pending_list_what_is_applied(local: Any) -> None:
    assert local("migrate", "down", "2", "--yes").err.endswith("quarry: 2 taken back\n")
    pending = json.loads(local("migrate", "pending", "--json").out)
    shown = json.loads(local("migrate", "show", "--json").out)
    assert len(pending) == 2
    assert [each["id"] for each in shown if each["state"] == "pending"] == pending
    assert all(each["applied_at"] for each in shown if each["state"] == "applied")
    assert local("migrate", "show").out.count("  applied  ") == len(shown) - 2
    assert local("migrate", "pending").out.split() == pending


def test_check_names_what_is_pending_until_it_is_applied(local: Any) -> None:
    assert local("migrate", "check").status == 0
    local("migrate", "down", "--yes")
    failed = local("migrate", "check")
    assert failed.status == 1
    assert "is pending" in failed.err
    assert local("migrate", "up").err.endswith("quarry: 1 applied\n")
    assert local("migrate", "up").err == "quarry: nothing to apply\n"


def test_ordinary_yoyo_and_quarry_continue_each_others_work(quarry: Any) -> None:
    checkout, command = quarry.copied()
    url = command("db", "url", "--yoyo").out.strip()
    command("migrate", "down", "2", "--yes")
    yoyo(checkout, "apply", "--database", url)
    assert command("migrate", "check").err == "quarry: files, database and catalog agree\n"
    yoyo(checkout, "rollback", "-r", "0007.create-otps", "--database", url)
    assert "0007.create-otps" in command("migrate", "up").err
    assert " U " not in yoyo(checkout, "list", "--database", url)


def test_variables_of_libpq_mean_the_same_everywhere_or_are_refused(quarry: Any, settings: Settings) -> None:
    checkout, command = quarry.copied()
    url = command("db", "url", "--yoyo").out.strip()
    for name in ("PGHOSTADDR", "PGSSLMODE", "PGOPTIONS", "PGTZ", "PGCHANNELBINDING"):
        refused = command("migrate", "check", **{name: "x"})
        assert (refused.status, refused.err.splitlines()[0]) == (
            1, f"quarry: {name} is set, which not all programs here read alike",
        )  # fmt: skip
        with pytest.raises(AssertionError, match=f"{name} is set"):
            yoyo(checkout, "list", "--database", url, **{name: "x"})
    parts = urlsplit(settings.address("quarry_owner").url)
    bare = f"postgresql://{parts.path}"
    given = {
        "PGHOST": str(parts.hostname),
        "PGPORT": str(parts.port),
        "PGUSER": str(parts.username),
        "PGPASSWORD": str(parts.password),
    }
    names = ("DATABASE_URL", "DATABASE_MIGRATION_URL", "DATABASE_PLATFORM_URL")
    for words in (("migrate", "check"), ("db", "test"), ("tenants", "list")):
        answer = command(*words, **dict.fromkeys(names, bare), **given)
        assert answer.status == 0, answer.err


def test_ordinary_yoyo_migrates_a_schema_of_a_tenant_s_own(quarry: Any) -> None:
    checkout, command = quarry.copied()
    command("tenants", "add", "acme.example", "--name", "Acme", "--schema", "acme")
    (checkout / "sql" / "migrations" / "tenant" / "0099.add-it.sql").write_text("CREATE TABLE it ();")
    assert command("migrate", "pending").out == "0099.add-it\nacme/0099.add-it\n"
    url = command("db", "url", "--yoyo", "--schema", "acme").out.strip()
    yoyo(checkout, "apply", "--database", url, "sql/migrations/tenant")
    assert command("migrate", "pending").out == "0099.add-it\n"


def test_a_failure_in_a_tenant_s_own_schema_is_named_and_the_rest_is_done(quarry: Any, superuser: Any) -> None:
    checkout, command = quarry.copied()
    command("tenants", "add", "acme.example", "--name", "Acme", "--schema", "acme")
    superuser.execute("ALTER TABLE acme.otps ADD COLUMN note text")
    superuser.commit()
    (checkout / "sql" / "migrations" / "tenant" / "0099.add-it.sql").write_text(
        "ALTER TABLE otps ADD COLUMN note text;"
    )
    failed = command("migrate", "up")
    assert failed.status == 1
    assert 'quarry: in acme: 0099.add-it.sql:1: column "note" of relation "otps" already exists' in failed.err
    assert failed.err.endswith("  → the other schemas are migrated; correct that and run it again\n")
    assert command("migrate", "pending").out == "acme/0099.add-it\n"


def test_edited_file_is_noticed_whoever_applied_it(quarry: Any) -> None:
    checkout, command = quarry.copied()
    migrations = checkout / "sql" / "migrations"
    command("migrate", "down", "--yes")
    yoyo(checkout, "apply", "--database", command("db", "url", "--yoyo").out.strip())
    for name in ("shared/0003.create-niches.sql", "tenant/0007.create-otps.sql"):
        with (migrations / name).open("a") as file:
            file.write("-- edited\n")
    failed = command("migrate", "check")
    assert failed.status == 1
    assert "0003.create-niches is edited; 0007.create-otps is edited" in failed.err
    assert command("migrate", "show").out.count("  edited ") == 2


def test_lost_file_is_noticed_and_nothing_is_taken_back_past_it(quarry: Any) -> None:
    checkout, command = quarry.copied()
    name = last(checkout)
    for path in (checkout / "sql/migrations/tenant").glob(f"{name}.*"):
        path.unlink()
    assert f"{name} is lost" in command("migrate", "check").err
    answer = command("migrate", "down", "2", "--yes")
    assert answer.status == 1
    assert f"there is no file that takes {name} back" in answer.err


def test_new_writes_a_table_that_applies_passes_the_guard_and_goes_back(quarry: Any) -> None:
    checkout, command = quarry.copied()
    name = f"{int(last(checkout)[:4]) + 1:04}.add-campaign-notes"
    written = command("migrate", "new", "add-campaign-notes", "--table", "campaign_notes").out.split()
    names = [f"{name}.sql", f"{name}.rollback.sql"]
    assert written == [str(checkout / "sql/migrations/tenant" / name) for name in names]
    assert command("migrate", "up").err.endswith("quarry: 1 applied\n")
    assert command("migrate", "check").status == 0
    assert command("migrate", "down", "--yes").status == 0
    assert json.loads(command("migrate", "pending", "--json").out) == [name]


def test_fresh_starts_over_but_not_in_production(local: Any) -> None:
    assert local("seed", "run").status == 0
    refused = local("migrate", "fresh", "--yes", ENVIRONMENT="production")
    assert (refused.status, refused.err) == (1, "quarry: `migrate fresh` is refused in production\n")
    assert local("migrate", "fresh", "--yes").status == 0
    assert "24 rows" in local("seed", "run").err


def test_several_at_once_from_nothing_apply_each_migration_once(quarry: Any, superuser: Any) -> None:
    superuser.execute("DROP SCHEMA app, quarry CASCADE")
    superuser.commit()
    assert quarry("db", "create").status == 0
    started = [quarry.start("migrate", "up") for _ in range(4)]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0, 0], said
    applied = [line for text in said for line in text.splitlines() if line.startswith("applying")]
    assert len(applied) == len(set(applied)) == len(quarry("migrate", "show").out.splitlines())


def test_ctrl_c_in_the_middle_of_a_migration_leaves_nothing_behind(quarry: Any, superuser: Any, until: Any) -> None:
    checkout, command = quarry.copied()
    slow = checkout / "sql/migrations/tenant/0006.add-slowness.sql"
    slow.write_text("-- Slow.\n-- depends: 0007.create-otps\nCREATE TABLE slow (id int);\nSELECT pg_sleep(60);\n")
    with command.start("migrate", "up") as process:
        superuser.autocommit = True
        sleeps = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND datname = current_database()"
        until(lambda: superuser.execute(sleeps).fetchone())
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=20)[1]
    assert (process.returncode, "Traceback" in err) == (130, False)
    assert superuser.execute(
        "SELECT to_regclass('quarry.slow'), (SELECT count(*) FROM quarry.yoyo_lock)"
    ).fetchone() == (None, 0)


def test_down_asks_and_in_production_needs_to_be_told(local: Any) -> None:
    asked = local("migrate", "down")
    assert (asked.status, "there is nobody to ask\n  → add --yes" in asked.err) == (1, True)
    url = {"ENVIRONMENT": "production"}
    refused = local("migrate", "down", "--yes", **url)
    assert "refused in production\n  → add --in-production" in refused.err
    assert local("migrate", "down", "--yes", "--in-production", **url).err.endswith("quarry: 1 taken back\n")
    assert local("migrate", "up").status == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CREATE TABLE stray (id uuid PRIMARY KEY);", "table_without_tenant: quarry.stray"),
        ("ALTER TABLE users NO FORCE ROW LEVEL SECURITY;", "policies_not_forced: quarry.users"),
        ("GRANT TRUNCATE ON users TO quarry_app;", "dangerous_privilege: quarry.users TRUNCATE"),
    ],
)
def test_migration_after_which_nothing_would_serve_is_not_kept(
    quarry: Any, superuser: Any, text: str, said: str
) -> None:
    checkout, command = quarry.copied()
    (checkout / "sql" / "migrations" / "tenant" / "0099.add-it.sql").write_text(f"-- It.\n{text}\n")
    failed = command("migrate", "up")
    assert failed.status == 1
    assert f"0099.add-it.sql: the service would not serve from this catalog: {said}" in failed.err
    assert "nothing of this migration was kept" in failed.err
    assert command("migrate", "pending").out == "0099.add-it\n"


def test_migration_may_leave_what_was_wrong_before(quarry: Any, superuser: Any) -> None:
    superuser.execute("CREATE TABLE quarry.stray (id uuid PRIMARY KEY); GRANT SELECT ON quarry.stray TO quarry_app")
    superuser.execute("CREATE TABLE quarry.other (id uuid PRIMARY KEY); ALTER TABLE quarry.other OWNER TO quarry_owner")
    superuser.commit()
    checkout, command = quarry.copied()
    (checkout / "sql" / "migrations" / "tenant" / "0099.mend-one.sql").write_text("-- It.\nDROP TABLE other;\n")
    failed = command("migrate", "up")
    assert "applying 0099.mend-one" in failed.err
    assert "table_without_tenant: quarry.stray" in failed.err
    assert command("migrate", "pending").out == ""
