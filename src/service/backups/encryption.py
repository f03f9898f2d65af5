"""Encrypts dumps with a key in PII_KEYS. A dump is encrypted in pieces, so that it does not have to fit into memory.

An encrypted file consists of MAGIC, the length of the key's id, this id, a salt of 16 random bytes, and pieces of 1 MiB. Each
piece is encrypted with AES-256-GCM, with a file key that is derived from the key in PII_KEYS and the salt; so each file has a
different file key. The nonce of a piece is the piece's number, and its associated data says whether it is the last piece. So
decryption fails if somebody has removed, added or moved a piece.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service import files
from service.backups.manifests import BackupError
from service.personal.keyring import Keyring

MAGIC = b"quarry dump\x01"
_SALT_BYTES, _TAG_BYTES, _NONCE_BYTES = 16, 16, 12
_PIECE = 1024 * 1024
_REMEDY = "set PII_KEYS with the key that was in front when it was taken"


def encrypt(path: Path, keys: Keyring) -> None:
    """Replace the file at `path` by its encrypted form, atomically. Only the owner of the new file can read it."""
    beside = path.with_name(f"{path.name}.sealed")
    salt, id = secrets.token_bytes(_SALT_BYTES), keys.current.encode()
    cipher = AESGCM(keys.file_key(keys.current, salt))
    try:
        with path.open("rb") as plain, files.create_private(beside) as sealed:
            sealed.write(MAGIC + bytes([len(id)]) + id + salt)
            for number, piece, is_last in _pieces(plain, _PIECE):
                sealed.write(cipher.encrypt(_nonce(number), piece, _place(is_last=is_last)))
            files.sync(sealed)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def is_encrypted(path: Path) -> bool:
    """Whether the dump at `path` is encrypted, that is, begins with MAGIC. The format of pg_dump begins with other bytes."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


@contextlib.contextmanager
def readable(path: Path, keys: Keyring | None) -> Iterator[Path]:
    """The path of a dump that pg_restore can read: `path` itself or, if the dump is encrypted, that of a decrypted copy.

    The copy is made in the directory of `path`, and is deleted after the block. Raises BackupError if decryption fails.
    """
    if not is_encrypted(path):
        yield path
        return
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.plain")
    try:
        with files.create_private(beside) as plain:
            named = Path(f"/proc/{os.getpid()}/fd/{plain.fileno()}")
            if named.exists():
                # Remove the copy's name, and use the path of its file descriptor instead. Then the system deletes the copy
                # even if this process is killed.
                beside.unlink()
            _decrypt(path, plain, keys)
            plain.flush()
            yield named if named.exists() else beside
    finally:
        beside.unlink(missing_ok=True)


def _decrypt(path: Path, plain: BinaryIO, keys: Keyring | None) -> None:
    with path.open("rb") as sealed:
        sealed.seek(len(MAGIC))
        id = sealed.read(sealed.read(1)[0]).decode("ascii", "replace")
        if keys is None or id not in keys.keys:
            raise BackupError(f"{path} is encrypted with the key {id[:32]}, which is not here", _REMEDY)
        cipher = AESGCM(keys.file_key(id, sealed.read(_SALT_BYTES)))
        for number, piece, is_last in _pieces(sealed, _PIECE + _TAG_BYTES):
            try:
                plain.write(cipher.decrypt(_nonce(number), piece, _place(is_last=is_last)))
            except InvalidTag:
                raise BackupError(
                    f"{path} is damaged, or encrypted with another key of that name", "take another backup"
                ) from None


def _pieces(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes, bool]]:
    """Read the rest of a file in pieces. Yields for each piece its number, its bytes, and whether it is the last piece.

    There is always at least one piece, which may be empty.
    """
    number, piece = 0, file.read(size)
    while following := file.read(size):
        yield number, piece, False
        number, piece = number + 1, following
    yield number, piece, True


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES, "big")


def _place(*, is_last: bool) -> bytes:
    return b"last" if is_last else b"more"
