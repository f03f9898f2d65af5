"""Finds the folders `sql/` and `seeds/` in the installed package or the checkout, writes private files, and locks directories."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parent.parent


def sql(*parts: str) -> Path:
    """The path of a file or folder in `sql/`: `parts` are the names of the folders in it, and of the file."""
    return _root("sql").joinpath(*parts)


def seeds(*parts: str) -> Path:
    """The path of a file in `seeds/`."""
    return _root("seeds").joinpath(*parts)


def is_packaged() -> bool:
    """Whether the service runs from an installed package, which contains `sql/` and `seeds/`, and not from a checkout."""
    return (_PACKAGE / "sql").is_dir()


def _root(name: str) -> Path:
    packaged = _PACKAGE / name
    return packaged if packaged.is_dir() else _CHECKOUT / name


def create_private(path: Path) -> BinaryIO:
    """Create a file that only its owner may read or write, and open it for writing. Raises FileExistsError if it exists."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def sync(file: BinaryIO) -> None:
    """Write the file's content to disk (fsync), so that it survives a crash."""
    file.flush()
    os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Write the directory to disk (fsync), so that files created, renamed or removed in it are still so after a crash."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold an exclusive lock on `directory` during the block. Other processes that call this for it wait meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
