"""The command itself, run as a program in a directory of its own and in an environment that the test gives."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from service.cli.commands import run
from service.settings.settings import Settings

CHECKOUT = Path(__file__).parent.parent.parent


class Process(subprocess.Popen[str]):
    """A command that does not outlive the test that fails over it."""

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *rest)


@dataclass(frozen=True)
class Ended:
    """What a command left: exit status, stdout, stderr."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Quarry:
    """Runs `quarry`: `quarry("migrate", "show", ENVIRONMENT="test")`."""

    directory: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, given: str | None = None, **variables: str) -> Ended:
        with self.start(*arguments, stdin=subprocess.PIPE, **variables) as process:
            try:
                out, err = process.communicate(given, timeout=60)
            finally:
                process.kill()
        assert "Traceback" not in err, err
        return Ended(process.returncode, out, err)

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL, **variables: str) -> subprocess.Popen[str]:
        """The command as a process, which the test ends."""
        return Process(
            [sys.executable, "-m", "service", *arguments], cwd=self.directory, text=True, encoding="utf-8",
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "COLUMNS": "200", **self.variables, **variables},
        )  # fmt: skip

    def given(self, **variables: str) -> Quarry:
        """The same with other variables, alone."""
        return replace(self, variables=variables)

    def copied(self) -> tuple[Path, Quarry]:
        """A copy of the checkout, and the command that runs from it: for tests that change its files."""
        copy = self.directory / "checkout"
        for name in ("src", "sql", "seeds"):
            shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(CHECKOUT / "yoyo.ini", copy)
        return copy, replace(self, variables={**self.variables, "PYTHONPATH": str(copy / "src")})


@pytest.fixture
def quarry(settings: Settings, tmp_path: Path) -> Quarry:
    """The command on this test's own database, with a login for every role and the keys of the test."""
    names = ("database_url", "database_migration_url", "database_platform_url", "pii_keys", "pii_index_key")
    return Quarry(tmp_path, {name.upper(): getattr(settings, name).get_secret_value() for name in names})


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Quarry]:
    """The command where no server is named, so that it uses one of its own."""
    command = Quarry(tmp_path)
    yield command
    if (tmp_path / ".quarry").exists():
        command("db", "stop")
    record = tmp_path / ".quarry" / "outside"
    if record.exists():
        shutil.rmtree(Path("/var/tmp") / record.read_text().strip(), ignore_errors=True)


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Ended]:
    """The same command without a process of its own, for the many ways in which one check may fail."""

    def command(*arguments: str, **variables: str) -> Ended:
        for name in os.environ.keys() - {"PATH"}:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["quarry", *arguments])
        status = run()
        return Ended(status, *capfd.readouterr())

    return command


@pytest.fixture
def local(quarry: Quarry, inside: Callable[..., Ended]) -> Callable[..., Ended]:
    """`inside` on this test's own database."""
    return lambda *arguments, **variables: inside(*arguments, **{**quarry.variables, **variables})


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """What a function answers once that is true, or a failure after a minute."""
    return _until


@pytest.fixture
def says() -> Callable[[subprocess.Popen[str], str], re.Match[str]]:
    """Reads a process's stderr up to the line that matches."""
    return _says


def _until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (answer := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return answer


def _says(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError("".join(said))
