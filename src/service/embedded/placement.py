"""Decides where the embedded PostgreSQL has its data directory, and which account runs it.

The data directory is in the server's state directory. Only if this process runs as root, and the account of PostgreSQL can't
enter the state directory, is it below /var/tmp.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service import files
from service.embedded.errors import EmbeddedError
from service.embedded.state import read, write

OWN_ACCOUNT = "quarry-postgres"
"""The account that runs the embedded server if this process runs as root. `nobody` is used only if this account can't be
created: other programs also run as `nobody` and could read the data."""
_OUTSIDE = Path("/var/tmp")


@dataclass(frozen=True)
class Account:
    """The unprivileged account that runs PostgreSQL if this process runs as root, because PostgreSQL refuses to run as root."""

    uid: int
    gid: int

    @classmethod
    def for_data(cls, data: Path) -> Account:
        """The owner of `data` if that directory exists; else OWN_ACCOUNT, which is created if possible, or else `nobody`."""
        if data.exists():
            owner = data.stat()
            return cls(owner.st_uid, owner.st_gid)
        found = _account(OWN_ACCOUNT) or _made(OWN_ACCOUNT) or _account("nobody")
        if found is None:
            raise EmbeddedError(
                f"PostgreSQL refuses root and there is no account '{OWN_ACCOUNT}' or 'nobody'",
                "run as an ordinary user, or set DATABASE_URL",
            )
        return found

    def enters(self, directory: Path) -> bool:
        """Whether the mode bits of `directory` and of all directories above it let the account enter."""
        for status in (step.stat() for step in (directory, *directory.parents)):
            shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
            if not status.st_mode >> shift & 1:
                return False
        return True


def _account(name: str) -> Account | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(found.pw_uid, found.pw_gid)


def _made(name: str) -> Account | None:
    """Create the account as a system account with a group of the same name; None if `useradd` can't do that here."""
    program = shutil.which("useradd") or "/usr/sbin/useradd"
    alone = ["--system", "--user-group", "--no-create-home", "--home-dir", "/", "--shell", "/bin/false"]
    # A lock is held, because one of two useradd processes that run at the same time can undo the other's changes.
    with suppress(OSError, subprocess.TimeoutExpired), files.alone(Path("/etc")):
        if (found := _account(name)) is not None:
            return found
        subprocess.run([program, *alone, name], check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    return _account(name)


@dataclass(frozen=True)
class Placement:
    """A data directory (PGDATA), and the account that PostgreSQL runs as; an `account` of None means the current one."""

    data: Path
    account: Account | None


def place(directory: Path, major: int, say: Callable[[str], None]) -> Placement:
    """Where the data of PostgreSQL `major` are, or are to be created, and as which account it runs.

    New data are created in `directory` if the account can enter it, or else in the directory that `outside` returns.
    """
    data = directory / f"pg{major}"
    if os.geteuid() != 0:
        return Placement(data, None)
    account = Account.for_data(data)
    if data.exists() or (account.enters(directory) and _recorded_outside(directory) is None):
        return Placement(data, account)
    data = outside(directory, say) / data.name
    return Placement(data, Account.for_data(data))


def outside(directory: Path, say: Callable[[str], None]) -> Path:
    """The directory below /var/tmp for the files that cannot be in `directory` itself. It is created if it is missing.

    It belongs to root, and every account may enter it.
    """
    chosen = _recorded_outside(directory)
    if chosen is None:
        chosen = _OUTSIDE / f"quarry-embedded-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}"
        say(
            f"quarry: PostgreSQL refuses to run as root, and unprivileged accounts cannot enter {directory} "
            f"or its program files: using {chosen}"
        )
    with suppress(FileExistsError):
        chosen.mkdir(mode=0o700)
    status = chosen.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0 or status.st_mode & 0o022:
        raise EmbeddedError(f"{chosen} is not a directory that only root can change", "remove it and try again")
    chosen.chmod(0o711)
    write(directory / "outside", chosen.name)
    return chosen


def data_directories(directory: Path) -> list[Path]:
    """The data directories of all major versions, `pg18` and the like."""
    homes = [home for home in (directory, _recorded_outside(directory)) if home is not None]
    return [data for home in homes for data in home.glob("pg[0-9]*")]


def _recorded_outside(directory: Path) -> Path | None:
    name = read(directory / "outside")
    # The name is validated, because root may be using a state directory whose files another user can change.
    return _OUTSIDE / name if name and re.fullmatch("quarry-embedded-[0-9a-f]{16}", name) else None
