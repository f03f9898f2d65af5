"""Finds the migration files in their two folders, and the order in which they are applied to an empty database."""

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
"""Which migrations are meant: those in these folders, those in a result of `read`, or (None) those that this release includes."""


def sources() -> tuple[Path, ...]:
    """The two folders with migrations: first the folder for the schema `app`, then the folder for tenant tables."""
    return files.sql("migrations", "shared"), files.sql("migrations", "tenant")


def ordered(folders: Source = None) -> list[Path]:
    """The files of all migrations, in the order in which the migrations are applied to an empty database.

    Raises MigrationError if a file can't be read.
    """
    with reported():
        return [Path(migration.path) for migration in topological_sort(read(folders))]


@functools.cache
def known() -> frozenset[str]:
    """The ids of the migrations that this release of the service includes."""
    return frozenset(path.stem for path in ordered())


def read(folders: Source = None) -> Any:
    """Parse the migration files in `folders`.

    If `folders` is already a result of `read`, it is returned unchanged, so that a caller with many schemas parses them once.
    """
    if isinstance(folders, yoyo.migrations.MigrationList):
        return folders
    return yoyo.read_migrations(*map(str, folders or sources()))


def is_of_tenants(migration: Any) -> bool:
    """Whether a migration is for tenant tables: it is applied to the shared schema and to each tenant's own schema."""
    return Path(migration.path).parent.name == sources()[1].name


def way_back(migration: Any) -> Path:
    """The path of the rollback file of a migration. This file may be missing."""
    return Path(migration.path).with_suffix(".rollback.sql")


def checksum(path: Path) -> str:
    """The checksum of a migration file. yoyo's post-apply hook, post-apply.checksums.py, stores the same for applied files."""
    # CRLF is converted to LF, so that the checksum is the same in a checkout on Windows.
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
