"""A server and its users: who starts it, who shares it, and whose leaving stops it."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from service.embedded.errors import EmbeddedError
from service.embedded.server import Server, running, stop

Query = Callable[[str, str], str]
Listens = Callable[[Server], bool]
UserProcess = Callable[[Path], AbstractContextManager[subprocess.Popen[str]]]


def server_pid(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_first_start_makes_a_server_that_refuses_a_wrong_password(unused: Path, query: Query) -> None:
    with running(unused) as server:
        assert query(server.url(), "SELECT current_user") == "postgres"
        with pytest.raises(RuntimeError, match="password authentication failed"):
            query(server.url(user="postgres", password="wrong"), "SELECT 1")
        assert query(server.url(), "SELECT DISTINCT auth_method FROM pg_hba_file_rules") == "scram-sha-256"
        assert server.password not in repr(server)
    assert stat.S_IMODE((unused / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE(unused.stat().st_mode) == 0o700


def test_second_start_finds_data_and_port_of_the_first(state: Path, query: Query) -> None:
    with running(state) as first:
        query(first.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    with running(state) as second:
        assert query(second.url(), "TABLE kept") == "42"
        assert (second.port, second.password) == (first.port, first.password)
        assert second.pid != first.pid


def test_last_user_to_leave_stops_the_server(state: Path, query: Query, listens: Listens) -> None:
    with running(state) as first:
        with running(state) as second:
            assert second.pid == first.pid
        assert query(first.url(), "SELECT 1") == "1"
    assert not listens(first)
    with pytest.raises(ProcessLookupError):
        os.kill(first.pid, 0)


def test_user_that_started_the_server_leaves_it_to_the_one_that_stays(
    state: Path, query: Query, listens: Listens, user_process: UserProcess
) -> None:
    with ExitStack() as longer:
        with running(state) as server:
            other = longer.enter_context(user_process(state))
            assert server_pid(other) == server.pid
        assert query(server.url(), "SELECT 1") == "1"
        # The other has to notice that the server is gone although it is a child of this process.
        other.communicate(timeout=20)
    assert not listens(server)


def test_processes_that_enter_at_once_share_one_server(unused: Path, user_process: UserProcess) -> None:
    with user_process(unused) as first, user_process(unused) as second:
        assert server_pid(first) == server_pid(second)
        first.communicate()
        second.communicate()
    assert not stop(unused)


def test_kept_server_runs_until_it_is_stopped(state: Path, listens: Listens) -> None:
    with running(state, keep=True) as server:
        pass
    with running(state) as later:
        assert later.pid == server.pid
    assert listens(server)
    assert stop(state)
    assert not listens(server)
    assert not stop(state)


def test_server_is_not_kept_because_one_before_it_was(state: Path, listens: Listens) -> None:
    with running(state, keep=True):
        pass
    stop(state)
    with running(state) as server:
        pass
    assert not listens(server)


def test_server_of_a_killed_user_is_stopped_by_the_next(
    state: Path, listens: Listens, user_process: UserProcess
) -> None:
    with user_process(state) as other:
        pid = server_pid(other)
        other.kill()
        other.wait()
    with running(state) as server:
        assert server.pid == pid
    assert not listens(server)


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_exception_in_the_body_stops_the_server(state: Path, listens: Listens, failure: type[BaseException]) -> None:
    with pytest.raises(failure), running(state) as server:
        raise failure
    assert not listens(server)


def test_another_port_than_that_of_the_running_server_is_refused(state: Path) -> None:
    with running(state) as server:
        refusal = pytest.raises(EmbeddedError, match=f"already runs on port {server.port}")
        with refusal, running(state, port=server.port + 1):
            pass
        with running(state, port=server.port) as same:
            assert same.pid == server.pid


def test_password_that_is_lost_while_its_server_runs_is_reported(state: Path) -> None:
    with running(state) as server:
        lost = (state / "password").rename(state / "lost")
        with pytest.raises(EmbeddedError, match="password is missing") as raised, running(state):
            pass
        lost.rename(state / "password")
    assert raised.value.remedy == f"end it with `kill -INT {server.pid}` and try again"


def test_each_major_version_has_data_of_its_own(state: Path, query: Query) -> None:
    refusal = pytest.raises(EmbeddedError, match="PostgreSQL 18, not 16")
    with running(state) as newer, refusal, running(state, major=16):
        pass
    with running(state, major=16) as older:
        assert query(older.url(), "SHOW server_version").startswith("16.")
        assert older.data != newer.data


def test_unused_server_makes_way_for_another_major_version(
    state: Path, listens: Listens, user_process: UserProcess
) -> None:
    with user_process(state) as other:
        server_pid(other)
        other.kill()
        other.wait()
    with running(state, major=16) as older:
        assert listens(older)
    assert not stop(state)


def test_url_quotes_what_it_is_given() -> None:
    server = Server("127.0.0.1", 5433, "postgres", "p/w", Path("/s"), Path("/s/pg18"), 1, Path("/b"))
    assert server.url() == "postgresql://postgres:p%2Fw@127.0.0.1:5433/postgres?sslmode=disable"
    assert (
        server.url(user="a b", password="@", database="d?")
        == "postgresql://a%20b:%40@127.0.0.1:5433/d%3F?sslmode=disable"
    )
    assert server.url(user="reader") == "postgresql://reader@127.0.0.1:5433/postgres?sslmode=disable"
