"""A PostgreSQL with TLS, which lets nobody into two of its databases without."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from arranging.certificates import Authority, Pair
from service.addresses import Address
from service.embedded.binaries import find_binaries
from service.embedded.errors import EmbeddedError
from service.embedded.placement import Account
from service.embedded.server import Server, running
from service.schema import provisioning
from service.settings.settings import Settings

_HBA = """
hostssl certified quarry_app 127.0.0.1/32 scram-sha-256 clientcert=verify-full
hostssl encrypted,certified all 127.0.0.1/32 scram-sha-256
hostnossl encrypted,certified all 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""


def _with_tls() -> int | None:
    """The newest PostgreSQL here that was built with TLS, which those of wheels are not."""
    for major in (18, 17, 16, 15):
        with suppress(EmbeddedError):
            if b"SSL_CTX_new" in (find_binaries(major) / "postgres").read_bytes():
                return major
    return None


@dataclass(frozen=True)
class Secured:
    """The server, its authority, and one that has signed nothing of it."""

    server: Server
    authority: Authority
    stranger: Authority
    client: Pair


@pytest.fixture(scope="session")
def secured() -> Iterator[Secured]:
    """The databases `encrypted` and `certified`, the second for a serving role with a certificate alone."""
    if (major := _with_tls()) is None:
        assert not os.environ.get("CI_TLS"), "there is no PostgreSQL with TLS"
        pytest.skip("there is no PostgreSQL that was built with TLS, such as Debian's")
    directory = Path(tempfile.mkdtemp(prefix="quarry-tests-"))
    directory.chmod(0o711)
    try:
        authority, stranger = Authority(directory, "authority"), Authority(directory, "stranger")
        pair = authority.pair("server", "127.0.0.1")
        if os.geteuid() == 0:
            # As whom root runs PostgreSQL.
            account = Account.for_data(directory / "to come")
            os.chown(pair.key, account.uid, account.gid)
        options = {
            "fsync": "off", "ssl": "on", "ssl_cert_file": str(pair.certificate), "ssl_key_file": str(pair.key),
            "ssl_ca_file": str(authority.file),
        }  # fmt: skip
        with running(directory, major=major, options=options, say=lambda _: None) as server:
            asyncio.run(_set_up(server))
            (server.data / "pg_hba.conf").write_text(_HBA)
            with psycopg.connect(server.url(), autocommit=True) as root:
                root.execute("SELECT pg_reload_conf()")
            yield Secured(server, authority, stranger, authority.pair("quarry_app"))
    finally:
        outside = directory / "outside"
        if outside.exists():
            shutil.rmtree(Path("/var/tmp") / outside.read_text().strip(), ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)


async def _set_up(server: Server) -> None:
    root = Address(server.url())
    await provisioning.create_roles(root)
    await provisioning.set_password(root, "quarry_app", server.password)
    for name in ("encrypted", "certified"):
        await provisioning.create_database(root, name)
        await provisioning.prepare_database(Address(server.url(database=name)))


@pytest.fixture
def given(secured: Secured) -> Callable[..., Settings]:
    """Settings of that server: `given("encrypted", database_ssl=True, database_ssl_ca=…)`."""

    def make(database: str, *, host: str = "127.0.0.1", query: str = "", **changes: object) -> Settings:
        server = secured.server

        def url(user: str) -> SecretStr:
            return SecretStr(f"postgresql://{user}:{server.password}@{host}:{server.port}/{database}{query}")

        return Settings(
            _env_file=None,  # type: ignore[call-arg]
            environment="test",
            database_url=url("quarry_app"),
            database_migration_url=url(server.superuser),
            database_connect_attempts=1,
            **changes,  # type: ignore[arg-type]
        )

    return make
