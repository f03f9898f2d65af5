"""`quarry tenants export`, `import` and `delete`."""

from __future__ import annotations

import os
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def acme(local: Any) -> str:
    """A tenant with one user; answers its id."""
    added = local("tenants", "add", "acme.example", "--name", "Acme")
    local("users", "add", "acme.example", "jo@acme.example", "--role", "owner", QUARRY_PASSWORD="long enough")
    return str(added.out.strip())


def test_tenant_is_exported_deleted_and_imported(local: Any, acme: str) -> None:
    exported = local("tenants", "export", "ACME.example")
    assert re.fullmatch(r"acme\.example_export_\d{8}_\d{6}\.tar\.gz\n", exported.out)
    assert "acme.example has been exported" in exported.err
    deleted = local("tenants", "delete", "acme.example", "--yes")
    assert (deleted.status, "nothing of it is left" in deleted.err) == (0, True)
    assert re.search(r"^quarry\.users +1 deleted +0 left$", deleted.out, re.MULTILINE)
    assert {line.split()[3] for line in deleted.out.splitlines()} == {"0"}
    assert local("tenants", "list").out == ""
    imported = local("tenants", "import", exported.out.strip())
    assert (imported.status, imported.out) == (0, f"{acme}\n")
    changed = local("users", "passwd", "acme.example", "jo@acme.example", QUARRY_PASSWORD="another one")
    assert changed.status == 0


@pytest.mark.usefixtures("acme")
def test_file_that_is_there_stays_unless_forced(local: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_text("before")
    refused = local("tenants", "export", "acme.example", "a.tar.gz")
    assert refused.err == (
        "quarry: a.tar.gz is there already\n  → give another name, or add --force to write over it\n"
    )
    assert path.read_text() == "before"
    assert local("tenants", "export", "acme.example", "a.tar.gz", "--force").out == "a.tar.gz\n"
    assert tarfile.is_tarfile(path)


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("export", "nobody.example"), "there is no tenant nobody.example"),
        (("delete", "nobody.example", "--yes"), "there is no tenant nobody.example"),
        (("delete", "acme.example"), "this deletes acme.example with everything that is theirs, and there is nobody to ask"),
        (("import", "nothing.tar.gz"), "nothing.tar.gz can't be read: No such file or directory"),
        (("export", "acme.example", "nowhere/a.tar.gz"), "there is no folder nowhere"),
    ],
)  # fmt: skip
def test_mistake_is_one_line_and_a_remedy(local: Any, arguments: tuple[str, ...], said: str) -> None:
    answer = local("tenants", *arguments)
    assert (answer.status, answer.out) == (1, "")
    message, remedy = answer.err.splitlines()
    assert message == f"quarry: {said}"
    assert remedy.startswith("  → ")


@pytest.mark.parametrize(
    ("typed", "status", "said"),
    [(b"acme.example\n", 0, "nothing of it is left"), (b"yes\n", 1, "nothing was done")],
)
@pytest.mark.usefixtures("acme")
def test_deletion_is_confirmed_with_the_domain(quarry: Any, typed: bytes, status: int, said: str) -> None:
    ours, theirs = os.openpty()
    with quarry.start("tenants", "delete", "acme.example", stdin=theirs) as process:
        os.write(ours, typed)
        err = process.communicate(timeout=60)[1]
    os.close(ours)
    os.close(theirs)
    assert process.returncode == status
    assert "This deletes acme.example (Acme) with everything that is theirs, for good." in err
    assert said in err


@pytest.mark.usefixtures("acme")
def test_production_deletes_no_tenant_that_is_served(local: Any) -> None:
    refused = local("tenants", "delete", "acme.example", "--yes", ENVIRONMENT="production")
    assert refused.err.startswith("quarry: acme.example is active")
    local("tenants", "suspend", "acme.example")
    assert local("tenants", "delete", "acme.example", "--yes", ENVIRONMENT="production").status == 0


def test_what_is_left_is_status_1(local: Any, acme: str, superuser: Any) -> None:
    superuser.execute("CREATE TABLE quarry.notes (tenant_id uuid)")
    superuser.execute("GRANT SELECT ON quarry.notes TO quarry_owner")
    superuser.execute("INSERT INTO quarry.notes VALUES (%s)", [acme])
    superuser.commit()
    answer = local("tenants", "delete", "acme.example", "--yes")
    assert answer.status == 1
    assert re.search(r"^quarry\.notes +0 deleted +1 left$", answer.out, re.MULTILINE)
    assert "has been deleted, but not from quarry.notes" in answer.err


def test_killed_import_leaves_nothing(quarry: Any, local: Any, superuser: Any, until: Any, acme: str) -> None:
    local("tenants", "export", "acme.example", "a.tar.gz")
    local("tenants", "delete", "acme.example", "--yes")
    # Holds the import up in its middle: rows of users come after the tenant's.
    superuser.execute("LOCK TABLE quarry.users IN SHARE MODE")
    with quarry.start("tenants", "import", "a.tar.gz") as process:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        until(lambda: superuser.execute(waiting).fetchone()[0])
        process.kill()
    superuser.rollback()
    assert local("tenants", "list").out == ""
    assert local("tenants", "import", "a.tar.gz").out == f"{acme}\n"


def test_a_tenant_moves_to_a_schema_of_its_own_and_back(local: Any, acme: str, superuser: Any) -> None:
    path = local("tenants", "export", "acme.example").out.strip()
    local("tenants", "delete", "acme.example", "--yes")
    assert local("tenants", "import", path, "--schema", "acme").out == f"{acme}\n"
    assert superuser.execute("SELECT tenant_id::text FROM acme.users").fetchall() == [(acme,)]
    assert superuser.execute("SELECT FROM quarry.users").fetchall() == []
    superuser.rollback()
    local("users", "passwd", "acme.example", "jo@acme.example", QUARRY_PASSWORD="another one")
    local("tenants", "export", "acme.example", path, "--force")
    deleted = local("tenants", "delete", "acme.example", "--yes")
    assert re.search(r"^acme\.users +1 deleted +0 left$", deleted.out, re.MULTILINE)
    assert "its schema acme has been dropped" in deleted.err
    assert superuser.execute("SELECT FROM pg_namespace WHERE nspname = 'acme'").fetchall() == []
    superuser.rollback()
    assert local("tenants", "import", path).status == 0
    assert superuser.execute("SELECT tenant_id::text FROM quarry.users").fetchall() == [(acme,)]
