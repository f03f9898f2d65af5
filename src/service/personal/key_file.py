"""The file of keys. It is written completely or not at all, by one process at a time, and only its owner may read it."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from service import files


def write(path: Path, content: str) -> None:
    """Create a file, completely or not at all. If another process creates it at the same time, that file is kept."""
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
    """Replace a file's content. The caller must hold the lock of `files.alone` since before it read the old content."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    _create(temporary, content)
    temporary.replace(path)
    files.sync_directory(path.parent)


def _create(path: Path, content: str) -> None:
    # The file has to survive every crash that values sealed with its keys survive.
    with files.create_private(path) as file:
        file.write(content.encode("ascii"))
        files.sync(file)
