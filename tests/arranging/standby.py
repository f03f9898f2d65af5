"""A streaming replica of a server of the tests, by the programs of the same wheel."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from arranging.restartable import MAJOR, Restartable
from service.embedded.server import Server, stop
from service.settings.settings import Settings

_PATIENCE = 30.0


class Standby(Restartable):
    """A replica that can be paused, promoted, killed and started again."""

    def execute(self, text: str) -> Any:
        """Run a statement there as superuser; answers its first value, if it has one."""
        return ask(self.server, text)

    def await_replay(self, primary: Server) -> None:
        """Wait until it has replayed what the primary has written so far."""
        position = ask(primary, "SELECT pg_current_wal_lsn()")
        deadline = time.monotonic() + _PATIENCE
        while not self.execute(f"SELECT pg_last_wal_replay_lsn() >= '{position}'"):
            assert time.monotonic() < deadline, "the replica does not follow"
            time.sleep(0.01)

    def stop(self) -> None:
        stop(self.directory)

    async def paused(self) -> None:
        """Replay nothing from now on."""
        await asyncio.to_thread(self.execute, "SELECT pg_wal_replay_pause()")
        async with asyncio.timeout(_PATIENCE):
            while await asyncio.to_thread(self.execute, "SELECT pg_get_wal_replay_pause_state()") != "paused":
                await asyncio.sleep(0.01)

    async def resumed(self) -> None:
        await asyncio.to_thread(self.execute, "SELECT pg_wal_replay_resume()")


@contextmanager
def standby_of(primary: Server) -> Iterator[Standby]:
    """A replica of it, gone after the block."""
    directory = Path(tempfile.mkdtemp(prefix="quarry-standby-"))
    directory.chmod(0o711)
    data = directory / f"pg{MAJOR}"
    try:
        subprocess.run(
            [
                primary.binaries / "pg_basebackup", f"--pgdata={data}", f"--dbname={primary.url()}",
                "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync",
            ],
            check=True, capture_output=True,
        )  # fmt: skip
        owner = primary.data.stat()
        for path in (data, *data.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        # It is the primary's cluster, so its superuser's password is the primary's.
        shutil.copyfile(primary.directory / "password", directory / "password")
        yield Standby(directory)
    finally:
        stop(directory)
        shutil.rmtree(directory, ignore_errors=True)


def replica_url(settings: Settings, server: Server) -> str:
    """Where the serving role finds the database of the settings on another server."""
    return server.url(user="quarry_app", password=server.password, database=settings.address("quarry_app").database)


def ask(server: Server, text: str) -> Any:
    """Run a statement as superuser, in a database that is always there; answers its first value, if it has one."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        cursor = connection.execute(text)
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None
