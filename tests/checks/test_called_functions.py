"""Functions that run by any road: what they may do, what their labels say, and which of the server's own a statement may call."""

from __future__ import annotations

from typing import Any

import pytest

from checks.planting import Garden, Plant, codes
from service.checks.proofs import catalog, system_functions
from service.checks.rules import functions

READS = "SELECT count(*) FROM quarry.campaigns"
FIND = Plant("SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND id = :id", "maybe", takes="id: UUID")
VALUE = Plant("SELECT 1 FROM app.tenants WHERE id = :tenant_id", "value", answers="int | None")
DEFINER = "LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''"

ROADS = {
    "a call": (f"CREATE FUNCTION peek() RETURNS bigint {DEFINER} AS $$ {READS} $$", "peek() > 0"),
    "an operator": (
        (
            f"CREATE FUNCTION peek(text, text) RETURNS boolean {DEFINER} AS $$ SELECT EXISTS ({READS}) $$;"
            "CREATE OPERATOR ~~> (FUNCTION = peek, LEFTARG = text, RIGHTARG = text)"
        ),
        "name ~~> 'x'",
    ),
    "an operator and ANY": (
        (
            f"CREATE FUNCTION peek(text, text) RETURNS boolean {DEFINER} AS $$ SELECT EXISTS ({READS}) $$;"
            "CREATE OPERATOR ~~> (FUNCTION = peek, LEFTARG = text, RIGHTARG = text)"
        ),
        "name ~~> ANY (ARRAY['x'])",
    ),
    "an aggregate": (
        (
            f"CREATE FUNCTION peek(bigint, text) RETURNS bigint {DEFINER} AS $$ {READS} $$;"
            "CREATE AGGREGATE peeks(text) (SFUNC = peek, STYPE = bigint)"
        ),
        "(SELECT peeks(name) FROM campaigns AS c WHERE c.tenant_id = :tenant_id) > 0",
    ),
    "a window": (
        (
            f"CREATE FUNCTION peek(bigint, text) RETURNS bigint {DEFINER} AS $$ {READS} $$;"
            "CREATE AGGREGATE peeks(text) (SFUNC = peek, STYPE = bigint)"
        ),
        "(SELECT peeks(c.name) OVER () FROM campaigns AS c WHERE c.tenant_id = :tenant_id AND c.id = :id) > 0",
    ),
    "a cast": (
        (
            f"CREATE TYPE odd AS (one int); CREATE FUNCTION odd(text) RETURNS odd {DEFINER} AS $$ SELECT 1 FROM quarry.users $$;"
            "CREATE CAST (text AS odd) WITH FUNCTION odd(text)"
        ),
        "name::odd IS NOT NULL",
    ),
    "a domain": (
        (
            f"CREATE FUNCTION peek(text) RETURNS boolean {DEFINER} AS $$ SELECT EXISTS ({READS}) $$;"
            "CREATE DOMAIN short AS text CHECK (peek(VALUE))"
        ),
        "name::short IS NOT NULL",
    ),
}


@pytest.mark.parametrize("road", ROADS)
async def test_a_function_with_owners_rights_is_told_by_whichever_road(garden: Garden, road: str) -> None:
    ddl, condition = ROADS[road]
    found = await codes(garden, FIND.where("AND id = :id", f"AND id = :id AND {condition}"), ddl)
    assert "function-undeclared" in found


LIES = {
    "IMMUTABLE over a table": ("sql", "IMMUTABLE", f"{READS}"),
    "IMMUTABLE over the tenant": ("sql", "IMMUTABLE", "SELECT length(current_setting('app.tenant_id'))::bigint"),
    "IMMUTABLE over another function": ("sql", "IMMUTABLE", "SELECT length(app.current_tenant()::text)::bigint"),
    "IMMUTABLE over the clock": ("sql", "IMMUTABLE", "SELECT extract(epoch FROM now())::bigint"),
    "IMMUTABLE and a text that is run": ("plpgsql", "IMMUTABLE", "BEGIN EXECUTE 'SELECT 1'; RETURN 1; END"),
    "STABLE that writes": ("plpgsql", "STABLE", "BEGIN DELETE FROM quarry.campaigns; RETURN 1; END"),
    "STABLE that sets": ("sql", "STABLE", "SELECT length(set_config('app.x', 'y', true))::bigint"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
async def test_a_label_that_is_not_true_is_told(garden: Garden, lie: str) -> None:
    language, volatility, body = LIES[lie]
    ddl = f"CREATE FUNCTION peek() RETURNS bigint LANGUAGE {language} {volatility} AS $$ {body} $$"
    header = "-- calls: peek because a test says so"
    found = await codes(garden, FIND.where("AND id = :id", "AND id = :id AND peek() > 0").but(header=header), ddl)
    assert "function-volatility" in found


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN PERFORM set_config('app.tenant_id', '', true); RETURN 1; END",
        "BEGIN SET LOCAL app.tenant_id = ''; RETURN 1; END",
        "BEGIN RESET ALL; RETURN 1; END",
    ],
)
async def test_a_function_that_binds_another_tenant_is_told_even_if_declared(garden: Garden, body: str) -> None:
    ddl = f"CREATE FUNCTION peek() RETURNS bigint LANGUAGE plpgsql AS $$ {body} $$"
    header = "-- calls: peek because a test says so"
    found = await codes(garden, FIND.where("AND id = :id", "AND id = :id AND peek() > 0").but(header=header), ddl)
    assert "function-sets" in found


async def test_a_setting_of_a_function_that_binds_another_tenant_is_told(garden: Garden) -> None:
    ddl = "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql SET app.tenant_id = '' AS $$ SELECT 1::bigint $$"
    header = "-- calls: peek because a test says so"
    found = await codes(garden, FIND.where("AND id = :id", "AND id = :id AND peek() > 0").but(header=header), ddl)
    assert "function-sets" in found


async def test_owners_rights_with_the_callers_search_path_are_told(garden: Garden) -> None:
    ddl = f"CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER AS $$ {READS} $$"
    header = "-- calls: peek because a test says so"
    found = await codes(garden, FIND.where("AND id = :id", "AND id = :id AND peek() > 0").but(header=header), ddl)
    assert "search-path-open" in found


async def test_a_function_that_computes_needs_no_declaration(garden: Garden) -> None:
    ddl = "CREATE FUNCTION twice(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 2 * n $$"
    assert await codes(garden, FIND.where("AND id = :id", "AND id = :id AND twice(1) = 2"), ddl) <= {
        "privilege-missing"
    }


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("set_config('app.tenant_id', '', true)", "system-function"),
        ("query_to_xml('SELECT 1', true, true, '')::text", "system-function"),
        ("table_to_xml('app.tenants', true, true, '')::text", "system-function"),
        ("(SELECT word FROM ts_stat('SELECT NULL::tsvector') LIMIT 1)", "system-function"),
        ("ts_rewrite('a'::tsquery, 'SELECT NULL::tsquery, NULL::tsquery')::text", "system-function"),
        ("pg_read_file('PG_VERSION')", "system-function"),
        ("lo_get(1)::text", "system-function"),
        ("pg_cancel_backend(1)::text", "system-function"),
        ("pg_advisory_xact_lock(1)::text", "system-function"),
        ("pg_notify('a', 'b')::text", "system-function"),
        ("pg_sleep(1)::text", "system-function"),
        ("nextval('app.none')::text", "refused"),
        ("pg_relation_size('campaigns')::text", "statistics-told"),
        ("pg_stat_get_live_tuples('campaigns'::regclass)::text", "statistics-told"),
        ("pg_current_snapshot()::text", "statistics-told"),
        ("age('1'::xid)::text", "statistics-told"),
        ("(SELECT query FROM pg_stat_activity LIMIT 1)", "system-relation"),
        ("(SELECT c.reltuples::text FROM pg_class AS c WHERE c.relname = 'campaigns' LIMIT 1)", "system-relation"),
        ("(SELECT table_name::text FROM information_schema.tables LIMIT 1)", "system-relation"),
    ],
)
async def test_what_no_policy_keeps_to_the_tenant_is_told(garden: Garden, expression: str, code: str) -> None:
    plant = Plant(f"SELECT {expression} AS told FROM app.tenants WHERE id = :tenant_id", "value", answers="str | None")
    assert code in await codes(garden, plant, "")


@pytest.mark.parametrize(
    "expression",
    ["age(now(), now())::text", "pg_column_size(1)::text", "lower('A')", "now()::text", "pg_typeof(1)::text"],
)
async def test_what_only_computes_may_be_called(garden: Garden, expression: str) -> None:
    plant = Plant(f"SELECT {expression} AS told FROM app.tenants WHERE id = :tenant_id", "value", answers="str | None")
    assert await codes(garden, plant, "") == set()


async def test_every_function_of_the_server_is_classified(ground: Any) -> None:
    known = await catalog.load(ground)
    unknown = {
        each.name
        for each in known.functions.values()
        if each.schema == "pg_catalog" and system_functions.kind(each) is None
    }
    assert unknown == set()


IMPLIED = {
    "a trigger": "CREATE TRIGGER peeks AFTER UPDATE ON campaigns FOR EACH ROW EXECUTE FUNCTION peek_row()",
    "a default": "ALTER TABLE campaigns ADD COLUMN extra bigint DEFAULT peek()",
    "a CHECK": "ALTER TABLE campaigns ADD CONSTRAINT odd CHECK (peek() >= 0)",
    "a policy": "CREATE POLICY odd ON campaigns USING (peek() > 0)",
    "an index": "CREATE INDEX odd ON campaigns ((fixed(name)))",
    "a condition of an index": "CREATE INDEX odd ON campaigns (name) WHERE fixed(name) > 0",
    "a generated column": "ALTER TABLE campaigns ADD COLUMN extra bigint GENERATED ALWAYS AS (fixed(name)) STORED",
}
MADE = f"""
    CREATE FUNCTION peek() RETURNS bigint {DEFINER} AS $$ {READS} $$;
    CREATE FUNCTION fixed(text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT count(*) FROM quarry.niches_of_none $$;
    CREATE FUNCTION peek_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS
        $$ BEGIN PERFORM {READS[7:]}; RETURN NEW; END $$;"""


@pytest.mark.parametrize("road", IMPLIED)
async def test_what_runs_when_a_table_is_written_is_told(garden: Garden, road: str) -> None:
    made = "SET LOCAL check_function_bodies = off;" + MADE.replace("quarry.niches_of_none", "quarry.users")
    async with garden.with_ddl(f"{made} {IMPLIED[road]}"):
        found = functions.implied(await catalog.load(garden.connection))
    assert {each.code for each in found} & {"function-undeclared", "function-volatility"}


async def test_nothing_is_told_of_the_schema_as_it_stands(garden: Garden) -> None:
    assert functions.implied(await catalog.load(garden.connection)) == []


@pytest.mark.parametrize(
    "definition",
    [
        "LANGUAGE sql STABLE SET search_path = '' AS $$ SELECT 'aaaaaaaa-0000-4000-8000-000000000001'::uuid $$",
        (
            "LANGUAGE sql STABLE SET search_path = '' AS $$ SELECT coalesce(current_setting('app.other', true),"
            " current_setting('app.tenant_id'))::uuid $$"
        ),
        "LANGUAGE sql IMMUTABLE SET search_path = '' AS $$ SELECT current_setting('app.tenant_id')::uuid $$",
    ],
)
async def test_another_function_for_the_tenant_is_told(garden: Garden, definition: str) -> None:
    ddl = f"CREATE OR REPLACE FUNCTION app.current_tenant() RETURNS uuid {definition}"
    async with garden.with_ddl(ddl):
        found = functions.implied(await catalog.load(garden.connection))
    assert "tenant-function-differs" in {each.code for each in found}


RULES = {
    "ALSO": "CREATE RULE odd AS ON UPDATE TO campaigns DO ALSO UPDATE users SET display_name = 'x'",
    "INSTEAD": "CREATE RULE odd AS ON UPDATE TO campaigns DO INSTEAD UPDATE users SET display_name = 'x'",
    "ALSO INSERT": "CREATE RULE odd AS ON UPDATE TO campaigns DO ALSO INSERT INTO otps SELECT o.* FROM otps AS o",
    "NOTHING": "CREATE RULE odd AS ON UPDATE TO campaigns DO INSTEAD NOTHING",
}


@pytest.mark.parametrize("rule", RULES)
async def test_what_a_rule_adds_is_judged_like_the_statement(garden: Garden, rule: str) -> None:
    plant = Plant(
        "UPDATE campaigns SET name = :name WHERE tenant_id = :tenant_id AND id = :id",
        "count",
        takes="id: UUID, name: str",
    )
    found = await codes(garden, plant, RULES[rule])
    assert found & {"tenant-not-named", "policy-missing", "not-understood", "view-with-owners-rights"}
