"""Files: where `sql/` and `seeds/` are (in the installed package, or in the checkout), and how a private file is written."""

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
    """A path under `sql/`."""
    return _root("sql").joinpath(*parts)


def seeds(*parts: str) -> Path:
    """A path under `seeds/`."""
    return _root("seeds").joinpath(*parts)


def is_packaged() -> bool:
    """Whether `sql/` and `seeds/` are inside the installed package, where nobody edits them."""
    return (_PACKAGE / "sql").is_dir()


def _root(name: str) -> Path:
    packaged = _PACKAGE / name
    return packaged if packaged.is_dir() else _CHECKOUT / name


def create_private(path: Path) -> BinaryIO:
    """Create a file that only its owner may read, and open it for writing. Raises FileExistsError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def sync(file: BinaryIO) -> None:
    """Write the file's content to disk (fsync), so that it survives a crash."""
    file.flush()
    os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Write the directory to disk (fsync), so that new, renamed and removed names in it survive a crash."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold an exclusive lock on the directory: if two processes worked on it at once, one could undo the other's changes."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
