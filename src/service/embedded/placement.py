"""Decides where the embedded PostgreSQL has its data directory, and which account runs PostgreSQL.

The data directory is in the state directory of the server (see embedded/__init__.py). There is one exception: if this process
runs as root, and the account that runs PostgreSQL can't enter the state directory, the data directory is below /var/tmp.
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
"""The account that runs the embedded server if this process runs as root. If it can't be created, `nobody` is used. That is
the second choice, because other programs that run as `nobody` can read the data."""
_OUTSIDE = Path("/var/tmp")


@dataclass(frozen=True)
class Account:
    """The unprivileged account that runs PostgreSQL if this process runs as root, because PostgreSQL refuses to run as root."""

    uid: int
    gid: int

    @classmethod
    def for_data(cls, data: Path) -> Account:
        """The owner of the directory `data`. If it does not exist: OWN_ACCOUNT, created if missing; or else `nobody`."""
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
        """Whether this account can enter `directory`, by the mode bits of `directory` and of all directories above it."""
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
    """Create the system account `name`, with a group of the same name, by `useradd`. Returns None if that fails."""
    program = shutil.which("useradd") or "/usr/sbin/useradd"
    alone = ["--system", "--user-group", "--no-create-home", "--home-dir", "/", "--shell", "/bin/false"]
    # The lock lets one process at a time run useradd: of two that run at the same time, one can undo the changes of the other.
    with suppress(OSError, subprocess.TimeoutExpired), files.alone(Path("/etc")):
        if (found := _account(name)) is not None:
            return found
        subprocess.run([program, *alone, name], check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
    return _account(name)


@dataclass(frozen=True)
class Placement:
    """A data directory (PGDATA), and the account that runs PostgreSQL; None stands for the account of this process."""

    data: Path
    account: Account | None


def place(directory: Path, major: int, say: Callable[[str], None]) -> Placement:
    """The data directory of PostgreSQL `major`, which may not exist yet, and the account that runs PostgreSQL.

    A new data directory is created in the state directory `directory`. If the account can't enter `directory`, or if an earlier
    start already used the directory that `outside` returns, the data directory is in that one.
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
    """The directory below /var/tmp for files that cannot be in the state directory `directory`. It is created if it is missing.

    The directory below /var/tmp belongs to root, and every account may enter it.
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
    """The data directories (`pg18` and so on, one for each major version) that belong to the state directory `directory`."""
    homes = [home for home in (directory, _recorded_outside(directory)) if home is not None]
    return [data for home in homes for data in home.glob("pg[0-9]*")]


def _recorded_outside(directory: Path) -> Path | None:
    name = read(directory / "outside")
    # The name in the file is checked: if root uses a state directory of another user, that user could write any path into it.
    return _OUTSIDE / name if name and re.fullmatch("quarry-embedded-[0-9a-f]{16}", name) else None
