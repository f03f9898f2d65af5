"""The data directory of PostgreSQL (a database cluster): creating it, and resetting its password."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from service.embedded.placement import Placement
from service.embedded.processes import run
from service.embedded.state import write

SUPERUSER = "postgres"
_LETTERS = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""Options of initdb for the locale C.UTF-8, which is built into PostgreSQL. It sorts by code point as the locale C does, but also
converts the case of non-ASCII letters, in the same way on every operating system."""
_LETTERS_SINCE = 17


def create(placement: Placement, binaries: Path, password: str) -> None:
    """Create the data directory. It gets its name by renaming, so it exists only when it is complete."""
    home, name = placement.data.parent, placement.data.name
    for leftover in home.glob(f"new-{name}-*"):
        _remove(leftover)
    staging = Path(tempfile.mkdtemp(prefix=f"new-{name}-", dir=home))
    try:
        if placement.account is not None:
            os.chown(staging, placement.account.uid, placement.account.gid)
        write(staging / "password", password)
        run(
            placement.account,
            binaries / "initdb",
            f"--pgdata={staging / 'data'}",
            f"--username={SUPERUSER}",
            f"--pwfile={staging / 'password'}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            *(_LETTERS if int(name.removeprefix("pg")) >= _LETTERS_SINCE else ()),
            "--no-sync",
            "--no-instructions",
        )
        (staging / "data").rename(placement.data)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def reset_password(placement: Placement, binaries: Path, password: str) -> None:
    """Set a new password for the superuser of an existing data directory, because the file with the old one is lost."""
    single_user = ("--single", "-D", str(placement.data), "-c", "exit_on_error=on", "postgres")
    statement = f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n"
    run(placement.account, binaries / "postgres", *single_user, given=statement)


def _remove(leftover: Path) -> None:
    """Remove the directory that a killed start has left. Retries for 10 seconds, because its initdb may still be writing."""
    deadline = time.monotonic() + 10.0
    while leftover.exists() and time.monotonic() < deadline:
        shutil.rmtree(leftover, ignore_errors=True)
        time.sleep(0.01)
