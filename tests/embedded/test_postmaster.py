"""The postmaster: its start, its port and its options, and what a crash or a failure leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from service.embedded.binaries import find_binaries
from service.embedded.errors import EmbeddedError
from service.embedded.postmaster import remove_misleading_pid_file
from service.embedded.server import Server, running, stop

Query = Callable[[str, str], str]


def test_server_listens_on_the_loopback_address_only(state: Path, query: Query) -> None:
    with running(state) as server:
        assert query(server.url(), "SHOW listen_addresses") == "127.0.0.1"
        assert query(server.url(), "SHOW unix_socket_directories") == ""


def test_server_is_out_of_reach_of_the_terminals_interrupt(state: Path) -> None:
    with running(state) as server:
        assert os.getsid(server.pid) == server.pid


def test_server_starts_again_after_its_postmaster_was_killed(
    state: Path,
    query: Query,
    listens: Callable[[Server], bool],
    eventually: Callable[[Callable[[], bool]], bool],
) -> None:
    with running(state) as killed:
        busy = "SELECT count(*) FROM generate_series(1, 10000000)"
        psql = [str(find_binaries() / "psql"), "-At", killed.url(), "-c", busy]
        with subprocess.Popen(psql, stderr=subprocess.DEVNULL):
            active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate_series%'"
            assert eventually(lambda: query(killed.url(), active) == "2")
            os.kill(killed.pid, signal.SIGKILL)
            assert eventually(lambda: not listens(killed))
            with running(state) as server:
                assert server.pid != killed.pid
                assert query(server.url(), "SELECT 1") == "1"


@pytest.mark.parametrize(
    "content",
    [f"{os.getpid()}\n/elsewhere\n0\n5432\n", "0\n/elsewhere\n0\n5432\n", ""],
    ids=["alive", "nobody", "empty"],
)
def test_misleading_pid_file_does_not_prevent_a_start(state: Path, query: Query, content: str) -> None:
    with running(state) as server:
        pass
    (server.data / "postmaster.pid").write_text(content)
    with running(state) as server:
        assert query(server.url(), "SELECT 1") == "1"


def test_pid_file_of_a_live_server_stays(state: Path) -> None:
    with running(state) as server:
        remove_misleading_pid_file(server.data)
        assert (server.data / "postmaster.pid").exists()


def test_pid_file_of_a_process_that_is_gone_stays(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:
        os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
        (tmp_path / "postmaster.pid").write_text(f"{gone.pid}\n{tmp_path}\n0\n5432\n")
        remove_misleading_pid_file(tmp_path)
    assert (tmp_path / "postmaster.pid").exists()


@pytest.mark.parametrize("port", [-1, 65536])
def test_impossible_port_is_refused(state: Path, port: int) -> None:
    refusal = pytest.raises(EmbeddedError, match=f"port {port} .* is taken or not allowed")
    with refusal, running(state, port=port):
        pass


def test_taken_port_is_named_in_one_line(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refusal = pytest.raises(EmbeddedError, match=f"port {port} .* is taken")
        with refusal as raised, running(state, port=port):
            pass
    assert "\n" not in str(raised.value)
    assert raised.value.remedy == "choose another, or none to get a free one"


def test_port_of_the_last_start_gives_way_when_it_is_taken(state: Path) -> None:
    with running(state) as first:
        pass
    with socket.create_server((first.host, first.port)), running(state) as second:
        assert second.port != first.port


def test_options_reach_the_server(state: Path, query: Query) -> None:
    with running(state, options={"work_mem": "7MB"}) as server:
        assert query(server.url(), "SHOW work_mem") == "7MB"
        assert query(server.url(), "SHOW timezone") == "UTC"


def test_failed_start_tells_the_reason_and_the_log(state: Path) -> None:
    failure = pytest.raises(EmbeddedError, match="no_such_setting")
    with failure as raised, running(state, options={"no_such_setting": "1"}):
        pass
    assert "server-18.log" in raised.value.remedy
    assert not stop(state)
