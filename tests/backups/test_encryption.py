"""Encrypted dumps: nothing of the database can be read in them, and what was changed is not restored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from service.backups import encryption
from service.backups.manifests import BackupError
from service.errors import OperatorError
from service.personal.keyring import Keyring

KEYS = Keyring("row-a", {"row-a": b"a" * 32}, b"i" * 32)
SIZES = (0, 1, encryption._PIECE - 1, encryption._PIECE, encryption._PIECE + 1, 3 * encryption._PIECE)


def written(place: Path, plain: bytes) -> Path:
    path = place / "x.dump"
    path.write_bytes(plain)
    encryption.encrypt(path, KEYS)
    return path


@pytest.mark.parametrize("size", SIZES)
def test_what_was_encrypted_is_read_as_it_was(tmp_path: Path, size: int) -> None:
    plain = b"PGDMP" * (size // 5 + 1)
    path = written(tmp_path, plain[:size])
    assert (encryption.is_encrypted(path), path.stat().st_mode & 0o777) == (True, 0o600)
    with encryption.readable(path, KEYS) as copy:
        assert copy.read_bytes() == plain[:size]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("change", ["cut at a piece", "cut inside", "flipped", "swapped", "longer"])
def test_what_was_changed_is_refused(tmp_path: Path, change: str) -> None:
    path = written(tmp_path, bytes(3 * encryption._PIECE))
    data, piece = path.read_bytes(), encryption._PIECE + encryption._TAG_BYTES
    start = len(data) - 3 * piece
    changed = {
        "cut at a piece": data[:-piece],
        "cut inside": data[:-1],
        "flipped": data[:-1] + bytes([data[-1] ^ 1]),
        "swapped": data[:start] + data[start + piece : start + 2 * piece] + data[start : start + piece] + data[-piece:],
        "longer": data + data[-piece:],
    }[change]
    path.write_bytes(changed)
    with pytest.raises(BackupError, match="is damaged"), encryption.readable(path, KEYS):
        pass
    assert list(tmp_path.iterdir()) == [path]


async def test_an_encrypted_backup_is_verified_and_restored_with_its_key_alone(filled: Any) -> None:
    before = await filled.digests()
    backup = await filled.take(encrypt=True)
    assert b"campaigns" not in backup.path.read_bytes()
    await filled.verify(backup)
    await filled.restore(backup)
    assert await filled.digests() == before
    filled.settings = filled.settings.model_copy(update={"pii_keys": SecretStr(f"row-other:{'C' * 43}=")})
    with pytest.raises(BackupError, match="encrypted with the key row-test, which is not here"):
        await filled.verify(backup)


async def test_a_backup_is_not_encrypted_without_keys(desk: Any) -> None:
    without = {"pii_keys": None, "pii_index_key": None, "environment": "production"}
    desk.settings = desk.settings.model_copy(update=without)
    with pytest.raises(OperatorError, match="none is here"):
        await desk.take(encrypt=True)
