"""A contender as a server process: `python -m bench.serving <name>`, the database in BENCH_DATABASE_URL."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import uvicorn

from bench.installation import Installation

_ADDRESS = "BENCH_DATABASE_URL"
_ROOT = Path(__file__).resolve().parent.parent
_GRACE = 10.0


class Service(NamedTuple):
    """A contender's process."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU it has used so far; 0 where there is no /proc."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def process(module: str, *arguments: str, errors: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process of this package; what it says on stderr goes to `errors`. It is ended with the block."""
    with (
        errors.open("w") as sink,
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments], cwd=_ROOT, env={**os.environ, **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, text=True,
        ) as child,
    ):  # fmt: skip
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(_GRACE)
            except subprocess.TimeoutExpired:
                child.kill()


@contextmanager
def served(installation: Installation, label: str, environment: Mapping[str, str]) -> Iterator[Service]:
    """The contender `label` (its part before a `:` names the application) in a process."""
    errors = installation.directory / f"{label.replace(':', '-')}.log"
    keys = {name.upper(): key for name, key in installation.keys.items()}
    environment = {_ADDRESS: installation.url, **keys, **environment}
    with process("bench.serving", label.partition(":")[0], errors=errors, **environment) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line.strip().isdigit():
            raise RuntimeError(f"{label} did not start:\n{errors.read_text()[-2000:]}")
        yield Service(int(line), child.pid)


def main(name: str) -> None:
    """Serve on a free port of the loopback interface, and say which."""
    # Only here: the process that measures needs no application.
    from bench.contenders import APPLICATIONS  # noqa: PLC0415

    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        APPLICATIONS[name](os.environ[_ADDRESS]), loop="uvloop", http="httptools", workers=1, lifespan="on",
        log_level="warning", access_log=False, server_header=False, proxy_headers=False,
    )  # fmt: skip
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main(sys.argv[1])
