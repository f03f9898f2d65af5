"""Writes the file with the keys of personal data. Only its owner may read it, and it is written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from service import files


def write(path: Path, content: str) -> None:
    """Create a file, completely or not at all. If the file exists, as another process has just created it, it stays as it is."""
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
    """Replace the content of a file. The caller has to hold the lock `files.alone` from before it reads the old content."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    _create(temporary, content)
    temporary.replace(path)
    files.sync_directory(path.parent)


def _create(path: Path, content: str) -> None:
    # The file is synced to disk. Otherwise a crash could lose the keys, but not the rows that were sealed with them.
    with files.create_private(path) as file:
        file.write(content.encode("ascii"))
        files.sync(file)
