"""A PostgreSQL that tests kill and start again, with all the durability that a real one has."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from service.cli.installation import embedded_settings, provisioned
from service.database.database import Database
from service.embedded.processes import exists
from service.embedded.server import Server, running, stop
from service.schema import migrations
from service.settings.settings import Settings

MAJOR = int(os.environ.get("TEST_PG", "18"))


class Restartable:
    """A server that can be killed and started again at the same address."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = self.start()

    def start(self, port: int | None = None) -> Server:
        with running(self.directory, major=MAJOR, port=port, keep=True, say=lambda _: None) as server:
            return server

    def restart(self) -> None:
        stop(self.directory)
        self.start_again()

    def kill(self) -> None:
        os.kill(self.server.pid, signal.SIGKILL)
        while exists(self.server.pid):
            time.sleep(0.001)

    def start_again(self) -> None:
        self.server = self.start(self.server.port)

    def kill_postmaster(self) -> None:
        self.kill()
        self.start_again()

    @classmethod
    @contextmanager
    def made(cls) -> Iterator[Restartable]:
        """A new one, gone after the block."""
        directory = Path(tempfile.mkdtemp(prefix="quarry-recovery-"))
        directory.chmod(0o711)
        try:
            yield cls(directory)
        finally:
            stop(directory)
            shutil.rmtree(directory, ignore_errors=True)

    def settings(self) -> Settings:
        """Settings of a migrated database on it."""
        bare = Settings(
            _env_file=None,  # type: ignore[call-arg]
            environment="test",
            database_pool_max=5,
            pii_keys=SecretStr(f"row-test:{'A' * 43}="),
            pii_index_key=SecretStr(f"{'B' * 42}A="),
        )
        settings = embedded_settings(bare, self.server)
        asyncio.run(provisioned(settings, self.server))
        migrations.up(settings.address("quarry_owner"), settings.database_schema, lambda _: None)
        return settings


async def kill_a_backend(settings: Settings) -> None:
    """Kill a backend of the serving role with signal 9: PostgreSQL then restarts all of them."""
    async with Database.open(settings.administration(), settings.limits) as database, database.connection() as root:
        pid = await root.fetchval("SELECT pid FROM pg_stat_activity WHERE usename = 'quarry_app' LIMIT 1", ())
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
