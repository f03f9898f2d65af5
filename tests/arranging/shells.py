"""An operator's shell, in which `quarry` starts at once: each command is forked from a process that has its imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PREPARED = """
import json, os, signal, socket, sys
from service.cli.commands import run
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listener = socket.socket(socket.AF_UNIX)
listener.bind("prepared")
listener.listen()
print("ready", flush=True)
while True:
    caller, _ = listener.accept()
    if os.fork():
        caller.close()
        continue
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, given, _, _ = socket.recv_fds(caller, 1 << 20, 3)
    words, directory, environment = json.loads(data)
    for number, descriptor in enumerate(given):
        os.dup2(descriptor, number)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["quarry", *words]
    status = 70
    try:
        status = run()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        caller.send(bytes([status]))
        os._exit(status)
"""
_CALLING = """#!{python} -SE
import json, os, socket, sys
if sys.argv[1:2] == ["serve"]:
    # It is told to end by signals, and those reach a process of its own alone.
    os.execv("{python}", ["{python}", "-m", "service", *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as prepared:
    prepared.connect("{directory}/prepared")
    told = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(prepared, [told], [0, 1, 2])
    sys.exit(prepared.recv(1)[0])
"""


@dataclass(frozen=True)
class Shell:
    """Where its `quarry` is."""

    directory: Path

    def __call__(self, text: str, directory: Path, variables: Mapping[str, str]) -> str:
        """Run a script, which has to succeed; answers all that was printed."""
        path = f"{self.directory}:{os.environ['PATH']}"
        environment = {"PATH": path, "PYTHONUTF8": "1", "COLUMNS": "200", "HOME": str(directory), **variables}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=directory, env=environment, text=True, encoding="utf-8",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout


@contextmanager
def prepared(directory: Path) -> Iterator[Shell]:
    """A shell for the length of the block."""
    program = directory / "quarry"
    program.write_text(_CALLING.format(python=sys.executable, directory=directory), encoding="utf-8")
    program.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-c", _PREPARED], cwd=directory, env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield Shell(directory)
        finally:
            process.kill()
