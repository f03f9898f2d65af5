"""A directory of backups. A backup has two files: the dump, `<name>.dump`, and the manifest, `<name>.json`.

Of the two, the manifest is put there last and deleted first. So a dump without a manifest is not a complete backup.
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
        """Read the whole dump. Raises BackupError if the dump's size or checksum is not the one in the manifest."""
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
    """An entry in the list of backups. If the files with this name are not a complete and valid backup, `backup` is None, and
    `problem` says what is wrong.
    """

    name: str
    backup: Backup | None
    problem: str | None = None


class Draft:
    """A backup that is being made: its dump is written to the temporary file `path`. `publish` makes it a complete backup."""

    def __init__(self, directory: Path, stem: str) -> None:
        self._directory, self._stem = directory, stem
        self.path = directory / f".{stem}{_PARTIAL}"

    def publish(self, manifest: Manifest) -> Backup:
        """Write the manifest to disk, and give the dump and the manifest their final names. Raises OperatorError."""
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
        """Delete the temporary files of this draft, and those that earlier runs for the same database have left."""
        for path in self._directory.glob(f".{_escaped(self._stem)}*{_PARTIAL}"):
            path.unlink(missing_ok=True)

    def digest(self) -> tuple[int, str]:
        """The size of the dump in bytes, and its SHA-256 in hex."""
        with self.path.open("rb") as file:
            return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Directory:
    """A directory with backups. The methods list, find, create and delete backups in it."""

    path: Path

    def entries(self) -> list[Entry]:
        """The list of backups, oldest first. A name gets an entry even if only one of its two files exists."""
        names = {path.stem for path in self._files() if _NAME.match(path.stem)}
        return sorted((self._entry(name) for name in names), key=_age)

    def find(self, name: str) -> Backup:
        """The backup with this name. `name` may also be the path of the dump or the manifest. Raises BackupError if a file of the
        backup is missing, or if the manifest is damaged.
        """
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
        """A draft for a new backup of `database`. Its temporary files are deleted after the block, unless they were published.

        Raises OperatorError if the directory can't be written to, or if another process is writing a backup of this database
        to the directory.
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
                # This process has the lock, so temporary files that exist here were left by a killed run: delete them.
                draft.discard()
                held.callback(draft.discard)
                files.create_private(draft.path).close()
            yield draft

    def free_name(self, database: str, at: datetime) -> str:
        """The name for a backup taken at the time `at`: `<database>_backup_YYYYMMDD_HHMMSS`.

        If this name is in use already, the name has the next second for which it is free.
        """
        while any(self.path.glob(f"{_escaped(name := f'{_stem(database)}_{at:%Y%m%d_%H%M%S}')}.*")):
            at += timedelta(seconds=1)
        return name

    def prune(self, database: str, keep: int) -> list[str]:
        """Delete all backups of `database` except for the newest ones, as many as `keep` says. If `keep` is 0, delete none.

        Returns the names of the deleted backups.
        """
        own = [entry.backup for entry in self.entries() if entry.backup and entry.backup.manifest.database == database]
        gone = own[: len(own) - keep] if keep else []
        for backup in gone:
            # Delete the manifest first: if this process is killed before it deletes the dump, no complete backup seems to exist.
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
