"""The server of a state directory. It is started for the first process that uses it, and stopped when the last one ends."""

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
    """A running server, and how to connect to it as its superuser.

    `directory` is the state directory, `data` the data directory (PGDATA), `pid` the process id of the postmaster and
    `binaries` the directory of psql, pg_dump and the other programs.
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

        The server has no TLS. The URL says so with sslmode=disable, which saves each connection a round trip.
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
    """The server of `directory`. It is started if it is not running. At the end it is stopped if no other process uses it.

    A server that already runs is used as it is: `options` (`-c name=value` of its command line) then have no effect, and a
    `port` other than its own is an error. Without `port` a new server gets the port of the last start if that is free, else
    any free port. With `keep` the server runs until `stop` is called, even if processes that use it later do not set `keep`.
    Raises EmbeddedError if the server cannot be started or used.
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
                # This process shares the lock only after the start, so that it does not count as a user if the start fails.
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
    """Stop the server of `directory` even if it is in use, and wait until it has ended; returns False if none was running."""
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
    """Stop servers of other major versions than `major`. Raises EmbeddedError if one is in use."""
    for data in data_directories(directory):
        other = data.name.removeprefix("pg")
        if other != str(major) and postmaster.find(data) is not None:
            if not _is_unused(directory, users_lock):
                raise EmbeddedError(f"the server of {directory} runs PostgreSQL {other}, not {major}", "stop it first")
            postmaster.shut_down(data)


def _serve(
    directory: Path, major: int, port: int | None, options: Mapping[str, str], say: Callable[[str], None]
) -> Server:
    """The server of `directory`, which is started if it is not running. The caller must hold the start lock."""
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
    # The file is written after the data are created. If the process is killed before, the next start sets a new password.
    state.write(directory / "password", password)
    (directory / "keep").unlink(missing_ok=True)
    last_port = int(state.read(directory / "port") or 0)
    found = postmaster.start(placement, binaries, port, last_port, options)
    state.write(directory / "port", str(found.port))
    return found
