"""`quarry backup`, as a program: what it prints, what it refuses, and what is left when it is killed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.settings.settings import Settings


class Server:
    """The test's server, seen from a database that is not restored."""

    def __init__(self, settings: Settings) -> None:
        url, _, self.name = settings.administration().url.partition("?")[0].rpartition("/")
        self.url = f"{url}/postgres?sslmode=disable"

    def names(self) -> list[str]:
        """The databases made beside the test's own."""
        rows = self.run("SELECT datname FROM pg_database WHERE datname ~ '_(before|restoring|verifying)_' ORDER BY 1")
        return [name for (name,) in rows if name.startswith(f"{self.name}_")]

    def run(self, statement: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def campaigns(self) -> int:
        """How many the database has that serves."""
        with psycopg.connect(self.url.replace("/postgres?", f"/{self.name}?")) as connection:
            return connection.execute("SELECT count(*) FROM quarry.campaigns").fetchone()[0]


@pytest.fixture
def server_of(settings: Settings, superuser: Any) -> Iterator[Server]:
    """Databases that restores have kept are dropped."""
    superuser.close()
    server = Server(settings)
    yield server
    for name in server.names():
        server.run(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def backed(quarry: Any, settings: Settings, server_of: Server) -> Any:
    """The command with a login for backups too."""
    url = settings.database_backup_url.get_secret_value()
    return replace(quarry, variables={**quarry.variables, "DATABASE_BACKUP_URL": url})


@pytest.fixture
def many(backed: Any) -> Any:
    """With enough rows that a restore takes its time."""
    seeded = backed("seed", "run", "load", "--tenants", "2", "--campaigns", "20000", DATABASE_LOG_QUERIES="false")
    assert seeded.status == 0, seeded.err
    return backed


@contextmanager
def mounted(place: Path) -> Iterator[None]:
    """A file system of two megabytes, where the test may make one."""
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this account may not mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def create(command: Any, *arguments: str) -> str:
    made = command("backup", "create", *arguments)
    assert made.status == 0, made.err
    return made.out.strip()


def test_create_prints_the_name_and_list_shows_it(backed: Any) -> None:
    name = create(backed)
    listed = backed("backup", "list")
    assert listed.out.startswith(f"{name}  20")
    assert " PostgreSQL 1" in listed.out
    assert (backed.directory / ".quarry" / "backups" / f"{name}.dump").is_file()


def test_list_as_json_is_for_programs(backed: Any) -> None:
    name = create(backed, "--directory", "elsewhere")
    (shown,) = json.loads(backed("backup", "list", "--json", "--check", BACKUP_DIRECTORY="elsewhere").out)
    assert (shown["name"], shown["state"], shown["format"]) == (name, "whole", 1)
    assert json.loads(backed("backup", "list", "--json").out) == []


def test_list_checks_only_when_asked_and_fails_for_a_damaged_one(backed: Any) -> None:
    name = create(backed)
    with (backed.directory / ".quarry" / "backups" / f"{name}.dump").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    assert backed("backup", "list").status == 0
    checked = backed("backup", "list", "--check")
    assert checked.status == 1
    assert "is damaged: its checksum" in checked.out
    assert checked.err.startswith(f"quarry: damaged: {name}")


def test_the_oldest_go_beyond_what_is_kept(backed: Any) -> None:
    names = [create(backed, "--keep", "2") for _ in range(3)]
    made = backed("backup", "create", BACKUP_KEEP="2")
    assert f"quarry: {names[1]} has been deleted" in made.err
    assert [line.split(" ")[0] for line in backed("backup", "list").out.splitlines()] == [names[2], made.out.strip()]


def test_verify_proves_a_backup_and_leaves_nothing(backed: Any, server_of: Server) -> None:
    verified = backed("backup", "verify", create(backed))
    assert (verified.status, verified.out) == (0, "")
    assert "is whole: " in verified.err
    assert server_of.names() == []


def test_restore_prints_the_name_under_which_the_former_database_is_kept(many: Any, server_of: Server) -> None:
    name = create(many)
    assert many("seed", "truncate", "load", "--yes").status == 0
    assert server_of.campaigns() == 0
    restored = many("backup", "restore", name, "--yes")
    assert (restored.status, [restored.out.strip()]) == (0, server_of.names())
    assert server_of.campaigns() == 40000


def test_restore_asks_and_refuses_when_nobody_answers(backed: Any, server_of: Server) -> None:
    refused = backed("backup", "restore", create(backed))
    assert refused.status == 1
    assert "there is nobody to ask\n  → add --yes" in refused.err
    assert server_of.names() == []


def test_restore_in_production_has_to_be_meant(backed: Any, server_of: Server) -> None:
    name = create(backed)
    refused = backed("backup", "restore", name, "--yes", ENVIRONMENT="production")
    assert refused.status == 1
    assert "refused in production\n  → add --in-production" in refused.err
    assert backed("backup", "restore", name, "--yes", "--in-production", ENVIRONMENT="production").status == 0


def test_a_backup_that_is_not_there_is_told(backed: Any) -> None:
    for command in ("verify", "restore"):
        told = backed("backup", command, "nothing_backup_20260101_000000")
        assert (told.status, told.out) == (1, "")
        assert "there is no such backup\n  → see `quarry backup list`" in told.err


def test_the_serving_login_is_told_who_may_take_backups(backed: Any) -> None:
    refused = backed("backup", "create", DATABASE_BACKUP_URL="")
    assert (refused.status, refused.out) == (1, "")
    assert "may not become quarry_backup" in refused.err
    assert "set DATABASE_BACKUP_URL" in refused.err


def test_a_wrong_password_is_told_without_it(backed: Any) -> None:
    url = backed.variables["DATABASE_BACKUP_URL"]
    wrong = url.replace(f":{url.split(':')[2].split('@')[0]}@", ":hidden@")
    refused = backed("backup", "create", DATABASE_BACKUP_URL=wrong)
    assert refused.status == 1
    assert "hidden" not in refused.err


def test_a_full_disk_is_told_and_leaves_nothing(many: Any, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    with mounted(full):
        refused = many("backup", "create", "--directory", str(full), "--compress", "0")
        assert refused.status == 1
        assert "No space left on device\n  → make room" in refused.err
        assert [path.suffix for path in full.iterdir()] == [".lock"]


def test_a_create_that_is_killed_leaves_nothing_that_is_listed(many: Any, says: Callable[..., Any]) -> None:
    with many.start("backup", "create") as process:
        says(process, r"quarry\.campaigns|app\.changes")
        process.kill()
    assert many("backup", "list").out == ""
    create(many)
    assert not list((many.directory / ".quarry" / "backups").glob(".*.partial"))


def test_a_restore_that_is_killed_leaves_the_old_database_serving(
    many: Any, says: Callable[..., Any], server_of: Server
) -> None:
    name = create(many)
    with many.start("backup", "restore", name, "--yes") as process:
        says(process, r"app\.changes")
        process.kill()
    assert [each.split("_")[-3] for each in server_of.names()] == ["restoring"]
    assert server_of.campaigns() == 40000
    # The next one takes away what was left.
    assert many("backup", "restore", name, "--yes").status == 0
    assert [each.split("_")[-3] for each in server_of.names()] == ["before"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_restore_that_is_interrupted_takes_its_database_away(
    many: Any, says: Callable[..., Any], server_of: Server, number: int, status: int
) -> None:
    name = create(many)
    with many.start("backup", "restore", name, "--yes") as process:
        says(process, r"app\.changes")
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in err
    assert (server_of.names(), server_of.campaigns()) == ([], 40000)


def test_the_embedded_server_is_backed_up_and_restored(embedded: Any) -> None:
    assert embedded("migrate", "up").status == 0
    name = create(embedded)
    assert embedded("backup", "verify", name).status == 0
    assert embedded("backup", "restore", name, "--yes").out.startswith("quarry_before_")
    assert embedded("migrate", "check").status == 0
