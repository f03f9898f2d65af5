"""Data on stdout, messages on stderr, and an orderly end when either is gone or nobody waits any longer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def test_closed_pipe_ends_the_command_quietly(quarry: Any) -> None:
    with quarry.start("config", "show") as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_full_disk_is_one_line(quarry: Any) -> None:
    command = f"exec {sys.executable} -m service config show >/dev/full"
    done = subprocess.run(["/bin/sh", "-c", command], check=False, capture_output=True, text=True, cwd=quarry.directory)
    assert (done.returncode, done.stderr) == (1, "quarry: No space left on device\n")


def test_messages_do_not_reach_stdout_when_stderr_is_closed(quarry: Any) -> None:
    command = f"exec {sys.executable} -m service config show --json 2>&-"
    environment = {**os.environ, "DATABASE_PULL_MAX": "3"}
    done = subprocess.run(
        ["/bin/sh", "-c", command], check=False, capture_output=True, text=True, cwd=quarry.directory, env=environment
    )
    assert done.stdout.startswith("{")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_in_the_middle_of_the_imports_leaves_no_traceback(
    quarry: Any, until: Any, number: int, status: int
) -> None:
    with quarry.start("migrate", "show") as process:
        maps = Path(f"/proc/{process.pid}/maps")
        # Compiled modules that its imports load one after the other.
        until(lambda: "pydantic_core" in maps.read_text() or process.poll() is not None)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (status, "", "")


def test_confirmation_without_a_terminal_names_the_option(quarry: Any) -> None:
    answer = quarry("migrate", "fresh", given="yes\n")
    assert answer.status == 1
    assert answer.err.startswith("quarry: this drops every table of the service")
    assert "--yes" in answer.err


@pytest.mark.parametrize(("typed", "status", "said"), [(b"yes\n", 0, "taken"), (b"no\n", 1, "nothing was done")])
def test_confirmation_at_a_terminal_wants_a_yes(quarry: Any, typed: bytes, status: int, said: str) -> None:
    ours, theirs = os.openpty()
    with quarry.start("seed", "truncate", "base", stdin=theirs) as process:
        os.write(ours, typed)
        out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert (process.returncode, out) == (status, "")
    assert "Type yes to go on" in err
    assert said in err or "truncate.niches 0 rows" in err


def test_ctrl_c_at_a_confirmation_does_nothing(quarry: Any) -> None:
    ours, theirs = os.openpty()
    with quarry.start("migrate", "fresh", stdin=theirs) as process:
        assert process.stderr.read(20).startswith("This drops")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 130
    assert quarry("migrate", "pending").out == ""
