"""State directories for the tests of the embedded server, and what they ask of a server from outside."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from service.embedded.binaries import find_binaries
from service.embedded.server import Server, running, stop

USER = """
import sys
from pathlib import Path
from service.embedded.server import running
with running(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state directory whose data exist, shared by the tests; each leaves its server stopped."""
    directory = tmp_path_factory.mktemp("embedded") / "state"
    with running(directory, say=lambda _: None):
        pass
    yield directory
    _forget(directory)


@pytest.fixture
def unused(tmp_path: Path) -> Iterator[Path]:
    """A state directory that does not exist yet."""
    yield tmp_path / "state"
    _forget(tmp_path / "state")


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A state directory that every account can enter."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
        _forget(directory)


@pytest.fixture
def query() -> Callable[[str, str], str]:
    """What psql prints for a statement that it runs at a URL."""
    return _query


@pytest.fixture
def listens() -> Callable[[Server], bool]:
    """Whether something answers at a server's port."""
    return _listens


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], bool]:
    """Whether a condition comes true within half a minute."""
    return _eventually


@pytest.fixture
def home_of() -> Callable[[Path], Path]:
    """Where the data of a state directory are."""
    return _home_of


@pytest.fixture
def user_process() -> Callable[[Path], AbstractContextManager[subprocess.Popen[str]]]:
    """Another process that uses the server of a directory until its standard input is closed.

    It prints the number of the postmaster when it has one.
    """
    return _user_process


def _query(url: str, statement: str) -> str:
    command = [str(find_binaries() / "psql"), "--no-psqlrc", "-At", url, "-c", statement]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def _listens(server: Server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((server.host, server.port)) == 0


def _eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30.0
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _home_of(directory: Path) -> Path:
    record = directory / "outside"
    return Path("/var/tmp") / record.read_text() if record.exists() else directory


def _forget(directory: Path) -> None:
    stop(directory)
    if _home_of(directory) != directory:
        shutil.rmtree(_home_of(directory))


@contextmanager
def _user_process(directory: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", USER, str(directory)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()
