"""The files of a state directory, which only its owner may read, and the locks on them that processes hold."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def read(path: Path) -> str | None:
    """The text of a file without surrounding whitespace; None if the file is missing or empty."""
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None


def write(path: Path, text: str) -> None:
    """Replace a file atomically. The new file has the owner and mode that `open_private` sets."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with open_private(partial) as file:
        file.write(text.encode())
    partial.replace(path)


def open_private(path: Path) -> BinaryIO:
    """Open a file for appending. A new file is private to the owner of its directory, also if root creates it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
    else:
        if os.geteuid() == 0:
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return os.fdopen(descriptor, "ab")


@contextmanager
def exclusive(lock: BinaryIO) -> Iterator[None]:
    """Hold an exclusive lock on the file `lock`, after waiting until no other process has a lock on it."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def share(lock: BinaryIO) -> None:
    """Take a shared lock on the file `lock`, and hold it until the file is closed."""
    fcntl.flock(lock, fcntl.LOCK_SH)


def is_unused(lock: BinaryIO) -> bool:
    """Whether no other process holds `lock`. If so, the caller's shared lock becomes exclusive; if not, it is released."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(lock, fcntl.LOCK_UN)
        return False
    return True
