"""Writes the file that stores the keys: completely or not at all, by one process at a time, readable by its owner only."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from service import files


def write(path: Path, content: str) -> None:
    """Create a file, completely or not at all. If another process creates it at the same time, the first file is kept."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    _create(temporary, content)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
    files.sync_directory(path.parent)


def replace(path: Path, content: str) -> None:
    """Replace a file's content. The caller must have taken the lock `files.alone` before it read the old content."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    _create(temporary, content)
    temporary.replace(path)
    files.sync_directory(path.parent)


def _create(path: Path, content: str) -> None:
    # The file is synced to disk: in a crash the keys must not be lost while values sealed with them survive.
    with files.create_private(path) as file:
        file.write(content.encode("ascii"))
        files.sync(file)
