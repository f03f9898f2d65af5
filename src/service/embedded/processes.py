"""Starts PostgreSQL's programs with an environment of their own, and finds out whether a process still exists."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.embedded.errors import EmbeddedError, reason
from service.embedded.placement import Account


def run(account: Account | None, program: Path, *arguments: str, given: str = "") -> None:
    """Run a program as `account` until it ends, with `given` as its standard input. Raises EmbeddedError if it fails."""
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
"""The environment variables that PostgreSQL's programs may need. They inherit these from this process, and no others."""


def surroundings(account: Account | None) -> dict[str, Any]:
    """Arguments of Popen by which a child process gets a reduced environment, the directory `/`, and the account `account`."""
    # Other programs may be able to read the server's environment. So the variables with our keys and passwords are left out.
    environment = {name: value for name, value in os.environ.items() if name in _KEPT}
    arguments: dict[str, Any] = {"env": environment | {"LC_ALL": "C", "TZ": "UTC"}, "cwd": "/"}
    if account is not None:
        arguments |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return arguments


def works_in(pid: int, data: Path) -> bool:
    """Whether the process `pid` is a running PostgreSQL server of the data directory `data` (without /proc: of any directory)."""
    if not Path("/proc/self").exists():
        command_line = ["ps", "-ww", "-o", "stat=", "-o", "command=", "-p", str(pid)]
        shown = subprocess.run(command_line, check=False, capture_output=True, text=True).stdout
        return not shown.lstrip().startswith("Z") and "postgres" in shown
    process = Path("/proc") / str(pid)
    try:
        # A zombie (a process that has ended, but whose parent has not waited for it yet) has an empty command line.
        command = (process / "cmdline").read_bytes().split(b"\0")
        if Path(os.fsdecode(command[0])).name not in ("postgres", "postmaster"):
            return False
        return (process / "cwd").samefile(data)
    except PermissionError:
        return os.fsencode(data) in command
    except (FileNotFoundError, ProcessLookupError):
        return False


def exists(pid: int) -> bool:
    """Whether a process `pid` exists. A child of this process that has ended (a zombie) does not count as existing."""
    reap(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def reap(pid: int, options: int = 0) -> None:
    """If `pid` is a child of this process, wait for its end, so that no zombie remains. `options` are those of os.waitpid."""
    with suppress(ChildProcessError):
        os.waitpid(pid, options)
