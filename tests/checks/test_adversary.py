"""What adversaries have found: defects that once passed, and each has to be told of."""

from __future__ import annotations

import pytest

from checks.planting import Garden, Plant, codes
from service.checks.proofs import catalog
from service.checks.rules import functions, leftovers

T = "tenant_id = :tenant_id"
FIND = Plant(f"SELECT id FROM campaigns WHERE {T} AND id = :id", "maybe", takes="id: UUID")
READS = "SELECT count(*) FROM quarry.campaigns"
PEEK = (
    f"CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$ {READS} $$;"
)
CALM = "CREATE FUNCTION calm() RETURNS bigint LANGUAGE {} IMMUTABLE AS $$ {} $$"


NULLS = {
    "a group of no rows": (
        "SELECT lower(:q) AS q, count(*) AS n FROM campaigns WHERE {} AND search_name = lower(:q)",
        "q: str | None",
    ),
    "an empty grouping set": (
        "SELECT lower(:q) AS q, count(*) AS n FROM campaigns WHERE {} AND search_name = lower(:q) GROUP BY ROLLUP (status)",
        "q: str | None",
    ),
    "a variadic NULL": (
        "SELECT concat_ws(' ', VARIADIC :names::text[]) AS q, 1 AS n FROM campaigns WHERE {}",
        "names: list[str] | None",
    ),
}


@pytest.mark.parametrize("what", NULLS)
async def test_a_null_is_told(garden: Garden, what: str) -> None:
    sql, takes = NULLS[what]
    plant = Plant(sql.format(T), row="q: str; n: int", takes=takes, header="-- unbounded: few\n-- grows: tenant")
    assert "may-be-null" in await codes(garden, plant)


ORDERS = [
    "SELECT id FROM campaigns WHERE {} ORDER BY random(), id LIMIT 1",
    "SELECT id FROM campaigns WHERE {} AND random() < 0.5 ORDER BY id LIMIT 1",
    "SELECT id FROM (SELECT id, random() AS r FROM campaigns WHERE {}) AS s ORDER BY r, id LIMIT 1",
    "SELECT id, 1.0 AS k FROM campaigns WHERE {0} UNION ALL SELECT id, 1.00 FROM brands WHERE {0} ORDER BY k, id LIMIT 1",
    (
        "WITH r AS (SELECT id, row_number() OVER (PARTITION BY brand_id ORDER BY created_at) AS n FROM campaigns WHERE {})"
        " SELECT id FROM r WHERE n = 1 ORDER BY id LIMIT 50"
    ),
    "SELECT id FROM (SELECT id, (row_number() OVER (ORDER BY created_at))::int AS n FROM campaigns WHERE {}) AS s WHERE n = 1",
    "SELECT (ARRAY(SELECT c.id FROM campaigns AS c WHERE c.{} ORDER BY c.created_at))[1] AS id",
    "SELECT s.a[1] AS id FROM (SELECT array_agg(id ORDER BY created_at) AS a FROM campaigns WHERE {}) AS s",
]


@pytest.mark.parametrize("sql", ORDERS)
async def test_a_choice_that_is_left_open_is_told(garden: Garden, sql: str) -> None:
    assert "order-not-total" in await codes(garden, Plant(sql.format(T), row="id: UUID | None"))


ARRAYS = [
    "coalesce((SELECT array_agg(b.bio) FROM brands AS b WHERE b.{} AND b.id = c.brand_id), '{{}}')",
    "array_append(ARRAY[name], description)",
    "ARRAY[description] || ARRAY[name]",
    "coalesce(nullif(ARRAY[description], '{{}}'), '{{}}')",
]


@pytest.mark.parametrize("array", ARRAYS)
async def test_a_null_inside_an_array_is_told(garden: Garden, array: str) -> None:
    sql = f"SELECT {array.format(T)} AS a FROM campaigns AS c WHERE c.{T} AND c.id = :id"
    assert "may-hold-null" in await codes(garden, Plant(sql, "maybe", "a: list[str]", "id: UUID"))


PAGES = [
    "NOT ((created_at, id) > (:since, :last))",
    "((created_at, id) > (:since, :last)) IS TRUE",
    "(created_at > :since OR created_at = :since AND id > :last)",
    "(:since::timestamptz IS NULL OR (created_at, id) > (:since, :last))",
    "id < :last AND created_at <> :since",
]


@pytest.mark.parametrize("condition", PAGES)
async def test_a_page_by_a_condition_inside_another_is_told(garden: Garden, condition: str) -> None:
    sql = f"SELECT id FROM campaigns WHERE {T} AND {condition} ORDER BY created_at DESC, id DESC LIMIT :limit"
    assert "keyset-differs" in await codes(garden, Plant(sql, takes="since: datetime, last: UUID, limit: int"))


BODIES = {
    "an operator of several characters": (
        "CREATE FUNCTION peek(text, text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS"
        f" $$ {READS} $$; CREATE OPERATOR ~~> (FUNCTION = peek, LEFTARG = text, RIGHTARG = text); "
        + CALM.format("sql", "SELECT 'a'::text ~~> 'b'::text"),
        "calm() > 0",
    ),
    "a slice": (PEEK + CALM.format("sql", "SELECT array_length((ARRAY[1, 2])[:peek()], 1)::bigint"), "calm() > 0"),
    "a name that is cut off": (
        PEEK.replace("peek", "p" * 63) + CALM.format("sql", f"SELECT {'p' * 66}()"), "calm() > 0",
    ),
    "the time without parentheses": (CALM.format("sql", "SELECT extract(epoch FROM CURRENT_TIMESTAMP)::bigint"), "calm() > 0"),
    "the default of an argument": (
        PEEK + "CREATE FUNCTION calm(n bigint DEFAULT peek()) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n'",
        "calm() > 0",
    ),
    "functions that call each other": (
        ("CREATE FUNCTION f(n int) RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN IF n > 5 THEN RETURN g(n - 1); END IF;"
        " RETURN (SELECT count(*) FROM quarry.campaigns); END $$;"
        "CREATE FUNCTION g(n int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN f(n - 1); END $$"),
        "f(1) > 0 AND g(1) > 0",
    ),
    "a negator": (
        ("CREATE FUNCTION good(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 = $2; END $$;"
        "CREATE FUNCTION evil(text, text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS"
        f" $$ SELECT ({READS}) > 0 $$;"
        "CREATE OPERATOR <<<> (FUNCTION = good, LEFTARG = text, RIGHTARG = text, NEGATOR = >>><);"
        "CREATE OPERATOR >>>< (FUNCTION = evil, LEFTARG = text, RIGHTARG = text, NEGATOR = <<<>)"),
        "NOT (name <<<> 'x')",
    ),
    "a domain over a domain": (
        ("CREATE FUNCTION peek(text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT EXISTS (SELECT FROM quarry.users) $$;"
        "CREATE DOMAIN innerd AS text CHECK (peek(VALUE)); CREATE DOMAIN outerd AS innerd"),
        "name::outerd IS NOT NULL",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BODIES)
async def test_a_function_that_does_more_than_it_seems_is_told(garden: Garden, what: str) -> None:
    ddl, condition = BODIES[what]
    found = await codes(garden, FIND.where("AND id = :id", f"AND id = :id AND {condition}"), ddl)
    assert found & {"function-undeclared", "function-volatility"}


TRIGGER = "CREATE TRIGGER odd BEFORE UPDATE ON campaigns FOR EACH ROW EXECUTE FUNCTION on_write()"
WRITES = "CREATE FUNCTION on_write() RETURNS trigger LANGUAGE plpgsql {} AS $$ BEGIN {} RETURN NEW; END $$; " + TRIGGER
SCHEMAS = {
    "a block in a trigger": WRITES.format("", "DO 'BEGIN NULL; END';"),
    "a trigger that runs a query of a text": WRITES.format("", "PERFORM ts_stat('SELECT NULL::tsvector');"),
    "a trigger that notifies": WRITES.format("", "NOTIFY told;"),
    "a trigger that hands on, and more": WRITES.format(
        "SECURITY DEFINER SET search_path = ''",
        "DO 'BEGIN NULL; END'; PERFORM app.record_changes('campaigns', 'update', ARRAY[NEW.tenant_id], ARRAY[NEW.id], NULL);",
    ),
    "a foreign key without the tenant": "CREATE TABLE notes (tenant_id uuid, id uuid UNIQUE); CREATE TABLE kids (tenant_id uuid,"
    " note_id uuid REFERENCES notes (id) ON DELETE CASCADE); CREATE INDEX ON kids (note_id)",
    "a table with children": "CREATE TABLE one (name text); CREATE TABLE two (tenant_id uuid) INHERITS (one)",
    "a leakproof function": "CREATE FUNCTION leak(text) RETURNS boolean LANGUAGE sql IMMUTABLE LEAKPROOF AS 'SELECT true'",
    "a trigger of a view": "CREATE VIEW seen WITH (security_invoker) AS SELECT tenant_id, id, name FROM campaigns;"
    + WRITES.format("SECURITY DEFINER SET search_path = ''", "UPDATE quarry.campaigns SET name = 'x';").replace(
        "BEFORE UPDATE ON campaigns", "INSTEAD OF UPDATE ON seen"
    ),
    "another function of a declared name": "CREATE FUNCTION tenants_to_purge(text) RETURNS bigint LANGUAGE sql AS"
    " 'SELECT 1::bigint'",
}


@pytest.mark.parametrize("what", SCHEMAS)
async def test_a_schema_that_does_more_than_it_seems_is_told(garden: Garden, what: str) -> None:
    async with garden.with_ddl(SCHEMAS[what]):
        known = await catalog.load(garden.connection)
        found = [*functions.implied(known), *await leftovers.check(garden.connection, known)]
    assert found


async def test_a_materialized_view_and_a_sequence_are_told(garden: Garden) -> None:
    ddl = """CREATE MATERIALIZED VIEW mv AS SELECT id FROM campaigns; GRANT SELECT ON mv TO quarry_app;
        CREATE SEQUENCE counted; GRANT SELECT ON counted TO quarry_app"""
    sql = f"SELECT c.id FROM campaigns AS c WHERE c.{T} AND c.id = :id AND EXISTS (SELECT FROM {{}})"
    for each in ("mv", "counted"):
        assert "system-relation" in await codes(garden, FIND.but(sql=sql.format(each)), ddl)


async def test_a_conflict_with_a_row_of_another_tenant_is_told(garden: Garden) -> None:
    ddl = """CREATE TABLE notes (tenant_id uuid NOT NULL, id uuid NOT NULL, name text NOT NULL, UNIQUE (id));
        GRANT SELECT, INSERT, UPDATE ON notes TO quarry_app;
        ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY;
        CREATE POLICY a ON notes FOR INSERT WITH CHECK (tenant_id = app.current_tenant());
        CREATE POLICY b ON notes FOR SELECT USING (true); CREATE POLICY c ON notes FOR UPDATE USING (true) WITH CHECK (true)"""
    sql = "INSERT INTO notes (tenant_id, id, name) VALUES (:tenant_id, :id, 'x') ON CONFLICT (id) DO UPDATE SET name = 'y'"
    assert "policy-missing" in await codes(garden, Plant(sql, "count", takes="id: UUID"), ddl)
