"""Starts the server of a state directory for the first process that uses it, and stops it when the last such process ends."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from service.embedded import cluster, postmaster, state
from service.embedded.binaries import DEFAULT_MAJOR, find_binaries, reachable_binaries
from service.embedded.errors import EmbeddedError, reported
from service.embedded.placement import Placement, data_directories, place


@dataclass(frozen=True)
class Server:
    """A running server, and the address and password with which its superuser connects.

    `directory` is the state directory, `data` the data directory (PGDATA) and `pid` the process id of the postmaster. `binaries`
    is the directory with psql, pg_dump and the other programs.
    """

    host: str
    port: int
    superuser: str
    password: str = field(repr=False)
    directory: Path
    data: Path
    pid: int
    binaries: Path

    def url(self, *, user: str | None = None, password: str | None = None, database: str = "postgres") -> str:
        """The connection URL for `user`. Without `user` it is for the superuser and includes the password.

        The URL contains sslmode=disable, because the server has no TLS. Without it, each connection would first ask for TLS.
        """
        if user in (None, self.superuser) and password is None:
            password = self.password
        secret = "" if password is None else ":" + quote(password, safe="")
        login = quote(user or self.superuser, safe="") + secret
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(database, safe='')}?sslmode=disable"


def _say(line: str) -> None:
    print(line, file=sys.stderr)


@contextmanager
def running(
    directory: Path,
    *,
    major: int = DEFAULT_MAJOR,
    port: int | None = None,
    options: Mapping[str, str] = {},
    keep: bool = False,
    say: Callable[[str], None] = _say,
) -> Iterator[Server]:
    """The server of the state directory `directory`. It is started if it is not running.

    At the end of the block, the server is stopped if no other process uses it. With `keep` it runs until `stop` is called, even
    if processes that use it later do not set `keep`. A new server is started with `options` (settings of PostgreSQL) and on
    `port`; if that is None, on the port of the last start if it is free, else on any free port. If the server already runs,
    `options` have no effect, and another `port` than its own is an error. Raises EmbeddedError if the server can't be used.
    """
    directory = directory.resolve()
    with ExitStack() as locks:
        with reported(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            start_lock = locks.enter_context(state.open_private(directory / "start.lock"))
            users_lock = locks.enter_context(state.open_private(directory / "users.lock"))
            with state.exclusive(start_lock):
                _stop_other_majors(directory, major, users_lock)
                server = _serve(directory, major, port, options, say)
                # Processes that use the server share this lock. It is taken after the start, because the start may fail.
                state.share(users_lock)
                if keep:
                    state.write(directory / "keep", "Left running until it is stopped explicitly.\n")
        try:
            yield server
        finally:
            with state.exclusive(start_lock):
                if _is_unused(directory, users_lock):
                    postmaster.shut_down(server.data)


def stop(directory: Path) -> bool:
    """Stop the server of the state directory `directory`, even if it is in use. Returns False if no server was running."""
    directory = directory.resolve()
    if not directory.is_dir():
        return False
    with (
        reported(directory),
        state.open_private(directory / "start.lock") as start_lock,
        state.exclusive(start_lock),
    ):
        stopped = [postmaster.shut_down(data) for data in data_directories(directory)]
    return any(stopped)


def _is_unused(directory: Path, users_lock: BinaryIO) -> bool:
    return state.is_unused(users_lock) and not (directory / "keep").exists()


def _stop_other_majors(directory: Path, major: int, users_lock: BinaryIO) -> None:
    """Stop the servers of `directory` with another major version than `major`. Raises EmbeddedError if one is in use."""
    for data in data_directories(directory):
        other = data.name.removeprefix("pg")
        if other != str(major) and postmaster.find(data) is not None:
            if not _is_unused(directory, users_lock):
                raise EmbeddedError(f"the server of {directory} runs PostgreSQL {other}, not {major}", "stop it first")
            postmaster.shut_down(data)


def _serve(
    directory: Path, major: int, port: int | None, options: Mapping[str, str], say: Callable[[str], None]
) -> Server:
    """Start the server of `directory` if it is not running, and return it. The caller must hold the lock start.lock."""
    binaries = find_binaries(major)
    placement = place(directory, major, say)
    found = postmaster.find_settled(placement.data)
    if found is None:
        executables = reachable_binaries(binaries, major, directory, placement.account, say)
        found = _start(directory, placement, executables, port, options)
    elif port not in (None, found.port):
        raise EmbeddedError(
            f"the server of {directory} already runs on port {found.port}",
            f"stop it to have it on port {port}, or leave the port out",
        )
    password = state.read(directory / "password")
    if password is None:
        raise EmbeddedError(
            f"{directory / 'password'} is missing while its server runs",
            f"end it with `kill -INT {found.pid}` and try again",
        )
    return Server(
        postmaster.HOST,
        found.port,
        cluster.SUPERUSER,
        password,
        directory,
        placement.data,
        found.pid,
        binaries,
    )


def _start(
    directory: Path, placement: Placement, binaries: Path, port: int | None, options: Mapping[str, str]
) -> postmaster.Postmaster:
    postmaster.remove_misleading_pid_file(placement.data)
    known = state.read(directory / "password")
    password = known or secrets.token_urlsafe(24)
    if not placement.data.exists():
        cluster.create(placement, binaries, password)
    elif known is None:
        cluster.reset_password(placement, binaries, password)
    # The password is written after the data directory is created. If the process is killed in between, the next start resets it.
    state.write(directory / "password", password)
    (directory / "keep").unlink(missing_ok=True)
    last_port = int(state.read(directory / "port") or 0)
    found = postmaster.start(placement, binaries, port, last_port, options)
    state.write(directory / "port", str(found.port))
    return found
