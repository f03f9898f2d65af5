"""Creates the data directory of PostgreSQL (a database cluster), and resets the password of its superuser."""

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
"""Options of initdb for the locale C.UTF-8, which is built into PostgreSQL. Like the locale C it sorts by code points. Unlike C
it also converts non-ASCII letters to upper and lower case, in the same way on every operating system."""
_LETTERS_SINCE = 17


def create(placement: Placement, binaries: Path, password: str) -> None:
    """Create the data directory. It is created under another name and then renamed, so that it exists only if it is complete."""
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
    """Set a new password for the superuser of an existing data directory. Used if the file with the old password is missing."""
    single_user = ("--single", "-D", str(placement.data), "-c", "exit_on_error=on", "postgres")
    statement = f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n"
    run(placement.account, binaries / "postgres", *single_user, given=statement)


def _remove(leftover: Path) -> None:
    """Remove a directory that a killed process left in `create`. Retry for 10 seconds: its initdb may still be writing."""
    deadline = time.monotonic() + 10.0
    while leftover.exists() and time.monotonic() < deadline:
        shutil.rmtree(leftover, ignore_errors=True)
        time.sleep(0.01)
