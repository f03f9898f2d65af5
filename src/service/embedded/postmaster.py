"""Finds, starts and stops the postmaster, which is the main process of a PostgreSQL server."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from service.embedded.errors import EmbeddedError, reason
from service.embedded.placement import Placement
from service.embedded.processes import exists, reap, surroundings, works_in
from service.embedded.state import open_private, read

HOST = "127.0.0.1"
_START_SECONDS = 60.0
_RETRY_SECONDS = 20.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Postmaster:
    """A running postmaster. `ready` is false while the server is still starting and does not accept connections."""

    pid: int
    port: int
    ready: bool


def find(data: Path) -> Postmaster | None:
    """The running postmaster of the data directory `data`, as described in the file postmaster.pid; None if there is none."""
    lines = (read(data / "postmaster.pid") or "").splitlines()
    if len(lines) < 4 or not lines[0].isdigit() or not works_in(int(lines[0]), data):
        return None
    return Postmaster(int(lines[0]), int(lines[3]), len(lines) > 7 and lines[7].strip() == "ready")


def find_settled(data: Path) -> Postmaster | None:
    """The postmaster of the data directory `data`, after waiting until it accepts connections; None if it is not running."""
    deadline = time.monotonic() + _START_SECONDS
    while (found := find(data)) is not None and not found.ready:
        if time.monotonic() > deadline:
            raise EmbeddedError(f"PostgreSQL (process {found.pid}) neither gets ready nor ends", f"see {data.parent}")
        time.sleep(_POLL_SECONDS)
    return found


def start(
    placement: Placement, binaries: Path, port: int | None, last_port: int, options: Mapping[str, str]
) -> Postmaster:
    """Start the server, and wait until it is ready. If `port` is None, use `last_port` if that is free, else any free port."""
    log = placement.data.parent / f"server-{placement.data.name.removeprefix('pg')}.log"
    began = time.monotonic()
    while True:
        with open_private(log) as output:
            log_start = output.seek(0, os.SEEK_END)
            process = _spawn(placement, binaries, _choose_port(port, last_port), options, output)
        try:
            found = _await_ready(process, placement.data, log, began + _START_SECONDS)
        except BaseException:
            process.send_signal(signal.SIGQUIT)
            process.wait()
            raise
        if found is not None:
            # A return code is set, because the server keeps running after this Popen object is deleted. Without a return code,
            # Popen would warn that a process is still running.
            process.returncode = 0
            return found
        said = log.read_bytes()[log_start:].decode(errors="replace")
        # After two kinds of failure the start is repeated, because they pass: backends of a killed postmaster are still running,
        # or another process has just taken the port.
        passing = re.search("pre-existing shared memory|Address already in use", said)
        if not passing or time.monotonic() > began + _RETRY_SECONDS:
            raise EmbeddedError(
                f"PostgreSQL did not start: {reason(said)}", f"see {log}; correct that, or set DATABASE_URL"
            )
        time.sleep(10 * _POLL_SECONDS)


def shut_down(data: Path) -> bool:
    """Stop the server of the data directory `data`, and wait until it has ended. Returns False if no server was running."""
    found = find(data)
    if found is None:
        return False
    for number, seconds in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0)):
        with suppress(ProcessLookupError):
            os.kill(found.pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not works_in(found.pid, data):
                reap(found.pid)
                return True
            time.sleep(_POLL_SECONDS)
    raise EmbeddedError(f"PostgreSQL (process {found.pid}) does not stop", f"end it with `kill -KILL {found.pid}`")


def remove_misleading_pid_file(data: Path) -> None:
    """Remove the file postmaster.pid in `data` if it is damaged, or if its pid is now that of a process that is not this server.

    If no process has the pid, the file is kept: PostgreSQL needs it to find backends of the ended server that are still running.
    """
    path = data / "postmaster.pid"
    if path.exists():
        # The number may be negative: PostgreSQL in single-user mode writes its pid with a minus sign.
        first = re.match(r"-?([1-9]\d*)\n", path.read_text())
        if first is None or (exists(int(first[1])) and not works_in(int(first[1]), data)):
            path.unlink(missing_ok=True)


def _choose_port(port: int | None, last_port: int) -> int:
    chosen = _free_port(port) if port else (_free_port(last_port) or _free_port(0))
    if chosen is None:
        raise EmbeddedError(
            f"port {port} on {HOST} is taken or not allowed", "choose another, or none to get a free one"
        )
    return chosen


def _free_port(port: int) -> int | None:
    """Return `port` if it is free, else None. If `port` is 0, return any free port."""
    with socket.socket() as probe:
        # As in PostgreSQL: with this option, a port counts as free although connections of the previous server are in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return None
        return int(probe.getsockname()[1])


def _spawn(
    placement: Placement, binaries: Path, port: int, options: Mapping[str, str], output: BinaryIO
) -> subprocess.Popen[bytes]:
    # A backup locks all tables at the same time, on two connections. The server has room for 512 locks for each of its 100
    # connections, together. That is enough for a thousand tenants with their own schemas.
    settings = {"timezone": "UTC", "log_timezone": "UTC", "max_locks_per_transaction": "512", **options}
    settings |= {"listen_addresses": HOST, "port": str(port), "unix_socket_directories": ""}
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return subprocess.Popen(
        [binaries / "postgres", "-D", placement.data, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        **surroundings(placement.account),
    )


def _await_ready(process: subprocess.Popen[bytes], data: Path, log: Path, deadline: float) -> Postmaster | None:
    """Wait until the started server `process` accepts connections, and return it; None if the process ends before that."""
    while process.poll() is None:
        found = find(data)
        if found is not None and found.pid == process.pid and found.ready:
            return found
        if time.monotonic() > deadline:
            raise EmbeddedError(f"PostgreSQL is not ready after {_START_SECONDS:.0f} s", f"see {log}")
        time.sleep(_POLL_SECONDS)
    return None
