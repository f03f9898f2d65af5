"""Reads, writes and locks the files of a state directory. Only the owner of the directory may read the files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def read(path: Path) -> str | None:
    """The text in a file, without whitespace around it; None if the file is missing or empty."""
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None


def write(path: Path, text: str) -> None:
    """Write `text` to a file, which is replaced atomically. The new file has the owner and mode that `open_private` sets."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with open_private(partial) as file:
        file.write(text.encode())
    partial.replace(path)


def open_private(path: Path) -> BinaryIO:
    """Open a file for appending. If it is new, only the owner of its directory may read it, even if root has created it."""
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
    """Hold an exclusive lock on the file `lock` during the block. Before, wait until no other process holds a lock on it."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def share(lock: BinaryIO) -> None:
    """Take a shared lock on the file `lock`, and hold it until the file is closed."""
    fcntl.flock(lock, fcntl.LOCK_SH)


def is_unused(lock: BinaryIO) -> bool:
    """Whether no other process holds a lock on the file. If true, the caller's lock is then exclusive; if false, released."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(lock, fcntl.LOCK_UN)
        return False
    return True
