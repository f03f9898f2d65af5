"""The keys of personal data: values sealed with AES-256-GCM, found again by a blind index (HMAC-SHA-256).

A sealed value is the form (one byte, 1), the length of the key's id and the id itself, a nonce of 12 random bytes, then
ciphertext and tag. Tenant and column are its associated data: a value that is moved to another tenant or column can't be
opened there. Form 0 is plain text that waits to be sealed; it is read by the rotation alone.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dotenv import dotenv_values

from service.errors import OperatorError, ServiceError
from service.settings import Settings

SEALED = b"\x01"
"""What every sealed value begins with, whatever its key."""
_UNSEALED = b"\x00"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY = re.compile(r"([A-Za-z0-9._-]{1,32}):([A-Za-z0-9+/_-]{43}=?)\Z")
_FILE = "pii.keys"


class Undecipherable(ServiceError):
    """A sealed value can't be opened: its key is not among PII_KEYS, or it is not what was sealed here."""

    code = "unavailable"


class KeyringError(OperatorError):
    """The keys of personal data are missing or can't be used."""


@dataclass(frozen=True)
class Keyring:
    """The keys by id; `current` seals, all of them open. The index has a key of its own, which is never rotated."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)
    index_key: bytes = field(repr=False)

    @property
    def prefix(self) -> bytes:
        """What every value begins with that is sealed with the current key."""
        return SEALED + bytes([len(self.current)]) + self.current.encode()

    @property
    def check(self) -> bytes:
        """What a database remembers of its keys: 32 bytes that say nothing about them."""
        return hmac.digest(self.index_key, b"the keys of this database", "sha256")

    def signature(self, data: bytes) -> str:
        """What proves that `data` was written by somebody who has the key of the index."""
        return hmac.new(self.index_key, b"quarry signature\x00" + data, "sha256").hexdigest()

    def seal(self, plain: str, tenant: UUID, column: str) -> bytes:
        """`plain` as the database keeps it; `column` is `<table>.<column>`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self.keys[self.current]).encrypt(nonce, plain.encode(), _context(tenant, column))
        return self.prefix + nonce + sealed

    def open(self, value: bytes, tenant: UUID, column: str) -> str:
        """The plain text of a sealed value. Raises Undecipherable."""
        size = 2 + (value[1] if len(value) > 1 else 0)
        key = self.keys.get(value[2:size].decode("ascii", "replace"))
        if value[:1] != SEALED or key is None:
            raise Undecipherable
        nonce, sealed = value[size : size + _NONCE_BYTES], value[size + _NONCE_BYTES :]
        try:
            return AESGCM(key).decrypt(nonce, sealed, _context(tenant, column)).decode()
        except (InvalidTag, ValueError) as error:
            raise Undecipherable from error

    def reseal(self, value: bytes, tenant: UUID, column: str) -> tuple[bytes, str]:
        """The value sealed with the current key, and its plain text; a value that waits to be sealed is one too.

        Raises Undecipherable.
        """
        try:
            plain = value[1:].decode() if value[:1] == _UNSEALED else self.open(value, tenant, column)
        except UnicodeDecodeError as error:
            raise Undecipherable from error
        return self.seal(plain, tenant, column), plain

    def index(self, plain: str, tenant: UUID, column: str) -> bytes:
        """The blind index of `plain`: 32 bytes that are the same for the same text, tenant and column."""
        return hmac.digest(self.index_key, _context(tenant, column) + b"\x00" + plain.encode(), "sha256")


def of(settings: Settings) -> Keyring:
    """The keys that the settings name; when they name none, the ones in QUARRY_HOME, made at first.

    In staging and production they have to be named.

    Raises KeyringError.
    """
    keys, index_key = settings.pii_keys, settings.pii_index_key
    if keys is not None and index_key is not None:
        return parse(keys.get_secret_value(), index_key.get_secret_value())
    if keys is not None or index_key is not None:
        raise KeyringError(
            "PII_KEYS and PII_INDEX_KEY are given together",
            "`quarry pii key` and `quarry pii key --index` print new ones",
        )
    if settings.environment in ("production", "staging"):
        raise KeyringError(
            f"{settings.environment} needs keys for personal data",
            "set PII_KEYS and PII_INDEX_KEY; `quarry pii key` and `quarry pii key --index` print new ones",
        )
    path = settings.quarry_home / _FILE
    if not path.exists():
        _write(path, f"PII_KEYS={fresh_key()}\nPII_INDEX_KEY={fresh_index_key()}\n")
    values = dotenv_values(path)
    return parse(values.get("PII_KEYS") or "", values.get("PII_INDEX_KEY") or "")


def at_hand(settings: Settings) -> Keyring | None:
    """The same, but None where production or staging has none: who takes a backup need not be able to read all of it.

    Raises KeyringError for keys that can't be read.
    """
    is_named = settings.pii_keys is not None or settings.pii_index_key is not None
    return of(settings) if is_named or settings.environment not in ("production", "staging") else None


def parse(keys: str, index_key: str) -> Keyring:
    """A keyring from `id:key,id:key` (the first one seals) and the key of the index, all of 32 bytes in base64.

    Raises KeyringError, which does not repeat a key.
    """
    found = {}
    for text in keys.split(","):
        match = _KEY.match(text.strip())
        if not match or match.group(1) in found:
            raise KeyringError(
                "PII_KEYS can't be read", "give it as id:key,id:key, ids that differ and keys of 32 bytes in base64"
            )
        found[match.group(1)] = _decoded(match.group(2), "PII_KEYS")
    return Keyring(next(iter(found)), found, _decoded(index_key.strip(), "PII_INDEX_KEY"))


def fresh_key() -> str:
    """A new key for PII_KEYS, `id:key`; the id is of its hash, so that it tells nothing and is the same nowhere."""
    key = secrets.token_bytes(_KEY_BYTES)
    return f"{hashlib.sha256(key).hexdigest()[:8]}:{_encoded(key)}"


def fresh_index_key() -> str:
    """A new key for PII_INDEX_KEY."""
    return _encoded(secrets.token_bytes(_KEY_BYTES))


def prepend(settings: Settings, key: str) -> bool:
    """Make `key` the one that seals, in the file of QUARRY_HOME; False when the keys are not kept there."""
    path = settings.quarry_home / _FILE
    if settings.pii_keys is not None or not path.exists():
        return False
    with _alone(path.parent):
        values = dotenv_values(path)
        content = f"PII_KEYS={key},{values['PII_KEYS']}\nPII_INDEX_KEY={values['PII_INDEX_KEY']}\n"
        temporary = path.with_name(f"{_FILE}.{secrets.token_hex(4)}")
        _create(temporary, content)
        temporary.replace(path)
        _flush(path.parent)
    return True


def _write(path: Path, content: str) -> None:
    """Write a file that is not there yet, whole or not at all; another process may be at it, and then has its way."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    _create(temporary, content)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
    _flush(path.parent)


def _create(path: Path, content: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Wait for whoever is changing the keys: of two who read them at once, one would lose the other's key."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _flush(directory: Path) -> None:
    """Let the file survive a crash that the values sealed with its keys survive."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _context(tenant: UUID, column: str) -> bytes:
    return tenant.bytes + column.encode()


def _encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _decoded(text: str, name: str) -> bytes:
    with contextlib.suppress(binascii.Error, ValueError):
        key = base64.b64decode(text.replace("-", "+").replace("_", "/").rstrip("=") + "=", validate=True)
        if len(key) == _KEY_BYTES:
            return key
    raise KeyringError(
        f"{name} can't be read",
        "a key is 32 bytes in base64; `quarry pii key` and `quarry pii key --index` print new ones",
    )
