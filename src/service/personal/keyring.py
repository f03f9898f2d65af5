"""The keys of personal data. Values are sealed (encrypted) with AES-256-GCM, and found by a blind index (HMAC-SHA-256).

A sealed value consists of the number of its format (one byte, 1), the length of the key's id (one byte), the id, a nonce of 12
random bytes, the ciphertext and the tag. The associated data of the encryption are tenant, row and column, so a value that is
copied to another tenant, row or column can't be opened there. A value in format 0 is plain text that is still to be sealed. Such
values are written by migrations and seeds, and are read only by the code that seals them.

A key whose id does not begin with `row-` is treated as a key of an earlier release. Values sealed with such a key are bound to
tenant and column only. While PII_KEYS contains such a key, tokens without a MAC and password hashes that are not sealed are
accepted (docs/decisions/0026).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dotenv import dotenv_values

from service import files
from service.errors import OperatorError, ServiceError
from service.personal import key_file
from service.settings.personal import PersonalSettings

SEALED = b"\x01"
"""The first byte of every sealed value: the number of its format."""
_UNSEALED = b"\x00"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_ID = re.compile(r"[A-Za-z0-9._-]{1,32}\Z")
_KEY = re.compile(r"([A-Za-z0-9._-]{1,32}):([A-Za-z0-9+/_-]{43}=?)\Z")
_FILE = "pii.keys"
_BINDS_ROWS = "row-"
"""If the id of a key begins with this, values that are sealed with the key can be opened only in their own row."""
_HASH = "sealed:"
"""The prefix of every sealed password hash."""
_PASSWORD = "users.password_hash"  # noqa: S105  a column


class Undecipherable(ServiceError):
    """A sealed value can't be opened: its key is not among PII_KEYS, or the value was changed or copied from elsewhere."""

    code = "unavailable"


class KeyringError(OperatorError):
    """The keys of personal data are missing, incomplete, or not written in the right form."""


@dataclass(frozen=True)
class Keyring:
    """The keys of personal data: `keys` maps ids to keys, and `current` is the id of the key that seals new values.

    A value is opened with the key that has sealed it. `index_key` is a separate key, for blind indexes, MACs and signatures.
    """

    current: str
    keys: Mapping[str, bytes] = field(repr=False)
    index_key: bytes = field(repr=False)

    @property
    def prefix(self) -> bytes:
        """The first bytes of every value that is sealed with the current key."""
        return SEALED + bytes([len(self.current)]) + self.current.encode()

    @property
    def binds_rows(self) -> bool:
        """Whether values sealed with the current key can be opened only in their row. Then password hashes are sealed too."""
        return self.current.startswith(_BINDS_ROWS)

    @property
    def accepts_earlier_forms(self) -> bool:
        """Whether data in the form of an earlier release are accepted: while `keys` contains a key of such a release.

        These data are tokens without a MAC, password hashes that are not sealed, and stored answers (for repeated requests) that
        do not name their caller and request.
        """
        return not all(id.startswith(_BINDS_ROWS) for id in self.keys)

    @property
    def is_step_back(self) -> bool:
        """Whether the current key is of an earlier release although `keys` contains a newer one, whose id begins with `row-`."""
        return not self.binds_rows and any(id.startswith(_BINDS_ROWS) for id in self.keys)

    @property
    def check(self) -> bytes:
        """32 bytes computed from the index key. The database stores them to detect a wrong index key. They don't reveal it."""
        return hmac.digest(self.index_key, b"the keys of this database", "sha256")

    def signature(self, data: bytes) -> str:
        """The signature of `data` (HMAC-SHA-256). It proves that whoever computed it has the index key."""
        return hmac.new(self.index_key, b"quarry signature\x00" + data, "sha256").hexdigest()

    def file_key(self, id: str, salt: bytes) -> bytes:
        """A key (32 bytes) to encrypt one file, derived from `salt` and the key `id`. Raises KeyError if there is no key `id`."""
        return hmac.digest(self.keys[id], b"quarry file\x00" + salt, "sha256")

    def seal(self, plain: str, tenant: UUID, row: UUID, column: str) -> bytes:
        """Encrypt `plain` for this tenant, row and column; `column` is `<table>.<column>`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        context = _place(self.current, tenant, row, column)
        return self.prefix + nonce + AESGCM(self.keys[self.current]).encrypt(nonce, plain.encode(), context)

    def open(self, value: bytes, tenant: UUID, row: UUID, column: str) -> str:
        """The plain text of a sealed value. Raises Undecipherable if it can't be decrypted for this tenant, row and column."""
        size = 2 + (value[1] if len(value) > 1 else 0)
        id = value[2:size].decode("ascii", "replace")
        if value[:1] == _UNSEALED:
            raise Undecipherable("It is plain text that waits to be sealed; `quarry pii seal` does it.")
        if value[:1] != SEALED:
            raise Undecipherable
        if id not in self.keys:
            raise Undecipherable(
                f"It is sealed with the key {id}, which is not among PII_KEYS." if _ID.match(id) else None
            )
        nonce, sealed = value[size : size + _NONCE_BYTES], value[size + _NONCE_BYTES :]
        try:
            return AESGCM(self.keys[id]).decrypt(nonce, sealed, _place(id, tenant, row, column)).decode()
        except (InvalidTag, ValueError) as error:
            raise Undecipherable from error

    def open_waiting(self, value: bytes, tenant: UUID, row: UUID, column: str) -> str:
        """Like `open`, but if `value` is plain text that is still to be sealed (format 0), returns this text."""
        try:
            return value[1:].decode() if value[:1] == _UNSEALED else self.open(value, tenant, row, column)
        except UnicodeDecodeError as error:
            raise Undecipherable from error

    def seal_hash(self, hashed: str, tenant: UUID, user: UUID) -> str:
        """The form in which the password hash `hashed` is stored: sealed if `binds_rows` is true, otherwise unchanged."""
        return _HASH + self.seal(hashed, tenant, user, _PASSWORD).hex() if self.binds_rows else hashed

    def open_hash(self, kept: str, tenant: UUID, user: UUID) -> str:
        """The password hash stored as `kept`. Raises Undecipherable if it is damaged, or has to be sealed and is not."""
        if not self.is_sealed_hash(kept):
            if self.accepts_earlier_forms:
                return kept
            raise Undecipherable(
                "It is not sealed: somebody has written it by hand. `quarry users passwd` sets another."
            )
        try:
            return self.open(bytes.fromhex(kept.removeprefix(_HASH)), tenant, user, _PASSWORD)
        except ValueError as error:
            raise Undecipherable from error

    @staticmethod
    def is_sealed_hash(kept: str) -> bool:
        """Whether the stored form of a password hash is sealed, no matter with which key."""
        return kept.startswith(_HASH)

    def hash_prefix(self, prefix: bytes) -> str:
        """The text with which a stored password hash begins if its sealed value begins with the bytes `prefix`.

        If the current key does not seal password hashes, the result is '', with which every text begins.
        """
        return _HASH + prefix.hex() if self.binds_rows else ""

    def mac(self, tenant: UUID, fields: Iterable[bytes]) -> bytes:
        """The MAC (32 bytes) of the values `fields` of a row of this tenant. Only a process with the index key can compute it."""
        data = b"".join(len(each).to_bytes(4, "big") + each for each in (tenant.bytes, *fields))
        return hmac.digest(self._mac_key, data, "sha256")

    def verifies(self, mac: bytes | None, tenant: UUID, fields: Iterable[bytes]) -> bool:
        """Whether `mac` is the MAC (see `mac()`) of the values `fields` of a row of this tenant.

        Rows that an earlier release has written have no MAC. So for None the result is `accepts_earlier_forms`.
        """
        if mac is None:
            return self.accepts_earlier_forms
        return hmac.compare_digest(mac, self.mac(tenant, fields))

    @functools.cached_property
    def _mac_key(self) -> bytes:
        return hmac.digest(self.index_key, b"quarry tokens", "sha256")

    def index(self, plain: str, tenant: UUID, column: str) -> bytes:
        """The blind index of `plain`: 32 bytes that are the same for the same text, tenant and column."""
        return hmac.digest(self.index_key, _context(tenant, column) + b"\x00" + plain.encode(), "sha256")


def load(settings: PersonalSettings) -> Keyring:
    """The keys in the settings, or else in the file `pii.keys` in QUARRY_HOME. If that is missing, it is created with new keys.

    In staging and production the keys have to be in the settings. Raises KeyringError if the keys are missing or can't be read.
    """
    keys, index_key = settings.pii_keys, settings.pii_index_key
    if keys is not None and index_key is not None:
        return parse(keys.get_secret_value(), index_key.get_secret_value())
    if keys is not None or index_key is not None:
        there, missing = ("PII_KEYS", "PII_INDEX_KEY") if keys is not None else ("PII_INDEX_KEY", "PII_KEYS")
        raise KeyringError(
            f"{there} is given, and {missing} is not",
            f"set {missing} to what this database was last used with; `quarry pii key` prints new ones for an empty one",
        )
    if settings.environment in ("production", "staging"):
        raise KeyringError(
            f"{settings.environment} needs keys for personal data",
            "set PII_KEYS and PII_INDEX_KEY; `quarry pii key` and `quarry pii key --index` print new ones",
        )
    path = settings.quarry_home / _FILE
    if not path.exists():
        key_file.write(path, f"PII_KEYS={fresh_key()}\nPII_INDEX_KEY={fresh_index_key()}\n")
    try:
        values = dotenv_values(path)
    except UnicodeDecodeError:
        raise KeyringError(f"{path} can't be read", "put the file back that the database was made with") from None
    try:
        return parse(values.get("PII_KEYS") or "", values.get("PII_INDEX_KEY") or "")
    except KeyringError as error:
        raise KeyringError(f"{path}: {error.message}", "put the file back that the database was made with") from None


def at_hand(settings: PersonalSettings) -> Keyring | None:
    """Like `load`, but returns None in production or staging if the settings contain no keys. Backups can be made without keys.

    Raises KeyringError for keys that can't be read.
    """
    is_named = settings.pii_keys is not None or settings.pii_index_key is not None
    return load(settings) if is_named or settings.environment not in ("production", "staging") else None


def parse(keys: str, index_key: str) -> Keyring:
    """A keyring with `keys`, written as `id:key,id:key` (the first one seals new values), and with `index_key`.

    Each key, also the index key, is 32 bytes written in base64.

    Raises KeyringError, whose message contains no key, if a key is not written in this form.
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


def index_key(text: str, name: str) -> bytes:
    """Decode the index key `text`. Raises KeyringError, whose message contains the variable's name `name`, not the key."""
    return _decoded(text.strip(), name)


def fresh_key() -> str:
    """A new key for PII_KEYS, `id:key`; the id is `row-` and 8 hex digits of the key's SHA-256."""
    key = secrets.token_bytes(_KEY_BYTES)
    return f"{_BINDS_ROWS}{hashlib.sha256(key).hexdigest()[:8]}:{_encoded(key)}"


def fresh_index_key() -> str:
    """A new key for PII_INDEX_KEY."""
    return _encoded(secrets.token_bytes(_KEY_BYTES))


def prepend(settings: PersonalSettings, key: str) -> bool:
    """Put `key` first in the key file in QUARRY_HOME, so that it seals new values. Returns False if the keys are elsewhere."""
    path = settings.quarry_home / _FILE
    if settings.pii_keys is not None or not path.exists():
        return False
    with files.alone(path.parent):
        values = dotenv_values(path)
        key_file.replace(path, f"PII_KEYS={key},{values['PII_KEYS']}\nPII_INDEX_KEY={values['PII_INDEX_KEY']}\n")
    return True


def _context(tenant: UUID, column: str) -> bytes:
    return tenant.bytes + column.encode()


def _place(key: str, tenant: UUID, row: UUID, column: str) -> bytes:
    return tenant.bytes + (row.bytes if key.startswith(_BINDS_ROWS) else b"") + column.encode()


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
