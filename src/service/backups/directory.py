"""A directory of backups. A backup has two files: the dump, `<name>.dump`, and the manifest, `<name>.json`.

The manifest gets its name last, so a dump without a manifest is an unfinished backup.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from service import files
from service.backups import manifests
from service.backups.manifests import BackupError, Manifest
from service.errors import OperatorError

_DUMP, _MANIFEST, _PARTIAL = ".dump", ".json", ".partial"
_NAME = re.compile(r".+_backup_\d{8}_\d{6}\Z")


@dataclass(frozen=True)
class Backup:
    """A backup: the path of its dump, and its manifest."""

    path: Path
    manifest: Manifest

    def check(self) -> None:
        """Read the whole dump. Raises BackupError if its size or its checksum differs from the manifest."""
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size != self.manifest.size:
                    raise manifests.damaged(self.path, f"has {size} bytes, its manifest says {self.manifest.size}")
                if hashlib.file_digest(file, "sha256").hexdigest() != self.manifest.sha256:
                    raise manifests.damaged(self.path, "is damaged: its checksum is not the manifest's")
        except OSError as error:
            raise manifests.damaged(self.path, f"can't be read: {error.strerror}") from error


@dataclass(frozen=True)
class Entry:
    """An entry in a list of backups. `backup` is None if the files of this name are not a valid backup; `problem` says why."""

    name: str
    backup: Backup | None
    problem: str | None = None


class Draft:
    """A dump that is being written to a temporary file. `publish` turns it into a backup; `discard` deletes it."""

    def __init__(self, directory: Path, stem: str) -> None:
        self._directory, self._stem = directory, stem
        self.path = directory / f".{stem}{_PARTIAL}"

    def publish(self, manifest: Manifest) -> Backup:
        """Give the dump and its manifest their final names, and flush them to disk. Raises OperatorError."""
        path = self._directory / f"{manifest.name}{_DUMP}"
        beside = self.path.with_name(f".{self._stem}{_MANIFEST}{_PARTIAL}")
        with _written(self._directory):
            with files.create_private(beside) as file:
                file.write(manifest.sealed())
                files.sync(file)
            self.path.rename(path)
            beside.rename(path.with_suffix(_MANIFEST))
            files.sync_directory(self._directory)
        return Backup(path, manifest)

    def discard(self) -> None:
        """Delete the temporary files that were not published, also those of earlier runs for the same database."""
        for path in self._directory.glob(f".{_escaped(self._stem)}*{_PARTIAL}"):
            path.unlink(missing_ok=True)

    def digest(self) -> tuple[int, str]:
        """The dump's size in bytes and its SHA-256."""
        with self.path.open("rb") as file:
            return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Directory:
    """A directory with backups."""

    path: Path

    def entries(self) -> list[Entry]:
        """One entry for each name that looks like a backup's, oldest first, even if its dump or its manifest is missing."""
        names = {path.stem for path in self._files() if _NAME.match(path.stem)}
        return sorted((self._entry(name) for name in names), key=_age)

    def find(self, name: str) -> Backup:
        """The backup with this name; `name` may also be the path of its dump or manifest. Raises BackupError."""
        given = Path(name)
        place = Directory(given.parent) if len(given.parts) > 1 else self
        stem = given.name.removesuffix(_DUMP).removesuffix(_MANIFEST)
        path = place.path / f"{stem}{_DUMP}"
        if not path.with_suffix(_MANIFEST).is_file():
            what = "its manifest is missing" if path.is_file() else "there is no such backup"
            raise BackupError(f"{path}: {what}", "see `quarry backup list`, or name another --directory")
        manifest = manifests.read(path.with_suffix(_MANIFEST))
        if not path.is_file():
            raise manifests.damaged(path, "is missing")
        return Backup(path, manifest)

    @contextmanager
    def drafting(self, database: str) -> Iterator[Draft]:
        """A draft for a new dump of `database`, which is deleted after the block unless it was published.

        Raises OperatorError if the directory can't be written to, or if another process is writing a dump of this database to it.
        """
        draft = Draft(self.path, _stem(database))
        with ExitStack() as held:
            with _written(self.path):
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = os.open(self.path / f".{_stem(database)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                held.callback(os.close, lock)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    problem = f"another backup of {database} is being written to {self.path}"
                    raise OperatorError(problem, "wait for it to end") from None
                # Delete temporary files that a killed run has left.
                draft.discard()
                held.callback(draft.discard)
                files.create_private(draft.path).close()
            yield draft

    def free_name(self, database: str, at: datetime) -> str:
        """The name `<database>_backup_YYYYMMDD_HHMMSS` for a backup taken at `at`; if it exists, the next free second is used."""
        while any(self.path.glob(f"{_escaped(name := f'{_stem(database)}_{at:%Y%m%d_%H%M%S}')}.*")):
            at += timedelta(seconds=1)
        return name

    def prune(self, database: str, keep: int) -> list[str]:
        """Delete all backups of `database` except for the newest `keep`; none if `keep` is 0. Returns the deleted names."""
        own = [entry.backup for entry in self.entries() if entry.backup and entry.backup.manifest.database == database]
        gone = own[: len(own) - keep] if keep else []
        for backup in gone:
            # Delete the manifest first. If the run is killed in between, the dump without a manifest does not pass for a backup.
            backup.path.with_suffix(_MANIFEST).unlink(missing_ok=True)
            backup.path.unlink(missing_ok=True)
        return [backup.manifest.name for backup in gone]

    def _files(self) -> Iterator[Path]:
        if self.path.is_dir():
            yield from (path for path in self.path.iterdir() if path.suffix in (_DUMP, _MANIFEST))

    def _entry(self, name: str) -> Entry:
        try:
            backup = self.find(name)
        except BackupError as error:
            return Entry(name, None, error.message)
        if backup.manifest.name != name:
            return Entry(name, None, f"{backup.path} was taken as {backup.manifest.name}")
        return Entry(name, backup)


def _stem(database: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', database)}_backup"


def _age(entry: Entry) -> str:
    return entry.name[-15:] + entry.name


def _escaped(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OperatorError(
            f"{path} can't be written to: {error.strerror}",
            "make room there, or name another --directory that is yours",
        ) from error
