"""A backup that is not, byte for byte, what was written is refused before anything is restored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from backups.conftest import Desk
from service.backups.directory import Backup
from service.backups.manifests import BackupError


@pytest.fixture
async def backup(desk: Desk) -> Backup:
    return await desk.take()


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x01
    path.write_bytes(data)


async def refused(desk: Desk, backup: Backup) -> str:
    """Why, having changed nothing."""
    with pytest.raises(BackupError) as caught:
        await desk.verify(desk.directory.find(backup.manifest.name), unsigned=True)
    assert await desk.besides() == []
    assert "\n" not in caught.value.message
    assert caught.value.remedy
    return caught.value.message


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99, 1.0])
async def test_a_flipped_byte_of_the_dump_is_noticed(desk: Desk, backup: Backup, part: float) -> None:
    flip(backup.path, round(part * (backup.manifest.size - 1)))
    assert "its checksum is not the manifest's" in await refused(desk, backup)


async def test_a_flipped_byte_anywhere_in_the_manifest_is_noticed(desk: Desk, backup: Backup) -> None:
    path = backup.path.with_suffix(".json")
    data = path.read_bytes()
    for position in range(len(data)):
        flip(path, position)
        with pytest.raises(BackupError):
            desk.directory.find(backup.manifest.name)
        path.write_bytes(data)
    assert desk.directory.find(backup.manifest.name) == backup


async def test_a_truncated_dump_is_noticed(desk: Desk, backup: Backup) -> None:
    with backup.path.open("r+b") as file:
        file.truncate(backup.manifest.size - 1)
    assert f"has {backup.manifest.size - 1} bytes" in await refused(desk, backup)


EDITS: dict[str, Callable[[dict], object]] = {
    "rows": lambda manifest: manifest["tables"][3].update(rows=4711),
    "checksum": lambda manifest: manifest.update(sha256="0" * 64),
    "table": lambda manifest: manifest["tables"].pop(),
    "migrations": lambda manifest: manifest["migrations"].pop(),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edited_manifest_is_noticed(desk: Desk, backup: Backup, edit: str) -> None:
    path = backup.path.with_suffix(".json")
    manifest = json.loads(path.read_text())
    EDITS[edit](manifest)
    path.write_text(json.dumps(manifest, indent=2) + "\n")
    assert "was changed after it was written" in await refused(desk, backup)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is damaged"),
        ("[]", "format None"),
        ('{"format": 2}', "format 2"),
        ('{"format": 1}', "is damaged"),
        ("[" * 99999, "is damaged"),
    ],
)
async def test_another_manifest_is_told(desk: Desk, backup: Backup, text: str, said: str) -> None:
    backup.path.with_suffix(".json").write_text(text)
    assert said in await refused(desk, backup)


async def test_rows_that_do_not_come_back_are_told_table_by_table(desk: Desk, backup: Backup) -> None:
    tables = tuple(
        table.model_copy(update={"rows": 7}) if table.name == "quarry.users" else table
        for table in backup.manifest.tables
    )
    forged = backup.manifest.model_copy(update={"tables": tables})
    backup.path.with_suffix(".json").write_bytes(forged.sealed())
    assert "quarry.users: 7 in the manifest, 0 restored" in await refused(desk, backup)


async def test_migrations_of_a_newer_quarry_are_refused(desk: Desk, backup: Backup) -> None:
    forged = backup.manifest.model_copy(update={"migrations": (*backup.manifest.migrations, "9999.create-future")})
    backup.path.with_suffix(".json").write_bytes(forged.sealed())
    assert "9999.create-future" in await refused(desk, backup)


async def test_tables_in_another_schema_are_refused(desk: Desk, backup: Backup) -> None:
    forged = backup.manifest.model_copy(update={"schema_name": "acme"})
    backup.path.with_suffix(".json").write_bytes(forged.sealed())
    assert "in the schema acme" in await refused(desk, backup)
