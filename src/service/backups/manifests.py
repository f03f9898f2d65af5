"""Manifests. A backup's manifest says which database the backup was taken from, and what a restored database has to contain."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import OperatorError
from service.personal.keyring import Keyring

FORMAT: Literal[1] = 1
_LONGEST = 16 * 1024 * 1024
_UNSIGNED = "add --unsigned"
_REMEDY = "take the files that `quarry backup create` wrote, unchanged, or another backup"


class BackupError(OperatorError):
    """The backup does not exist, is damaged or was changed, or can't be restored by this installation."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Table(_Part):
    """A table's name, qualified and quoted for SQL, and its number of rows."""

    name: str
    rows: int = Field(ge=0)


class Manifest(_Part):
    """The manifest of a backup. `quarry`, `server` and `tool` are the versions of Quarry, of PostgreSQL and of pg_dump.

    `size` and `sha256` are the size in bytes and the checksum of the dump. The rows of `tables` were counted in the snapshot
    that pg_dump read.
    """

    format: Literal[1] = FORMAT
    name: str
    database: str
    schema_name: str
    taken_at: datetime
    quarry: str
    server: str
    tool: str
    epoch: int = Field(ge=1)
    migrations: tuple[str, ...]
    tables: tuple[Table, ...]
    size: int = Field(ge=0)
    sha256: str
    signature: str = ""
    """The HMAC of all other fields, made with PII_INDEX_KEY; empty if the backup was taken without keys of personal data."""

    @property
    def rows(self) -> int:
        """The number of rows of all tables together."""
        return sum(table.rows for table in self.tables)

    def sealed(self) -> bytes:
        """The content of the manifest's file: the fields in JSON and, as the field `seal`, a checksum of the others.

        The checksum detects damage. Only the signature proves that the file was written by somebody who has the keys.
        """
        text = _Sealed(**dict(self), seal=self._digest()).model_dump_json(indent=2, exclude=self._absent())
        return text.encode() + b"\n"

    def signed(self, keys: Keyring | None) -> Manifest:
        """A copy of this manifest that is signed with `keys`; this manifest itself if `keys` is None."""
        return self if keys is None else self.model_copy(update={"signature": keys.signature(self._signed_bytes())})

    def check_signature(self, keys: Keyring | None) -> None:
        """Raise BackupError unless this manifest was signed with `keys`; also if `keys` is None."""
        what = "whoever wrote it decides what is run and what is in the database afterwards"
        if not self.signature:
            raise BackupError(f"{self.name} is not signed: {what}", f"{_UNSIGNED} if you know where it comes from")
        if keys is None:
            raise BackupError(
                f"{self.name} is signed, and the keys to check it with are not here: {what}",
                f"set PII_KEYS and PII_INDEX_KEY, or {_UNSIGNED} if you know where it comes from",
            )
        if not hmac.compare_digest(self.signature, keys.signature(self._signed_bytes())):
            raise BackupError(
                f"{self.name} was not written with these keys, or was changed by somebody who has none",
                "set the PII_INDEX_KEY that was in force when it was taken, or take another backup",
            )

    def _signed_bytes(self) -> bytes:
        return self.model_dump_json(exclude={"signature"}).encode()

    def _absent(self) -> set[str]:
        """The names of fields that the file does not contain: `signature`, if the manifest is not signed.

        Manifests of earlier releases do not have this field, and their checksum has to be computed without it.
        """
        return set() if self.signature else {"signature"}

    def _digest(self) -> str:
        return hashlib.sha256(self.model_dump_json(exclude=self._absent()).encode()).hexdigest()


class _Sealed(Manifest):
    seal: str


def major(version: str) -> int:
    """The major number of a PostgreSQL version such as `18.4` or `15.18 (Debian 15.18-0)`."""
    return int(version.split(".", 1)[0].split(" ", 1)[0])


def read(path: Path) -> Manifest:
    """The manifest in the file `path`. Raises BackupError if the file can't be read, or if it is damaged."""
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST)
    except OSError as error:
        raise BackupError(f"{path} can't be read: {error.strerror}", _REMEDY) from error
    try:
        found = json.loads(data)
        version = found.get("format") if isinstance(found, dict) else None
        if version != FORMAT:
            raise BackupError(f"{path} has the format {version!r}; this Quarry reads {FORMAT}", _REMEDY)
        sealed = _Sealed.model_validate_json(data)
    except (ValueError, RecursionError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "it is not JSON"
        raise BackupError(f"{path} is damaged: {what}", _REMEDY) from error
    manifest = Manifest(**{name: getattr(sealed, name) for name in Manifest.model_fields})
    if manifest.sealed() != data:
        raise BackupError(f"{path} was changed after it was written", _REMEDY)
    return manifest


def damaged(path: Path, problem: str) -> BackupError:
    """The error that says what is wrong with the dump at `path`, for example that it does not match its manifest."""
    return BackupError(f"{path} {problem}", _REMEDY)
