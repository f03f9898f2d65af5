"""Roles, databases and schemas, made by a superuser and by a login that only has CREATEROLE."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from conftest import MAJOR
from service.addresses import Address, PoolLimits
from service.database import single
from service.embedded.server import Server, running
from service.errors import OperatorError
from service.schema import migrations, provisioning

ATTRIBUTES = """
SELECT rolname, rolcanlogin, rolbypassrls, rolsuper OR rolinherit OR rolcreatedb OR rolcreaterole OR rolreplication
  FROM pg_roles WHERE rolname LIKE 'quarry%' ORDER BY rolname
"""
WANTED = [
    ("quarry_app", True, False, False),
    ("quarry_backup", True, True, False),
    ("quarry_owner", False, False, False),
    ("quarry_platform", True, False, False),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Server]:
    """A server of these tests alone, because roles belong to all of its databases."""
    directory = Path(tempfile.mkdtemp(prefix="quarry-tests-"))
    directory.chmod(0o711)
    with running(directory, major=MAJOR, options={"fsync": "off"}, say=lambda _: None) as started:
        yield started
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def root(cluster: Server) -> Iterator[psycopg.Connection]:
    """The superuser on that server, which has no roles and databases of the service when a test begins."""
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS made WITH (FORCE)")
        for (name,) in connection.execute(r"SELECT rolname FROM pg_roles WHERE rolname ~ '^(quarry|maker)'").fetchall():
            connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
        yield connection


@pytest.fixture
def maker(cluster: Server, root: psycopg.Connection) -> Address:
    """A managed server's login: CREATEROLE and CREATEDB, no superuser."""
    root.execute("CREATE ROLE maker LOGIN CREATEROLE CREATEDB PASSWORD 'pw'")
    return Address(cluster.url(user="maker", password="pw", database="made"))


def test_superuser_makes_the_roles_with_exactly_their_attributes(cluster: Server, root: psycopg.Connection) -> None:
    assert asyncio.run(provisioning.create_roles(Address(cluster.url()))) == []
    assert root.execute(ATTRIBUTES).fetchall() == WANTED


def test_repeating_puts_attributes_right(cluster: Server, root: psycopg.Connection) -> None:
    root.execute("CREATE ROLE quarry_app SUPERUSER CREATEDB; CREATE ROLE quarry_owner LOGIN BYPASSRLS")
    for _ in range(2):
        assert asyncio.run(provisioning.create_roles(Address(cluster.url()))) == []
        assert root.execute(ATTRIBUTES).fetchall() == WANTED


def test_several_at_once_set_up_one_server(cluster: Server, root: psycopg.Connection) -> None:
    here, there = Address(cluster.url()), Address(cluster.url(database="made"))

    async def set_up() -> bool:
        made = await provisioning.create_database(here, "made")
        await provisioning.create_roles(here)
        await provisioning.prepare_database(there)
        return made

    async def together() -> list[bool]:
        return await asyncio.gather(*(set_up() for _ in range(6)))

    assert sorted(asyncio.run(together())) == [False] * 5 + [True]
    assert root.execute(ATTRIBUTES).fetchall() == WANTED


def test_createrole_login_sets_up_everything_but_the_backup_role(root: psycopg.Connection, maker: Address) -> None:
    assert asyncio.run(provisioning.create_database(maker, "made"))
    notes = asyncio.run(provisioning.create_roles(maker))
    assert len(notes) == 1
    assert notes[0].startswith("quarry_backup needs BYPASSRLS")
    asyncio.run(provisioning.prepare_database(maker))
    assert migrations.up(replace(maker, role="quarry_owner"), "quarry", lambda _: None)
    assert root.execute(ATTRIBUTES).fetchall() == [row for row in WANTED if row[0] != "quarry_backup"]
    for role in ("quarry_app", "quarry_platform"):
        connection = asyncio.run(reach(replace(maker, role=role)))
        assert connection == role


async def reach(address: Address) -> str:
    connection = await single.connect(address)
    try:
        return str(await connection.fetchval("SELECT current_user"))
    finally:
        await connection.close()


def test_login_that_may_become_the_owner_prepares_what_a_dba_has_made(
    cluster: Server, root: psycopg.Connection
) -> None:
    asyncio.run(provisioning.create_roles(Address(cluster.url())))
    root.execute("CREATE ROLE maker LOGIN PASSWORD 'pw'")
    root.execute("GRANT quarry_owner, quarry_app, quarry_platform TO maker")
    root.execute("CREATE DATABASE made OWNER maker")
    login = Address(cluster.url(user="maker", password="pw", database="made"))
    assert asyncio.run(provisioning.create_roles(login)) == []
    asyncio.run(provisioning.prepare_database(login))
    assert migrations.up(replace(login, role="quarry_owner"), "quarry", lambda _: None)


def test_login_without_rights_is_told_what_to_use(cluster: Server, root: psycopg.Connection) -> None:
    root.execute("CREATE ROLE maker LOGIN PASSWORD 'pw'")
    login = Address(cluster.url(user="maker", password="pw", database="made"))
    with pytest.raises(OperatorError, match="may not do that: permission denied to create role") as caught:
        asyncio.run(provisioning.create_roles(login))
    assert "CREATEROLE" in caught.value.remedy
    with pytest.raises(OperatorError, match="permission denied to create database") as caught:
        asyncio.run(provisioning.create_database(login, "made"))
    assert "CREATEDB" in caught.value.remedy


def test_tenant_tables_may_live_in_another_schema(cluster: Server, root: psycopg.Connection) -> None:
    here, there = Address(cluster.url()), Address(cluster.url(database="made"))
    asyncio.run(provisioning.create_database(here, "made"))
    asyncio.run(provisioning.create_roles(here))
    asyncio.run(provisioning.prepare_database(there, "elsewhere"))
    assert migrations.up(replace(there, role="quarry_owner"), "elsewhere", lambda _: None)
    with psycopg.connect(there.url) as made:
        found = made.execute("SELECT to_regclass('elsewhere.users') IS NOT NULL, to_regnamespace('quarry')").fetchone()
    assert found == (True, None)


def test_database_takes_utf8_whatever_the_server_prefers(cluster: Server, root: psycopg.Connection) -> None:
    asyncio.run(provisioning.create_database(Address(cluster.url()), "made"))
    encoding = "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'made'"
    assert root.execute(encoding).fetchone() == ("UTF8",)
    assert asyncio.run(provisioning.drop_database(Address(cluster.url()), "made"))
    assert not asyncio.run(provisioning.drop_database(Address(cluster.url()), "made"))


def test_roles_begin_with_the_time_outs_of_the_settings(cluster: Server, root: psycopg.Connection) -> None:
    for seconds in (7.0, 8.0):
        limits = PoolLimits(statement_timeout=seconds)
        assert asyncio.run(provisioning.create_roles(Address(cluster.url()), limits)) == []
        found = root.execute("SELECT rolconfig FROM pg_roles WHERE rolname = 'quarry_platform'").fetchone()
        assert found is not None
        assert f"statement_timeout={seconds * 1000:.0f}" in found[0]
        assert "TimeZone=UTC" in found[0]


def test_login_that_may_not_become_the_serving_role_is_told_what_it_misses(
    cluster: Server, root: psycopg.Connection
) -> None:
    asyncio.run(provisioning.create_roles(Address(cluster.url())))
    root.execute("CREATE ROLE maker LOGIN PASSWORD 'pw'; GRANT quarry_owner TO maker")
    root.execute("CREATE DATABASE made OWNER maker")
    login = Address(cluster.url(user="maker", password="pw", database="made"))
    notes = asyncio.run(provisioning.prepare_database(login))
    assert [note.partition(" ")[0] for note in sorted(notes)] == ["quarry_app", "quarry_platform"]
    assert all("search path" in note for note in notes)
