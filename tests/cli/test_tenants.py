"""`quarry tenants` and `quarry users`."""

from __future__ import annotations

import json
import os
from typing import Any
from uuid import UUID

import pytest


def test_tenant_is_added_listed_shown_suspended_and_activated(local: Any) -> None:
    added = local("tenants", "add", "ACME.example", "--name", "Acme Agency", "--plan", "pro")
    assert UUID(added.out.strip())
    assert "quarry users add acme.example" in added.err
    assert "active     pro         acme.example" in local("tenants", "list").out
    assert local("tenants", "suspend", "acme.example").err == "quarry: acme.example is suspended\n"
    assert json.loads(local("tenants", "list", "--json").out)[0]["status"] == "suspended"
    assert local("tenants", "activate", "acme.example").status == 0
    assert json.loads(local("tenants", "show", "acme.example").out)["status"] == "active"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "not a host", "--name", "X"), "'not a host' is not a host name"),
        (("add", "x.example", "--name", " "), "a name has 1 to 200 characters"),
        (("show", "nobody.example"), "there is no tenant nobody.example"),
        (("suspend", "nobody.example"), "there is no tenant nobody.example"),
    ],
)
def test_mistake_is_one_line_and_a_remedy(local: Any, arguments: tuple[str, ...], said: str) -> None:
    answer = local("tenants", *arguments)
    assert (answer.status, answer.out) == (1, "")
    message, remedy = answer.err.splitlines()
    assert message == f"quarry: {said}"
    assert remedy.startswith("  → ")


def test_domain_belongs_to_one_tenant(local: Any) -> None:
    local("tenants", "add", "acme.example", "--name", "Acme")
    assert local("tenants", "add", "acme.example", "--name", "Acme").err == "quarry: The domain is taken.\n"


def test_user_is_added_once_and_gets_another_password(local: Any) -> None:
    local("tenants", "add", "acme.example", "--name", "Acme")
    add = ("users", "add", "acme.example", "Jo@Acme.example", "--role", "owner")
    added = local(*add, QUARRY_PASSWORD="long enough")
    assert UUID(added.out.strip())
    assert "jo@acme.example has been created as owner of acme.example" in added.err
    assert local(*add, QUARRY_PASSWORD="long enough").err == "quarry: The email is taken.\n"
    changed = local("users", "passwd", "acme.example", "jo@ACME.example", QUARRY_PASSWORD="another one")
    assert (changed.status, changed.out) == (0, "")
    nobody = local("users", "passwd", "acme.example", "x@acme.example", QUARRY_PASSWORD="another one")
    assert nobody.err == "quarry: There is no user x@acme.example in acme.example.\n"


@pytest.mark.parametrize(
    ("email", "variables", "said"),
    [
        ("no address", {"QUARRY_PASSWORD": "long enough"}, "'no address' is not an email address"),
        ("a@acme.example", {"QUARRY_PASSWORD": "short"}, "a password has at least 10 characters"),
        ("a@acme.example", {}, "a password is needed, and there is nobody to ask"),
        ("a@acme.example", {"QUARRY_PASSWORD": "long enough"}, "there is no tenant acme.example"),
    ],
)
def test_user_is_refused(local: Any, email: str, variables: dict[str, str], said: str) -> None:
    answer = local("users", "add", "acme.example", email, **variables)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith(f"quarry: {said}\n")


def test_password_is_asked_for_twice_at_a_terminal(quarry: Any) -> None:
    ours, theirs = os.openpty()
    with quarry.start("users", "add", "acme.example", "a@acme.example", stdin=theirs) as process:
        for prompt, typed in (("Password: ", b"long enough\n"), ("\nOnce more: ", b"long enougj\n")):
            assert process.stderr.read(len(prompt)) == prompt
            os.write(ours, typed)
        assert "the two are not the same" in process.communicate(timeout=30)[1]
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 1


def test_a_tenant_with_a_schema_of_its_own_is_added_listed_and_shown(local: Any) -> None:
    added = local("tenants", "add", "acme.example", "--name", "Acme", "--schema", "acme")
    assert UUID(added.out.strip())
    assert "applying 0001.create-users in acme" in added.err
    assert local("tenants", "list").out.rstrip().endswith("Acme  (schema acme)")
    assert json.loads(local("tenants", "show", "acme.example").out)["schema"] == "acme"
    local("users", "add", "acme.example", "jo@acme.example", "--role", "owner", QUARRY_PASSWORD="long enough")
    assert local("migrate", "check").status == 0


@pytest.mark.parametrize(
    ("domain", "schema", "said"),
    [
        ("other.example", "quarry", "'quarry' can't be a schema of a tenant's own"),
        ("other.example", "acme", "the schema acme is another tenant's"),
        ("acme.example", "other", "The domain is taken."),
    ],
)
def test_a_schema_that_can_t_be_had_is_refused_and_nothing_is_made(
    local: Any, superuser: Any, domain: str, schema: str, said: str
) -> None:
    local("tenants", "add", "acme.example", "--name", "Acme", "--schema", "acme")
    refused = local("tenants", "add", domain, "--name", "Other", "--schema", schema)
    assert (refused.status, refused.err.splitlines()[0]) == (1, f"quarry: {said}")
    assert len(local("tenants", "list").out.splitlines()) == 1
    assert not superuser.execute("SELECT FROM pg_namespace WHERE nspname = 'other'").fetchall()
