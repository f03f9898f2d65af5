"""A PgBouncer in front of the tests' PostgreSQL, in transaction mode, and which tests it is nothing for."""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
from pydantic import SecretStr

from service.embedded.server import Server
from service.settings.settings import Settings

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
ADMIN = "bouncer_admin"

_PID = "it looks for the backend by the pid that the connection was told, which is the pooler's"
_LOST = "the pooler goes on refusing for a moment after the server has refused it"
_DIRECT: Mapping[str, str] = {
    "changes/test_listener.py": "LISTEN needs a connection of its own",
    "test_a_timeout_leaves_the_connection_usable": _PID,
    "test_a_connection_lost_before_commit_is_repeated_on_another": _PID,
    "test_a_crash_between_handling_and_moving_hands_on_again": _PID,
    "test_a_plan_made_stale_by_a_migration_is_repeated": "no plans are kept without prepared statements",
    "test_a_storm_of_terminated_backends_is_survived": "three backends, killed faster than the pooler makes new ones",
    "test_an_unbound_select_is_refused_on_empty_tables_too": "it gives a connection of its own start-up parameters",
    "test_another_life_raises_the_epoch_once_although_ten_enter_it": "ten transactions meet, in three sessions",
    "test_another_server_that_answers_is_another_life": _LOST,
    "test_a_database_that_is_lost_is_found_again": _LOST,
    "test_a_database_that_was_lost_for_a_while_ends_no_consumer": _LOST,
    "test_schema.py": "it looks at migrations, which go round a pooler",
    "test_migrations.py": "migrations go round a pooler",
    "test_provisioning.py": "set-up goes round a pooler",
    "tenancy/test_direct.py": "behind a pooler, reads run in transactions",
    "test_recovery.py": "it stops and starts servers of its own",
    "pooler/": "it has poolers of its own",
    "tls/": "it has servers of its own",
    "managed/": "it has servers of its own",
    "embedded/": "it has servers of its own",
    "cli/": "commands are tested on servers of their own",
}
"""Tests that need a connection of their own to the server, and why."""
_CANCELLING: Mapping[str, str] = {
    "test_leftovers.py": "PgBouncer before 1.19.1 ends when whoever asks it to cancel hangs up (its issue 801)",
}
"""Tests that cancel statements all the time, and why not here."""
_CONCURRENT: Mapping[str, str] = {
    "test_the_outcome_of_a_commit_that_goes_on_is_awaited": "it asks while another transaction is open",
}
"""Tests that need several transactions at once, and why."""


@dataclass(frozen=True)
class Bouncer:
    """A running PgBouncer, and how its clients reach it."""

    port: int
    password: str = field(repr=False)

    def url(self, *, user: str, database: str) -> str:
        """The address of `user`, whose password is that of every user."""
        login = f"{quote(user, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def command(self, text: str) -> list[dict[str, object]]:
        """What the administration console answers."""
        with psycopg.connect(self.url(user=ADMIN, database="pgbouncer"), autocommit=True) as console:
            # It knows the simple protocol alone.
            answer = psycopg.ClientCursor(console).execute(text)  # type: ignore[call-overload]
            names = [column.name for column in answer.description or ()]
            return [dict(zip(names, row, strict=True)) for row in (answer.fetchall() if names else ())]


def through(bouncer: Bouncer, direct: Settings) -> Settings:
    """The same settings with serving and platform role behind the pooler; what can't be there goes round it."""
    name = urlsplit(direct.serving_url()).path.removeprefix("/")

    def url(user: str) -> SecretStr:
        return SecretStr(bouncer.url(user=user, database=name))

    behind = {"database_url": url("quarry_app"), "database_platform_url": url("quarry_platform")}
    return direct.model_copy(update={**behind, "changes_listen_url": direct.database_url})


def reason_against(test: str, sessions: int) -> str | None:
    """Why the test of this node id is nothing for a pooler with so many sessions, if it is not."""
    for part, reason in _DIRECT.items():
        if part in test:
            return reason
    if _version() < (1, 19, 1):
        for part, reason in _CANCELLING.items():
            if part in test:
                return reason
    if sessions == 1:
        for part, reason in _CONCURRENT.items():
            if part in test:
                return reason
    return None


@functools.cache
def _version() -> tuple[int, ...]:
    assert PROGRAM is not None
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, said.split()[1].split(".")))


@contextmanager
def bouncing(server: Server, *, port: int | None = None, **options: object) -> Iterator[Bouncer]:
    """A PgBouncer in front of `server` for the length of the block; `port` is that of a proxy in between.

    `options` are its settings, beside those that are given here.
    """
    assert PROGRAM is not None
    directory = Path(tempfile.mkdtemp(prefix="quarry-bouncer-"))
    users = (ADMIN, server.superuser, "quarry_app", "quarry_platform", "quarry_owner", "quarry_unknown")
    try:
        with socket.create_server(("127.0.0.1", 0)) as free:
            bouncer = Bouncer(free.getsockname()[1], server.password)
        settings: Mapping[str, object] = {
            "listen_addr": "127.0.0.1", "listen_port": bouncer.port, "unix_socket_dir": "", "pool_mode": "transaction",
            "auth_type": "scram-sha-256", "auth_file": directory / "users", "admin_users": ADMIN,
            "default_pool_size": 3, "max_client_conn": 1000, "server_login_retry": 0.1, "logfile": directory / "log", **options,
        }  # fmt: skip
        lines = [f"[databases]\n* = host={server.host} port={port or server.port}\n[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        (directory / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        (directory / "users").write_text("".join(f'"{user}" "{server.password}"\n' for user in users))
        with _started(directory, bouncer):
            yield bouncer
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _started(directory: Path, bouncer: Bouncer) -> Iterator[None]:
    account = {}
    if os.geteuid() == 0:
        # It refuses root.
        nobody = pwd.getpwnam("nobody")
        for path in (directory, *directory.iterdir()):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    process = subprocess.Popen(
        [PROGRAM, "--quiet", directory / "pgbouncer.ini"], cwd="/", stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **account,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while not _answers(bouncer):
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline, "PgBouncer did not start"
            time.sleep(0.01)
        yield
    finally:
        process.kill()
        process.wait()


def _answers(bouncer: Bouncer) -> bool:
    with suppress(psycopg.OperationalError):
        return bool(bouncer.command("SHOW VERSION"))
    return False
