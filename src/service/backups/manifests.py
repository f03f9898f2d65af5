"""The manifest beside a backup: what it is of, and what has to be in it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.errors import OperatorError

FORMAT: Literal[1] = 1
_LONGEST = 16 * 1024 * 1024
_REMEDY = "take the files that `quarry backup create` wrote, unchanged, or another backup"


class BackupError(OperatorError):
    """The backup is not there, or is not what it was when it was taken."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Table(_Part):
    """A table, as SQL writes its name, and its rows."""

    name: str
    rows: int = Field(ge=0)


class Manifest(_Part):
    """What a backup is: `server` and `tool` are versions, `size` is in bytes, `rows` are those of the dump's snapshot."""

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

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(table.rows for table in self.tables)

    def sealed(self) -> bytes:
        """The file's bytes, with a checksum of themselves: it finds damage, it does not prove who wrote them."""
        return _Sealed(**dict(self), seal=self._digest()).model_dump_json(indent=2).encode() + b"\n"

    def _digest(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class _Sealed(Manifest):
    seal: str


def major(version: str) -> int:
    """The major of a version such as 18.4 or 15.18 (Debian 15.18-0)."""
    return int(version.split(".", 1)[0].split(" ", 1)[0])


def read(path: Path) -> Manifest:
    """The manifest at `path`. Raises BackupError when it is not, byte for byte, what was written there."""
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
    """The dump at `path` is not the one that its manifest describes."""
    return BackupError(f"{path} {problem}", _REMEDY)
