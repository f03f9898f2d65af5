"""Which pg_dump and pg_restore are taken, how they are run, and what their failures are told as."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from backups.conftest import Desk
from conftest import MAJOR
from service.addresses import Address
from service.backups import taking, tools
from service.backups.tools import Tool, ToolFailed
from service.errors import OperatorError

SECRET = "postgresql://u:hid%40den@127.0.0.1:1/quarry?sslmode=disable"


def program(directory: Path, body: str, version: str = "18.4") -> Tool:
    """A pg_dump that does what the body says."""
    directory.mkdir(exist_ok=True)
    path = directory / "pg_dump"
    path.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then echo "pg_dump (PostgreSQL) {version}"; exit; fi\n{body}\n'
    )
    path.chmod(0o755)
    return Tool(path, *map(int, version.split(".")))


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No programs but those that a test makes."""
    monkeypatch.setattr(tools, "_INSTALLATIONS", ())
    monkeypatch.setenv("PATH", "/nowhere")


async def run(tool: Tool) -> list[str]:
    said: list[str] = []
    await tools.run(tool, [], Address(SECRET), said.append)
    return said


@pytest.mark.parametrize(("server", "taken"), [(15, "15.4"), (16, "16.1"), (17, "18.4"), (18, "18.4")])
async def test_the_nearest_major_that_is_not_older_is_taken(tmp_path: Path, server: int, taken: str) -> None:
    made = [program(tmp_path / version, "", version) for version in ("18.4", "15.4", "16.1", "15.2")]
    found = await tools.find("pg_dump", server, server, [tool.path.parent for tool in made])
    assert found.version == taken


async def test_a_program_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = program(tmp_path / "bin", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert await tools.find("pg_dump", 18, 18, []) == made


async def test_a_wrapper_that_chooses_by_itself_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "share", "").path.rename(tmp_path / "share" / "pg_wrapper")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pg_dump").symlink_to(tmp_path / "share" / "pg_wrapper")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(OperatorError, match="pg_dump is not installed"):
        await tools.find("pg_dump", 18, 18, [])


async def test_only_older_ones_are_told_with_what_to_install(tmp_path: Path) -> None:
    made = [program(tmp_path / version, "", version) for version in ("15.4", "16.1")]
    with pytest.raises(OperatorError, match=r"pg_dump 18 or newer is needed, and here is 16\.1") as caught:
        await tools.find("pg_dump", 18, 18, [tool.path.parent for tool in made])
    assert "postgresql-client-18" in caught.value.remedy


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("could not write to file: No space left on device", "make room"),
        ("query failed: ERROR:  permission denied for table users", "GRANT"),
        ("query would be affected by row-level security policy for table", "quarry_backup"),
        ("ERROR:  canceling statement due to lock timeout", "migration"),
        ('could not execute query: ERROR:  role "metabase" does not exist', "create that role"),
        ("this build does not support compression with zstd", "another --compress"),
        ("something else", "server's log"),
    ],
)
async def test_a_failure_is_one_line_with_a_remedy(tmp_path: Path, said: str, remedy: str) -> None:
    tool = program(tmp_path, f"echo 'pg_dump: error: {said}' >&2; echo 'pg_dump: detail: more' >&2; exit 1")
    with pytest.raises(ToolFailed) as caught:
        await run(tool)
    assert caught.value.message == f"pg_dump: {said}"
    assert remedy in caught.value.remedy


async def test_a_signal_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="ended by signal 9"):
        await run(program(tmp_path, "kill -9 $$"))


async def test_tables_are_told_as_they_come(tmp_path: Path) -> None:
    line = 'pg_dump: dumping contents of table "quarry.users"'
    assert await run(program(tmp_path, f"echo pg_dump: reading schemas >&2; echo '{line}' >&2")) == ["quarry.users"]


async def test_a_password_is_in_the_environment_alone(tmp_path: Path) -> None:
    told = tmp_path / "told"
    await run(
        program(tmp_path, f'echo "$* $PGUSER:$PGPASSWORD $PGHOST $PGPORT $PGDATABASE $PGSSLMODE $PGOPTIONS" > {told}')
    )
    assert told.read_text() == "--no-password --verbose u:hid@den 127.0.0.1 1 quarry disable \n"


async def test_variables_that_lead_elsewhere_are_not_handed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGSERVICE": "x", "PGOPTIONS": "-c role=x", "PGPASSFILE": "kept"}.items():
        monkeypatch.setenv(name, value)
    environment = tools.environment(Address("postgresql://u@h/q"))
    assert "PGSERVICE" not in environment
    assert "PGOPTIONS" not in environment
    assert environment["PGPASSFILE"] == "kept"


async def test_tls_is_that_of_the_settings() -> None:
    environment = tools.environment(Address("postgresql://u@h/q", libpq={"sslmode": "verify-full", "sslcert": "c.pem"}))
    assert (environment["PGSSLMODE"], environment["PGSSLCERT"]) == ("verify-full", "c.pem")


async def test_the_program_ends_with_its_caller(tmp_path: Path) -> None:
    tool = program(
        tmp_path, f"echo $$ > {tmp_path}/pid; echo 'dumping contents of table \"t\"' >&2; exec /bin/sleep 600"
    )
    started = asyncio.Event()
    running = asyncio.create_task(tools.run(tool, [], Address(SECRET), lambda _: started.set()))
    await asyncio.wait_for(started.wait(), 60)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIG_DFL)


async def test_a_role_that_row_level_security_binds_is_told_which_to_use(desk: Desk) -> None:
    platform = desk.settings.database_platform_url
    desk.settings = desk.settings.model_copy(update={"database_backup_url": platform})
    with pytest.raises(OperatorError, match="may not become quarry_backup") as caught:
        await desk.take()
    assert "DATABASE_BACKUP_URL" in caught.value.remedy


async def test_quarry_backup_without_its_right_is_told_who_gives_it(desk: Desk) -> None:
    await desk.ask("ALTER ROLE quarry_backup NOBYPASSRLS")
    try:
        with pytest.raises(OperatorError, match="quarry_backup may not pass row-level security") as caught:
            await desk.take()
    finally:
        await desk.ask("ALTER ROLE quarry_backup BYPASSRLS")
    assert "BYPASSRLS" in caught.value.remedy


async def test_an_older_pg_dump_than_the_server_is_told(desk: Desk) -> None:
    old = program(desk.directory.path.parent / "old", "", f"{MAJOR - 1}.0")
    with pytest.raises(OperatorError, match=f"pg_dump {MAJOR} or newer is needed"):
        await taking.take(desk.settings, desk.directory, [old.path.parent], desk.said.append)


@pytest.mark.parametrize("text", ["-1", "10", "gzip:", "zip", "--version", "gzip:6 --file=x"])
async def test_a_compression_that_is_none_is_told(desk: Desk, text: str) -> None:
    with pytest.raises(OperatorError, match="is no compression"):
        await desk.take(compress=text)


async def test_a_table_that_quarry_backup_may_not_read_stops_it_and_leaves_nothing(desk: Desk) -> None:
    await desk.ask("REVOKE SELECT ON quarry.users FROM quarry_backup")
    with pytest.raises(OperatorError, match="permission denied for table users"):
        await desk.take()
    assert desk.directory.entries() == []
