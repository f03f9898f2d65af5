"""The files of a state directory, private to its owner, and the locks that its users hold on them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def read(path: Path) -> str | None:
    """The text of a file without surrounding space; None when it is missing or empty."""
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None


def write(path: Path, text: str) -> None:
    """Replace a file as a whole, with the owner and mode that `open_private` gives."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with open_private(partial) as file:
        file.write(text.encode())
    partial.replace(path)


def open_private(path: Path) -> BinaryIO:
    """Open for appending, made private to the owner of the directory, who may be another than root."""
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
    """Hold `lock` alone, waiting for whoever holds it."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def share(lock: BinaryIO) -> None:
    """Hold `lock` together with others, until the file is closed."""
    fcntl.flock(lock, fcntl.LOCK_SH)


def is_unused(lock: BinaryIO) -> bool:
    """Whether nobody else holds `lock`; the caller's own shared hold on it ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(lock, fcntl.LOCK_UN)
        return False
    return True
