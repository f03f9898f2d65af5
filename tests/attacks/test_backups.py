"""Backups that somebody else has written, and what they may do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from backups.conftest import Desk, desk
from service.backups.manifests import BackupError
from service.errors import OperatorError

__all__ = ["desk"]


async def test_backup_of_somebody_without_the_keys_is_refused_unless_it_is_asked_for(desk: Desk) -> None:
    backup = await desk.take()
    path = backup.path.with_suffix(".json")
    held = json.loads(path.read_text())
    assert len(held["signature"]) == 64
    forged = backup.manifest.model_copy(update={"quarry": "9.9"})
    path.write_bytes(forged.sealed())
    with pytest.raises(BackupError, match="was not written with these keys"):
        await desk.verify(desk.directory.find(backup.manifest.name))
    path.write_bytes(forged.model_copy(update={"signature": ""}).sealed())
    with pytest.raises(BackupError, match="is not signed: whoever wrote it decides") as refused:
        await desk.verify(desk.directory.find(backup.manifest.name))
    assert "--unsigned" in refused.value.remedy


async def test_what_a_dump_runs_runs_as_nobody_who_may_do_harm(desk: Desk, tmp_path: Path) -> None:
    mark = Path("/tmp") / f"quarry-was-here-{tmp_path.name}-{os.getpid()}"
    await desk.ask("INSERT INTO app.niches (name) VALUES ('Harm')")
    await desk.ask(
        "CREATE FUNCTION app.harm() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RESET ROLE;"
        f" EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {mark}'''; RETURN true; END $$"
    )
    await desk.ask("ALTER TABLE app.niches ADD CONSTRAINT harm CHECK (app.harm())")
    await desk.ask("ALTER FUNCTION app.harm() OWNER TO quarry_owner")
    assert mark.exists()
    mark.unlink()
    backup = await desk.take()
    with pytest.raises(OperatorError, match="permission denied to COPY to or from an external program"):
        await desk.verify(backup)
    assert not mark.exists()


async def test_dump_with_what_no_quarry_makes_is_refused(desk: Desk) -> None:
    await desk.ask("CREATE FUNCTION quarry.see() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
    await desk.ask("CREATE EVENT TRIGGER strange ON ddl_command_end EXECUTE FUNCTION quarry.see()")
    with pytest.raises(BackupError, match="has what no Quarry makes: EVENT TRIGGER"):
        await desk.verify(await desk.take())


async def test_login_that_restored_is_gone_afterwards(desk: Desk) -> None:
    await desk.verify(await desk.take())
    roles: Any = await desk.ask("SELECT count(*) FROM pg_roles WHERE rolname ~ 'quarry_restoring'")
    assert roles == 0
