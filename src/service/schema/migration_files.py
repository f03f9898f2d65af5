"""The files of migrations: two folders of plain SQL, and the order in which their files are applied to an empty database."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yoyo
from yoyo.migrations import topological_sort

from service import files
from service.schema.migration_errors import reported

Source = Sequence[Path] | Any | None
"""Where migrations come from: folders, a result of `read`, or None for the migrations that this version includes."""


def sources() -> tuple[Path, ...]:
    """The two folders of migrations: first the one for the schema `app`, which exists once, then that for tenant tables."""
    return files.sql("migrations", "shared"), files.sql("migrations", "tenant")


def ordered(folders: Source = None) -> list[Path]:
    """The files of all migrations, in the order in which they are applied to an empty database.

    Raises MigrationError if they can't be read.
    """
    with reported():
        return [Path(migration.path) for migration in topological_sort(read(folders))]


@functools.cache
def known() -> frozenset[str]:
    """The ids of the migrations that this version includes."""
    return frozenset(path.stem for path in ordered())


def read(folders: Source = None) -> Any:
    """Read the migrations of these folders.

    A result of `read` is returned unchanged, so that the files are parsed only once even for many schemas.
    """
    if isinstance(folders, yoyo.migrations.MigrationList):
        return folders
    return yoyo.read_migrations(*map(str, folders or sources()))


def is_of_tenants(migration: Any) -> bool:
    """Whether a migration belongs to the tenant tables."""
    return Path(migration.path).parent.name == sources()[1].name


def way_back(migration: Any) -> Path:
    """The path of the file that rolls a migration back. The file may be missing."""
    return Path(migration.path).with_suffix(".rollback.sql")


def checksum(path: Path) -> str:
    """The checksum of a file. yoyo's post-apply hook (post-apply.checksums.py) stores the same for applied migrations."""
    # Line endings must not matter: a checkout on Windows may have CRLF.
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
