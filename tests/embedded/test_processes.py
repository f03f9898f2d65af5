"""The processes of PostgreSQL: what reaches them of the caller, and how they are told from others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.embedded.errors import EmbeddedError
from service.embedded.processes import exists, run, works_in
from service.embedded.server import running


def test_callers_environment_does_not_reach_the_server(
    unused: Path, query: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = {
        "PGDATA": "/nowhere",
        "PGPORT": "x",
        "HOME": "/nowhere",
        "LANG": "xx_YY",
        "LC_ALL": "xx",
        "TZ": "Odd",
        "PII_KEYS": "a-secret-of-the-caller",
        "DATABASE_URL": "postgresql://u:a-secret-of-the-caller@h/d",
    }
    with monkeypatch.context() as patch:
        for name, value in odd.items():
            patch.setenv(name, value)
        with running(unused) as server:
            patch.undo()
            assert query(server.url(), "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C"
            assert b"a-secret-of-the-caller" not in Path(f"/proc/{server.pid}/environ").read_bytes()


def test_server_is_recognised_by_the_data_it_works_in(state: Path) -> None:
    with running(state) as server:
        assert works_in(server.pid, server.data)
        assert not works_in(server.pid, server.directory)
        assert not works_in(os.getpid(), Path.cwd())
    assert not works_in(server.pid, server.data)


def test_child_that_has_ended_does_not_exist_any_more() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert exists(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not exists(child.pid)


def test_failed_program_is_named_with_its_reason() -> None:
    script = "import sys; print('initdb: error: no space'); sys.exit(1)"
    with pytest.raises(EmbeddedError, match="failed: error: no space"):
        run(None, Path(sys.executable), "-c", script)
