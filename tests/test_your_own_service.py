"""docs/your-own-service.md, followed to the letter in a copy of the checkout: one domain goes, another comes and is served."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from arranging.documents import CHECKOUT, blocks

_PROGRAMS = ("lint-imports", "mypy", "properdocs", "quarry", "ruff")


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A copy of the checkout with a repository of its own, in which `make install` has run: with the packages of these tests."""
    # The embedded server's account has to get in.
    directory = Path(tempfile.mkdtemp(prefix="quarry-own-", dir="/var/tmp"))
    directory.chmod(0o755)
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=CHECKOUT, check=True, capture_output=True, text=True
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (CHECKOUT / name).exists():
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(CHECKOUT / name, directory / name)
        author = ("-c", "user.name=tests", "-c", "user.email=tests@example.com")
        for command in (("init", "-q"), ("add", "-A"), (*author, "commit", "-q", "-m", "A clone")):
            subprocess.run(["git", *command], cwd=directory, check=True)
        _install(directory)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _install(directory: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory / ".venv"], check=True)
    packages = next((directory / ".venv").glob("lib/python*/site-packages"))
    outer = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "own.pth").write_text(f"{directory / 'src'}\n{outer}\n")
    for program in _PROGRAMS:
        text = Path(sys.executable).with_name(program).read_bytes()
        own = directory / ".venv" / "bin" / program
        own.write_bytes(re.sub(rb"\A#!.*", f"#!{directory}/.venv/bin/python".encode(), text))
        own.chmod(0o755)


@dataclass
class Reader:
    """Somebody who does what the page says, in `directory`; the service has `port`."""

    directory: Path
    port: int

    @property
    def variables(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory), "PORT": str(self.port), "WORKERS": "1"}

    def write(self, path: str, text: str) -> None:
        (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
        (self.directory / path).write_text(text, encoding="utf-8")

    def apply(self, patch: str) -> None:
        subprocess.run(["git", "apply", "-"], cwd=self.directory, input=patch, text=True, check=True)

    def type(self, text: str) -> str:
        # pip is not what is tried here: what it would install is there.
        for stamp in (".installed", ".served"):
            (self.directory / ".venv" / stamp).touch()
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text.replace("localhost:8000", f"localhost:{self.port}")],
            cwd=self.directory, env=self.variables, text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """`make run` for the length of the block."""
        with subprocess.Popen(
            ["make", "run"], cwd=self.directory, env=self.variables, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            try:
                said = ""
                while "Quarry serves on" not in said:
                    line = process.stderr.readline()
                    assert line, said
                    said += line
                yield
            finally:
                os.killpg(process.pid, signal.SIGINT)
                process.stderr.read()


def test_the_tutorial_leads_to_a_service_of_another_trade(scratch: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    reader, printed = Reader(scratch, port), ""
    with contextlib.ExitStack() as stack:
        for block in blocks("docs/your-own-service.md"):
            text = "\n".join(block.lines) + "\n"
            if block.path:
                reader.write(block.path, text)
            elif block.language == "diff":
                reader.apply(text)
            elif block.language == "text":
                assert text == printed
            elif text == "make run\n":
                stack.enter_context(reader.serving())
            elif not block.is_marked:
                printed = reader.type(text)
    assert printed.count("\n") == 4
    assert not (scratch / "src/service/repos/campaigns.py").exists()
