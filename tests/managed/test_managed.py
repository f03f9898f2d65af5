"""A managed server: one login with CREATEROLE and CREATEDB, no superuser, from nothing to a sign-in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psycopg
import pytest

from service.embedded.binaries import find_binaries
from service.embedded.errors import EmbeddedError
from service.embedded.server import Server, running

PASSWORD = "a password of theirs"


@dataclass(frozen=True)
class Installation:
    """The command as somebody runs it who was given one login; `said` is what it answered, by its words."""

    server: Server
    directory: Path
    environment: dict[str, str]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "service", *words], cwd=self.directory, env=self.environment, text=True,
            check=False, capture_output=True, timeout=120,
        )  # fmt: skip

    def done(self, *words: str) -> str:
        """What a command that must succeed has said."""
        ended = self(*words)
        assert ended.returncode == 0, ended.stderr
        assert "Traceback" not in ended.stderr
        return ended.stdout + ended.stderr

    def given(self, **variables: str) -> Installation:
        return replace(self, environment={**self.environment, **variables})

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The service, at the address that the block gets."""
        with subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--port", "0"], cwd=self.directory, env=self.environment,
            text=True, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            try:
                # A listener may say before it that it listens; the lines end with the process.
                said = ""
                while not (serving := re.search(r"serving on (http://[\w.:]+)", said)):
                    line = process.stderr.readline()
                    assert line, said
                    said += line
                yield serving[1]
            finally:
                process.terminate()


_ALL = (18, 16, 15)
_SOME = (int(os.environ.get("TEST_PG", "18")), 15)


@pytest.fixture(scope="module", params=sorted(set(_ALL if "SOAK" in os.environ else _SOME)))
def cluster(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server whose superuser is somebody else: what CREATEROLE may do changed in 16."""
    try:
        find_binaries(request.param)
    except EmbeddedError:
        pytest.skip(f"PostgreSQL {request.param} is not installed")
    directory = Path(tempfile.mkdtemp(prefix="quarry-tests-"))
    directory.chmod(0o711)
    try:
        with running(directory, major=request.param, options={"fsync": "off"}, say=lambda _: None) as server:
            with psycopg.connect(server.url(), autocommit=True) as root:
                root.execute("CREATE ROLE provider_admin LOGIN CREATEROLE CREATEDB PASSWORD 'pw'")
                root.execute("REVOKE CONNECT ON DATABASE template1 FROM PUBLIC")
            yield server
    finally:
        if (outside := directory / "outside").exists():
            shutil.rmtree(Path("/var/tmp") / outside.read_text().strip(), ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def bare(cluster: Server, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    url = cluster.url(user="provider_admin", password="pw", database="quarry")
    environment = {
        "PATH": os.environ["PATH"], "PYTHONUTF8": "1", "COLUMNS": "200", "DATABASE_URL": url,
        "QUARRY_PASSWORD": PASSWORD, "PII_KEYS": f"row-test:{'A' * 43}=", "PII_INDEX_KEY": f"{'B' * 42}A=",
    }  # fmt: skip
    return Installation(cluster, tmp_path_factory.mktemp("managed"), environment)


@pytest.fixture(scope="module")
def created(bare: Installation) -> str:
    """What `quarry db create` has said."""
    return bare.done("db", "create")


@pytest.fixture(scope="module")
def installed(bare: Installation, created: str) -> Installation:
    """Everything that comes before serving, as docs and README tell it."""
    bare.done("migrate", "up")
    bare.done("seed", "run", "base")
    bare.done("tenants", "add", "agency.example", "--name", "Agency")
    bare.done("users", "add", "agency.example", "jo@agency.example", "--role", "owner")
    return bare


def test_the_database_is_made_and_the_one_thing_not_allowed_is_said_with_what_to_do(created: str) -> None:
    assert "the database quarry has been created" in created
    notes = [line for line in created.splitlines() if line.startswith("quarry: quarry_")]
    assert len(notes) == 1
    assert notes[0].startswith("quarry: quarry_backup needs BYPASSRLS, which this login may not give")
    assert "→ give `quarry db roles --print` to a DBA" in created


def test_it_may_be_repeated(bare: Installation, created: str) -> None:
    assert "is there; schemas and privileges are set" in bare.done("db", "create")
    assert bare.done("db", "roles").count("BYPASSRLS") == 1
    assert "quarry_app" in bare.done("db", "roles", "--print")


def test_migrations_leave_nothing_to_apply_or_to_mend(installed: Installation) -> None:
    assert "nothing to apply" in installed.done("migrate", "up")
    assert "files, database and catalog agree" in installed.done("migrate", "check")


def test_the_report_shows_the_login_and_the_role_that_it_takes(installed: Installation) -> None:
    report = installed.done("db", "test")
    assert "login: provider_admin\nrole: quarry_app\nlogin is superuser: no\n" in report
    assert "pending migrations: none" in report


def test_the_roles_get_what_counts_behind_a_pooler(installed: Installation) -> None:
    with psycopg.connect(installed.server.url(database="quarry")) as root:
        found = root.execute(
            "SELECT r.rolname, s.setdatabase <> 0, s.setconfig FROM pg_db_role_setting AS s"
            " JOIN pg_roles AS r ON r.oid = s.setrole WHERE r.rolname LIKE 'quarry%' ORDER BY 1, 2"
        ).fetchall()
    always = [
        "TimeZone=UTC", "statement_timeout=30000", "lock_timeout=5000", "idle_in_transaction_session_timeout=60000",
    ]  # fmt: skip
    for role in ("quarry_app", "quarry_platform"):
        assert (role, False, always) in found
        assert (role, True, ["search_path=quarry, pg_temp"]) in found


def test_no_role_has_more_than_it_needs(installed: Installation) -> None:
    with psycopg.connect(installed.server.url(database="quarry")) as root:
        found = root.execute(
            "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname LIKE 'quarry%' AND NOT (rolsuper OR rolbypassrls"
            " OR rolinherit OR rolcreatedb OR rolcreaterole OR rolreplication) ORDER BY rolname"
        ).fetchall()
    assert found == [("quarry_app", True), ("quarry_owner", False), ("quarry_platform", True)]


def signed_in(address: str) -> int:
    account = {"tenant": "agency.example", "email": "jo@agency.example", "password": PASSWORD}
    with httpx.Client(base_url=address, timeout=30) as client:
        token = client.post("/v1/sessions", json=account).raise_for_status().json()["token"]
        authorized = {"Authorization": f"Bearer {token}"}
        client.post("/v1/campaigns", json={"name": "Summer"}, headers=authorized).raise_for_status()
        return len(client.get("/v1/campaigns", headers=authorized).raise_for_status().json()["items"])


def test_the_service_serves_with_that_one_login(installed: Installation) -> None:
    with installed.given(ENVIRONMENT="production").serving() as address:
        assert signed_in(address) >= 1


def test_the_service_serves_with_the_serving_roles_own_login(installed: Installation) -> None:
    with psycopg.connect(installed.environment["DATABASE_URL"]) as admin:
        # The login that has made a role may give it a password.
        admin.execute("ALTER ROLE quarry_app PASSWORD 'own'")
    own = installed.given(DATABASE_URL=installed.server.url(user="quarry_app", password="own", database="quarry"))
    with own.serving() as address:
        assert signed_in(address) >= 1


def test_a_backup_without_its_role_is_told_what_to_do(installed: Installation) -> None:
    with psycopg.connect(installed.server.url(), autocommit=True) as root:
        root.execute(installed.done("db", "roles", "--print"))
    # The note is gone once a superuser has made the role.
    assert "BYPASSRLS" not in installed.done("db", "roles")
    assert "schemas and privileges are set" in installed.done("db", "create")
    with psycopg.connect(installed.server.url(database="quarry")) as root:
        assert root.execute("SELECT has_schema_privilege('quarry_backup', 'app', 'USAGE')").fetchone() == (True,)
