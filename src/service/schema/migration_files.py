"""The files of migrations: two folders of plain SQL, in the order in which an empty database gets them."""

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
"""Where migrations come from: folders, what `read` has made of some, or the ones that this version comes with."""


def sources() -> tuple[Path, ...]:
    """The two folders of migrations: what exists once, then the tenant tables."""
    return files.sql("migrations", "shared"), files.sql("migrations", "tenant")


def ordered(folders: Source = None) -> list[Path]:
    """The files of all migrations, in the order in which an empty database gets them. Raises MigrationError."""
    with reported():
        return [Path(migration.path) for migration in topological_sort(read(folders))]


@functools.cache
def known() -> frozenset[str]:
    """The ids of the migrations that this version comes with."""
    return frozenset(path.stem for path in ordered())


def read(folders: Source = None) -> Any:
    """The migrations of these folders, whose files are parsed once, however many schemas they are compared with."""
    if isinstance(folders, yoyo.migrations.MigrationList):
        return folders
    return yoyo.read_migrations(*map(str, folders or sources()))


def is_of_tenants(migration: Any) -> bool:
    """Whether a migration is of the tenant tables."""
    return Path(migration.path).parent.name == sources()[1].name


def way_back(migration: Any) -> Path:
    """The file that takes a migration back, whether it is there or not."""
    return Path(migration.path).with_suffix(".rollback.sql")


def checksum(path: Path) -> str:
    """What the post-apply hook keeps of an applied file."""
    # A checkout with CRLF is the same file.
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
