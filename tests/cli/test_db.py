"""`quarry db` on a server that is named, and what is said where that goes wrong."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest


def test_test_describes_connection_and_migrations(quarry: Any) -> None:
    answer = quarry("db", "test", "--json")
    report = json.loads(answer.out)
    assert (answer.status, answer.err) == (0, "")
    assert report["server"].startswith("postgresql://quarry_app:***@")
    assert report["login"] == report["role"] == "quarry_app"
    assert report["tls"] == "none"
    assert 0 < report["connections"] <= report["max_connections"]
    assert (report["pending_migrations"], report["applied_migrations"] >= 8) == ([], True)
    assert not report["login_is_superuser"]
    assert not report["has_pooler"]


def test_test_names_the_checks_and_fails_with_those_that_fail(quarry: Any, superuser: Any) -> None:
    answer = quarry("db", "test")
    assert (answer.status, "check isolation: ok\n" in answer.out) == (0, True)
    superuser.execute("ALTER TABLE quarry.users NO FORCE ROW LEVEL SECURITY")
    superuser.commit()
    answer = quarry("db", "test", "--json")
    assert (answer.status, answer.err.splitlines()[0]) == (1, "quarry: failing: isolation")
    assert json.loads(answer.out)["checks"]["isolation"]["findings"] == ["policies_not_forced: quarry.users"]


def test_test_says_of_replicas_what_they_are(quarry: Any) -> None:
    url = quarry.variables["DATABASE_URL"]
    nobody = re.sub(r"@[^/]*", "@127.0.0.1:1", url)
    report = json.loads(quarry("db", "test", "--json", DATABASE_REPLICA_URLS=f"{url},{nobody}").out)
    assert "is no replica, so nobody reads from it" in report["replicas"][0]
    assert "nobody listens there" in report["replicas"][1]
    assert not report["is_replica"]


def test_test_says_that_a_superuser_logs_in_and_takes_the_serving_role(quarry: Any) -> None:
    answer = quarry("db", "test", DATABASE_URL=quarry.variables["DATABASE_MIGRATION_URL"])
    assert "login: postgres\nrole: quarry_app\nlogin is superuser: yes\n" in answer.out


def test_test_succeeds_where_the_serving_login_may_not_see_the_migrations(quarry: Any) -> None:
    answer = quarry.given(DATABASE_URL=quarry.variables["DATABASE_URL"])("db", "test")
    assert answer.status == 0
    assert "this login may not become quarry_owner" in answer.out


@pytest.mark.parametrize(
    ("change", "said", "remedy"),
    [
        ((r"//.*", "//quarry_app:pw@127.0.0.1:1/quarry"), "nobody listens there", "start PostgreSQL"),
        ((r":[^:/@]*@", ":wrong@"), "the server refuses the password", "correct the password"),
        ((r"/[^/]*$", "/missing"), "the database does not exist", "quarry db create"),
        ((r"(\?.*)?$", "?sslmode=require"), "the server has no TLS", "?sslmode"),
        ((r"@.*", "@host.invalid:1/quarry"), "can't be reached", "check the address"),
    ],
)
def test_test_gives_cause_and_remedy(quarry: Any, inside: Any, change: tuple[str, str], said: str, remedy: str) -> None:
    url = re.sub(*change, quarry.variables["DATABASE_URL"], count=1)
    answer = inside("db", "test", DATABASE_URL=url)
    assert (answer.status, answer.out) == (1, "")
    message, advice = answer.err.splitlines()
    assert said in message
    assert remedy in advice
    assert url.partition("@")[0].rpartition(":")[2] not in answer.err


def test_tls_setting_without_tls_at_the_server_is_told_by_queries_and_migrations_alike(local: Any) -> None:
    for arguments in (("db", "test"), ("migrate", "show")):
        answer = local(*arguments, DATABASE_SSL="true")
        assert answer.status == 1
        assert "the server has no TLS" in answer.err


def test_login_without_rights_is_told_which_role_and_variable(quarry: Any, superuser: Any) -> None:
    superuser.execute("DROP ROLE IF EXISTS quarry_nobody")
    superuser.execute("CREATE ROLE quarry_nobody LOGIN PASSWORD 'pw'")
    superuser.execute(f'GRANT CONNECT ON DATABASE "{superuser.info.dbname}" TO quarry_nobody')
    superuser.commit()
    url = f"postgresql://quarry_nobody:pw@{superuser.info.host}:{superuser.info.port}/{superuser.info.dbname}"
    alone = quarry.given(DATABASE_URL=url)
    try:
        assert "set DATABASE_MIGRATION_URL" in alone("migrate", "up").err
        assert "may not become quarry_platform" in alone("seed", "run").err
        assert "must be owner of database" in alone("db", "drop", "--yes").err
        superuser.execute("ALTER ROLE quarry_nobody CONNECTION LIMIT 0")
        superuser.commit()
        assert "there are too many connections" in alone("db", "test").err
    finally:
        superuser.execute("DROP OWNED BY quarry_nobody; DROP ROLE quarry_nobody")
        superuser.commit()


def test_create_makes_a_database_once_that_migrates_and_drop_takes_it_away(quarry: Any) -> None:
    url = quarry.variables["DATABASE_MIGRATION_URL"]
    alone = quarry.given(DATABASE_URL=f'{url.rpartition("/")[0]}/made%20by%20"create"')
    assert 'the database made by "create" has been created' in alone("db", "create").err
    assert "is there; schemas and privileges are set" in alone("db", "create").err
    assert alone("migrate", "up", DATABASE_SCHEMA="elsewhere").err.endswith("run `quarry db create` first\n")
    assert alone("migrate", "up").status == 0
    refused = alone("db", "drop", "--yes", ENVIRONMENT="production")
    assert (refused.status, refused.err) == (1, "quarry: `db drop` is refused in production\n")
    assert "has been dropped" in alone("db", "drop", "--yes").err
    assert "was not there" in alone("db", "drop", "--yes").err


def test_url_is_what_the_variables_say(quarry: Any, local: Any) -> None:
    assert local("db", "url").out == quarry.variables["DATABASE_URL"] + "\n"
    yoyo = local("db", "url", "--yoyo").out
    assert yoyo.startswith("postgresql+quarry://postgres:")
    assert "role%3Dquarry_owner" in yoyo


def test_stop_refuses_a_server_that_is_not_its_own(local: Any) -> None:
    answer = local("db", "stop")
    assert (answer.status, answer.out) == (1, "")
    assert "not ours to stop" in answer.err


def test_roles_print_is_the_sql_for_a_dba(local: Any) -> None:
    assert "CREATE ROLE" in local("db", "roles", "--print").out
    assert "quarry_backup are there" in local("db", "roles").err
