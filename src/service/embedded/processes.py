"""Starts PostgreSQL's programs independently of the caller's environment, and finds out whether a process still exists."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.embedded.errors import EmbeddedError, reason
from service.embedded.placement import Account


def run(account: Account | None, program: Path, *arguments: str, given: str = "") -> None:
    """Run a program to its end, with the text `given` on its standard input. Raises EmbeddedError if it fails."""
    done = subprocess.run(
        [program, *arguments],
        check=False,
        input=given.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **surroundings(account),
    )
    if done.returncode != 0:
        raise EmbeddedError(
            f"{program.name} failed: {reason(done.stdout.decode(errors='replace'))}",
            "correct that, or set DATABASE_URL",
        )


_KEPT = frozenset({"PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR"})
"""Environment variables that are passed on, because PostgreSQL's programs may need them."""


def surroundings(account: Account | None) -> dict[str, Any]:
    """The Popen arguments with which a child process does not inherit this process's environment, directory and account."""
    # Other programs may be able to read the environment of the server, so it must not contain our keys and passwords.
    environment = {name: value for name, value in os.environ.items() if name in _KEPT}
    arguments: dict[str, Any] = {"env": environment | {"LC_ALL": "C", "TZ": "UTC"}, "cwd": "/"}
    if account is not None:
        arguments |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return arguments


def works_in(pid: int, data: Path) -> bool:
    """Whether process `pid` is running and is a PostgreSQL server for the data directory `data`."""
    if not Path("/proc/self").exists():
        command_line = ["ps", "-ww", "-o", "stat=", "-o", "command=", "-p", str(pid)]
        shown = subprocess.run(command_line, check=False, capture_output=True, text=True).stdout
        return not shown.lstrip().startswith("Z") and "postgres" in shown
    process = Path("/proc") / str(pid)
    try:
        # The command line is empty for a zombie: a process that has ended, but whose parent has not waited for it yet.
        command = (process / "cmdline").read_bytes().split(b"\0")
        if Path(os.fsdecode(command[0])).name not in ("postgres", "postmaster"):
            return False
        return (process / "cwd").samefile(data)
    except PermissionError:
        return os.fsencode(data) in command
    except (FileNotFoundError, ProcessLookupError):
        return False


def exists(pid: int) -> bool:
    """Whether a process `pid` exists. A child of this process that has ended (a zombie) does not count."""
    reap(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def reap(pid: int, options: int = 0) -> None:
    """Wait for the end of process `pid` if it is a child of this process, so that it does not remain as a zombie."""
    with suppress(ChildProcessError):
        os.waitpid(pid, options)
