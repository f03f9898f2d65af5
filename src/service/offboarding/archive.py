"""Archives: tar.gz files with the data of one tenant.

The first file in an archive is `manifest.json`. For each table that the manifest lists, a file `<table>.jsonl` follows, in the
order of the list.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import secrets
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service import files
from service.errors import OperatorError

FORMAT: Literal[1] = 1
_MANIFEST = "manifest.json"
_LONGEST_MANIFEST = 1024 * 1024
_LONGEST_LINE = 16 * 1024 * 1024
_CHUNK = 1024 * 1024
_SOMETHING_ELSE = "take the file that `quarry tenants export` wrote, unchanged"


class ArchiveError(OperatorError):
    """The archive can't be read, or does not match its manifest."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Table(_Part):
    """A table's entry in the manifest: the names of its columns, its number of rows, and the SHA-256 of its file.

    Each line of the file `<table>.jsonl` is a row: a JSON object whose keys are the names of the columns.
    """

    name: str
    columns: tuple[str, ...]
    rows: int
    sha256: str


class Manifest(_Part):
    """The content of `manifest.json`: which tenant the archive contains, and what was exported when, from which version.

    `number` is the number of the tenant's last commit; 0 for an archive of an earlier release, which did not write it.
    `quarry` is the version of Quarry that made the archive. `migrations` are the ids of the migrations that were applied.
    """

    format: Literal[1] = FORMAT
    made_at: datetime
    tenant: UUID
    domain: str
    number: int = Field(default=0, ge=0, lt=2**62)
    quarry: str
    migrations: tuple[str, ...]
    tables: tuple[Table, ...]


class Spool:
    """Collects the lines of one table in a temporary file. They can't be written to the archive directly, because a tar file
    has the size of each file before its content.
    """

    def __init__(self, name: str, columns: Iterable[str], directory: Path) -> None:
        self.name, self.columns, self.rows = name, tuple(columns), 0
        self.file: IO[bytes] = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115  write() closes it
        self._digest = hashlib.sha256()

    def add(self, lines: Sequence[bytes]) -> None:
        """Append rows. Each item of `lines` is a row as a JSON object, without the line break."""
        text = b"".join(line + b"\n" for line in lines)
        self._digest.update(text)
        self.file.write(text)
        self.rows += len(lines)

    @property
    def table(self) -> Table:
        """The entry for the manifest, which describes the lines appended so far."""
        return Table(name=self.name, columns=self.columns, rows=self.rows, sha256=self._digest.hexdigest())


def write(path: Path, manifest: Manifest, spools: Sequence[Spool]) -> None:
    """Write the archive to `path`, readable only by the file's owner. If this fails, `path` is as it was before."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with files.create_private(temporary) as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as tar:
                text = manifest.model_dump_json(indent=2).encode()
                tar.addfile(_member(_MANIFEST, len(text), manifest), io.BytesIO(text))
                for spool in spools:
                    size = spool.file.tell()
                    spool.file.seek(0)
                    tar.addfile(_member(f"{spool.name}.jsonl", size, manifest), spool.file)
            files.sync(file)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _member(name: str, size: int, manifest: Manifest) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(manifest.made_at.timestamp())
    return member


class _Bounded:
    """A file whose `read` raises an error for a large size. Without this limit, a forged header with a huge size would make
    tarfile read as many bytes into memory.
    """

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self.tell, self.seek = file.tell, file.seek

    def read(self, size: int) -> bytes:
        if size > _CHUNK:
            raise tarfile.ReadError("a header is too large")
        return self._file.read(size)


class Archive:
    """An open archive. `verify` and `tables` may be called any number of times: each call reads the archive from its beginning.

    Nothing is extracted to disk.
    """

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path, self._file = path, file
        with self._damage(), self._tar() as tar:
            self.manifest = self._manifest(tar)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Archive]:
        """Open the archive at `path`, and read its manifest. Raises ArchiveError if it can't be read."""
        try:
            file = path.open("rb")
        except OSError as error:
            raise ArchiveError(f"{path} can't be read: {error.strerror}", _SOMETHING_ELSE) from error
        with file:
            yield cls(path, file)

    def verify(self) -> None:
        """Read the whole archive. Raises ArchiveError if it is damaged, or if its files do not match the manifest."""
        for _ in self.tables():
            pass

    def tables(self) -> Iterator[tuple[Table, Iterator[bytes]]]:
        """Each table of the manifest, with its lines. If the caller takes the next table, unread lines are skipped.

        Raises ArchiveError if the archive is damaged, or if its files do not match the manifest.
        """
        with self._damage(), self._tar() as tar:
            if self._manifest(tar) != self.manifest:
                raise self._error("is being changed")
            for table in self.manifest.tables:
                lines = self._lines(tar, table)
                yield table, lines
                for _ in lines:
                    pass
            if (more := tar.next()) is not None:
                raise self._error(f"holds {more.name!r}, which is not in its manifest")
            # Read on to the end of the file, because only there gzip verifies its checksum.
            while tar.fileobj.read(_CHUNK):
                pass

    def error(self, table: Table, number: int, problem: str) -> ArchiveError:
        """The error for a problem in line `number` of a table's file; the first line has the number 1."""
        return self._error(f"{table.name}.jsonl, line {number}: {problem}")

    def _lines(self, tar: tarfile.TarFile, table: Table) -> Iterator[bytes]:
        with self._damage():
            file = self._next(tar, f"{table.name}.jsonl")
            digest, rows = hashlib.sha256(), 0
            while line := file.readline(_LONGEST_LINE):
                rows += 1
                if not line.endswith(b"\n"):
                    raise self.error(table, rows, "the line does not end")
                digest.update(line)
                yield line
            if rows != table.rows:
                raise self._error(f"holds {rows} rows in {table.name}.jsonl, its manifest says {table.rows}")
            if digest.hexdigest() != table.sha256:
                raise self._error(f"holds another {table.name}.jsonl than its manifest describes")

    def _manifest(self, tar: tarfile.TarFile) -> Manifest:
        text = self._next(tar, _MANIFEST).read(_LONGEST_MANIFEST)
        try:
            found = json.loads(text)
            version = found.get("format") if isinstance(found, dict) else None
            if version != FORMAT:
                raise self._error(f"has the format {version!r}; this Quarry reads {FORMAT}")
            return Manifest.model_validate_json(text)
        except (ValueError, RecursionError) as error:
            what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "it is not JSON"
            raise self._error(f"has a manifest that can't be read: {what}") from error

    def _next(self, tar: tarfile.TarFile, name: str) -> IO[bytes]:
        member = tar.next()
        if member is None:
            raise self._error(f"has no {name}")
        if member.name != name or not member.isreg():
            raise self._error(f"holds {member.name!r} where {name} belongs")
        file = tar.extractfile(member)
        assert file is not None  # noqa: S101  it is a regular file
        return file

    @contextmanager
    def _tar(self) -> Iterator[tarfile.TarFile]:
        self._file.seek(0)
        with gzip.GzipFile(fileobj=self._file) as unzipped:
            bounded: Any = _Bounded(unzipped)
            with tarfile.open(fileobj=bounded, mode="r:") as tar:
                yield tar

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise self._error(f"is damaged or no tar.gz: {error}") from error

    def _error(self, problem: str) -> ArchiveError:
        return ArchiveError(f"{self._path} {problem}", _SOMETHING_ELSE)
