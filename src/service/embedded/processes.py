"""The processes of PostgreSQL: started free of the caller's surroundings, recognised by their number."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.embedded.errors import EmbeddedError, reason
from service.embedded.placement import Account


def run(account: Account | None, program: Path, *arguments: str, given: str = "") -> None:
    """Run a program to its end, with `given` as its input. Raises EmbeddedError when it fails."""
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
"""Variables that PostgreSQL's programs may need."""


def surroundings(account: Account | None) -> dict[str, Any]:
    """The Popen arguments that make a child independent of the caller's environment, directory and rights."""
    # A server lives long and its environment can be looked into: keys and passwords of the command stay out of it.
    environment = {name: value for name, value in os.environ.items() if name in _KEPT}
    arguments: dict[str, Any] = {"env": environment | {"LC_ALL": "C", "TZ": "UTC"}, "cwd": "/"}
    if account is not None:
        arguments |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return arguments


def works_in(pid: int, data: Path) -> bool:
    """Whether process `pid` lives and is a PostgreSQL that works in `data`."""
    if not Path("/proc/self").exists():
        command_line = ["ps", "-ww", "-o", "stat=", "-o", "command=", "-p", str(pid)]
        shown = subprocess.run(command_line, check=False, capture_output=True, text=True).stdout
        return not shown.lstrip().startswith("Z") and "postgres" in shown
    process = Path("/proc") / str(pid)
    try:
        # Empty for a zombie, as any process stays that nobody waits for.
        command = (process / "cmdline").read_bytes().split(b"\0")
        if Path(os.fsdecode(command[0])).name not in ("postgres", "postmaster"):
            return False
        return (process / "cwd").samefile(data)
    except PermissionError:
        return os.fsencode(data) in command
    except (FileNotFoundError, ProcessLookupError):
        return False


def exists(pid: int) -> bool:
    """Whether there is a process `pid`; a child of this process that has ended is gone."""
    reap(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def reap(pid: int, options: int = 0) -> None:
    """Wait for process `pid` if it is a child of this one, as otherwise it stays behind as a zombie."""
    with suppress(ChildProcessError):
        os.waitpid(pid, options)
