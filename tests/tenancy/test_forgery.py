"""The serving role against the log and the locks themselves: nothing of it can be written, suppressed or taken off."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from arranging.tenancy_rows import Arranged, bound, outcome

FORGERIES = (
    "INSERT INTO app.heads (tenant_id, head) VALUES (app.current_tenant(), 99)",
    "INSERT INTO app.commits (tenant_id, number, xid) VALUES (app.current_tenant(), 99, pg_current_xact_id())",
    (
        "INSERT INTO app.changes (tenant_id, ordinal, table_name, operation, row_id)"
        " VALUES (app.current_tenant(), 1, 'users', 'insert', gen_random_uuid())"
    ),
    "UPDATE app.heads SET head = head + 1",
    "UPDATE app.commits SET actor_id = NULL",
    "UPDATE app.changes SET columns = NULL",
    "DELETE FROM app.heads",
    "DELETE FROM app.commits",
    "DELETE FROM app.changes",
    "UPDATE app.heads SET floor = head",
    "UPDATE app.installation SET log_retention = '1 day'",
    "UPDATE app.installation SET epoch = epoch + 1",
    "UPDATE app.installation SET shared_number = 0",
    "SELECT app.raise_epoch()",
    "SELECT app.former_xid(pg_current_xact_id(), 1)",
    "SELECT app.forget_consumer('mail')",
    "DELETE FROM app.cursors",
    "UPDATE app.cursors SET consumer = 'mail'",
    "INSERT INTO app.niches (name) VALUES ('forged')",
    "UPDATE sign_in_failures SET created_at = '2000-01-01'",
    "DELETE FROM sign_in_failures",
    "SELECT FROM app.heads FOR UPDATE",
    "LOCK TABLE app.heads IN SHARE MODE",
    "SELECT app.record_changes('users', 'insert', ARRAY[app.current_tenant()], ARRAY[gen_random_uuid()], NULL)",
    "CREATE TRIGGER forged AFTER INSERT ON campaigns FOR EACH ROW EXECUTE FUNCTION app.number_commit()",
)
SUPPRESSIONS = (
    "ALTER TABLE campaigns DISABLE TRIGGER record_insert",
    "ALTER TABLE campaigns DISABLE TRIGGER ALL",
    "ALTER TABLE campaigns DISABLE TRIGGER touch",
    "ALTER TABLE app.changes DISABLE TRIGGER number_commit",
    "ALTER TABLE app.niches DISABLE TRIGGER number_shared",
    "ALTER TABLE campaigns DISABLE TRIGGER refuse_truncate",
    "DROP TRIGGER record_insert ON campaigns",
    "DROP FUNCTION record_campaigns() CASCADE",
    "ALTER FUNCTION app.current_tenant() SECURITY DEFINER",
    "SET session_replication_role = replica",
    "SET LOCAL session_replication_role = replica",
)
LOCKS = (
    "ALTER TABLE campaigns DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE campaigns NO FORCE ROW LEVEL SECURITY",
    "CREATE POLICY everything ON campaigns USING (true)",
    "ALTER POLICY tenant ON campaigns USING (true)",
    "DROP POLICY tenant ON campaigns",
    "SET LOCAL row_security = off; SELECT FROM campaigns",
    "ALTER ROLE quarry_app BYPASSRLS",
    "GRANT quarry_owner TO quarry_app",
    "SET ROLE quarry_owner",
    "SET ROLE quarry_platform",
    "SET ROLE quarry_backup",
    "SET SESSION AUTHORIZATION postgres",
    "CREATE TABLE stolen AS SELECT * FROM campaigns",
    "CREATE TEMPORARY TABLE campaigns (id uuid)",
    "CREATE VIEW everything AS SELECT * FROM campaigns",
    "CREATE FUNCTION app.current_tenant(text) RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()'",
    "CREATE SCHEMA stolen",
    "CREATE PUBLICATION everything",
    "COPY campaigns TO PROGRAM 'cat'",
    "SELECT pg_read_file('postgresql.conf')",
)


@pytest.mark.parametrize("attempt", [*FORGERIES, *SUPPRESSIONS, *LOCKS])
async def test_the_serving_role_is_refused(arranged: Arranged, app: Any, attempt: str) -> None:
    async with bound(app, arranged.a):
        assert (await outcome(app, attempt, [])).code == "42501"


async def test_no_trigger_function_can_be_called(arranged: Arranged, app: Any) -> None:
    functions = await app.fetch(
        "SELECT oid::regproc::text AS name FROM pg_proc"
        " WHERE prorettype = 'trigger'::regtype AND pronamespace::regnamespace::text IN ('app', 'quarry')"
    )
    assert len(functions) > 15
    for function in functions:
        async with bound(app, arranged.a):
            assert (await outcome(app, f"SELECT {function['name']}()", [])).code == "42501", function["name"]


async def test_only_these_functions_run_with_the_owners_rights_for_the_serving_role(app: Any) -> None:
    functions = await app.fetch(
        "SELECT oid::regprocedure::text AS name FROM pg_proc WHERE prosecdef AND has_function_privilege(oid, 'EXECUTE')"
        " AND pronamespace::regnamespace::text IN ('app', 'quarry') ORDER BY 1"
    )
    assert [function["name"] for function in functions] == [
        "app.claim_keys(bytea)", "app.claim_purge(interval)", "app.commit_outcome(uuid,bigint,xid8,bigint)",
        "app.consumer_lag()", "app.enter_life()", "app.find_tenant(text)", "app.heads(uuid[])",
        "app.note_purge(integer)", "app.own_migrations()", "app.prune_log(uuid,integer)", "app.waiting(text,integer)",
        "applied_migrations()", "prune_api_keys(uuid,integer)", "prune_deleted(uuid,integer)",
        "prune_sign_in_failures(uuid,integer)", "tenants_to_purge(uuid,integer,interval)", "tenants_to_seal(uuid,integer)",
    ]  # fmt: skip


async def test_only_these_functions_are_for_everybody_or_for_the_platform(app: Any) -> None:
    text = (
        "SELECT oid::regprocedure::text AS name FROM pg_proc WHERE has_function_privilege($1, oid, 'EXECUTE')"
        " AND pronamespace::regnamespace::text IN ('app', 'quarry') ORDER BY 1"
    )
    everybody = ["app.current_tenant()"]
    assert [each["name"] for each in await app.fetch(text, "public")] == everybody
    assert [each["name"] for each in await app.fetch(text, "quarry_platform")] == sorted([
        *everybody, "app.commit_outcome(uuid,bigint,xid8,bigint)", "app.consumer_lag()", "app.enter(uuid)",
        "app.enter_life()", "app.find_tenant(text)", "app.forget_consumer(text)", "app.raise_epoch()",
    ])  # fmt: skip


async def test_the_statistics_of_tenant_tables_are_not_shown(arranged: Arranged, app: Any) -> None:
    root = await asyncpg.connect(arranged.url)
    await root.execute("ANALYZE")
    count = "SELECT count(*) FROM pg_stats WHERE schemaname || '.' || tablename = ANY ($1::text[])"
    assert await root.fetchval(count, list(arranged.tables)) > 0
    await root.close()
    assert await app.fetchval(count, list(arranged.tables)) == 0


async def test_finding_a_tenant_by_its_domain_answers_id_and_status_alone(arranged: Arranged, app: Any) -> None:
    async with bound(app, None):
        (row,) = await app.fetch(
            "SELECT * FROM app.find_tenant($1)", arranged.rows[arranged.b]["app.tenants"]["domain"]
        )
    assert {key: str(value) for key, value in row.items()} == {"id": arranged.b, "status": "active"}


async def test_polling_heads_answers_numbers_alone(arranged: Arranged, app: Any) -> None:
    async with bound(app, None):
        (row,) = await app.fetch("SELECT * FROM app.heads(ARRAY[$1::text::uuid])", arranged.b)
    assert list(row.keys()) == ["tenant_id", "head", "floor"]


async def test_asking_who_waits_answers_ids_alone(arranged: Arranged, app: Any) -> None:
    async with bound(app, None):
        rows = await app.fetch("SELECT * FROM app.waiting('nobody', 99)")
    assert {tuple((key, str(value)) for key, value in row.items()) for row in rows} == {
        (("tenant_id", tenant),) for tenant in (arranged.a, arranged.b)
    }


async def test_asking_for_the_lag_answers_counts_and_a_time_alone(arranged: Arranged, app: Any) -> None:
    async with bound(app, None):
        rows = await app.fetch("SELECT * FROM app.consumer_lag()")
    assert {row["consumer"] for row in rows} == {
        arranged.rows[tenant]["app.cursors"]["consumer"] for tenant in (arranged.a, arranged.b)
    }
    assert list(rows[0].keys()) == ["consumer", "tenants", "failing", "cut_off", "oldest"]
