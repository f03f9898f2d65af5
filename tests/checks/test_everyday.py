"""Everyday SQL that is proved without an exception; and statements that look like it, and are refused."""

from __future__ import annotations

import pytest

from checks.planting import Garden, Plant

TREE = """CREATE TABLE nodes (tenant_id uuid NOT NULL, id uuid NOT NULL, parent_id uuid, name text NOT NULL,
                    PRIMARY KEY (tenant_id, id));
    CREATE INDEX ON nodes (tenant_id, parent_id);
    ALTER TABLE nodes ENABLE ROW LEVEL SECURITY; ALTER TABLE nodes FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON nodes USING (tenant_id = app.current_tenant()); GRANT SELECT ON nodes TO quarry_app"""
VIEW = """CREATE VIEW live WITH (security_invoker) AS SELECT id, tenant_id, name FROM campaigns WHERE deleted_at IS NULL;
    GRANT SELECT ON live TO quarry_app"""
MOODS = """CREATE TABLE moods (tenant_id uuid NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, kind text NOT NULL,
                    PRIMARY KEY (tenant_id, id));
    ALTER TABLE moods ENABLE ROW LEVEL SECURITY; ALTER TABLE moods FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON moods USING (tenant_id = app.current_tenant()); GRANT SELECT, INSERT ON moods TO quarry_app"""
THINGS = """CREATE TABLE things (tenant_id uuid NOT NULL, id bigserial, name text NOT NULL, tags text[], bits bit(8),
                     PRIMARY KEY (tenant_id, id));
    CREATE UNIQUE INDEX ON things (tenant_id, lower(name));
    ALTER TABLE things ENABLE ROW LEVEL SECURITY; ALTER TABLE things FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON things USING (tenant_id = app.current_tenant());
    GRANT SELECT, INSERT, UPDATE, DELETE ON things TO quarry_app; GRANT USAGE ON SEQUENCE things_id_seq TO quarry_app;
    CREATE FUNCTION say_hello(s text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN concat('hello ', s); END $$"""
DOCUMENTS = """CREATE TABLE documents (tenant_id uuid NOT NULL, id uuid NOT NULL, data jsonb NOT NULL, at timestamptz NOT NULL,
                        PRIMARY KEY (tenant_id, id));
    ALTER TABLE documents ENABLE ROW LEVEL SECURITY; ALTER TABLE documents FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON documents USING (tenant_id = app.current_tenant());
    GRANT SELECT, INSERT, UPDATE ON documents TO quarry_app"""
LEADERS = """CREATE TABLE leaders (tenant_id uuid NOT NULL, kind text NOT NULL CHECK (kind = 'default'),
                      PRIMARY KEY (tenant_id, kind));
    ALTER TABLE leaders ENABLE ROW LEVEL SECURITY; ALTER TABLE leaders FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON leaders USING (tenant_id = app.current_tenant()); GRANT SELECT ON leaders TO quarry_app"""
BOUND = "tenant_id = :tenant_id"
MERGE = f"""MERGE INTO campaigns AS c
 USING (SELECT :id::uuid AS id, :name::text AS name) AS s ON c.{BOUND} AND c.id = s.id
  WHEN MATCHED THEN UPDATE SET name = s.name
  WHEN NOT MATCHED THEN INSERT (tenant_id, id, name, owner_id) VALUES (:tenant_id, s.id, s.name, :owner)"""
DESCEND = f"""WITH RECURSIVE t AS (
    SELECT id, tenant_id FROM nodes WHERE {BOUND} AND id = :id
    UNION ALL
    SELECT n.id, n.tenant_id FROM nodes AS n JOIN t ON n.tenant_id = t.tenant_id AND n.parent_id = t.id
)"""
UPSERT = """INSERT INTO campaigns (tenant_id, id, name, owner_id) VALUES (:tenant_id, :id, :name, :owner)
    ON CONFLICT (tenant_id, id) DO UPDATE SET name = excluded.name"""


def one(columns: str, row: str, rest: str = "AND id = :id", takes: str = "id: UUID") -> Plant:
    """A row of campaigns with some columns."""
    return Plant(f"SELECT {columns} FROM campaigns WHERE {BOUND} {rest}", "maybe", row, takes)


PROVED = {
    "MERGE": (Plant(MERGE, "count", takes="id: UUID, name: str, owner: UUID"), ""),
    "an identity column": (
        Plant("INSERT INTO moods (tenant_id, kind) VALUES (:tenant_id, :kind) RETURNING id", "one", "id: int", "kind: str"),
        MOODS,
    ),
    "whether a row is new": (
        Plant(f"{UPSERT} RETURNING (xmax = 0) AS is_new", "one", "is_new: bool", "id: UUID, name: str, owner: UUID"),
        "",
    ),
    "JSON that is built": (one("json_build_object('a', name)::text AS j", "j: str"), ""),
    "a running sum": (one("id, sum(1) OVER (ORDER BY created_at, id) AS n", "id: UUID; n: int"), ""),
    "the year of a time": (one("extract(year FROM created_at)::int AS y", "y: int"), ""),
    "functions of texts": (
        one(
            "initcap(name) AS a, reverse(name) AS b, lpad(name, 3, '0') AS c, split_part(name, ' ', 1) AS d,"
            " translate(name, 'a', 'b') AS e, repeat(name, 2) AS f, strpos(name, 'a') AS g, concat_ws(' ', name, status) AS h,"
            " format('%s', description) AS i",
            "a: str; b: str; c: str; d: str; e: str; f: str; g: int; h: str; i: str",
        ),
        "",
    ),
    "a key of JSON that WHERE asks for": (
        Plant(
            "SELECT features->>'k' AS k FROM app.tenants WHERE id = :tenant_id AND features->>'k' IS NOT NULL",
            "maybe", "k: str",
        ),
        "",
    ),
    "a view with the rights of who asks": (
        Plant(f"SELECT id FROM live WHERE {BOUND} AND id = :id", "maybe", takes="id: UUID"),
        VIEW,
    ),
    "the tenant outside a table expression": (
        Plant(
            f"WITH c AS (SELECT id, tenant_id FROM campaigns) SELECT id FROM c WHERE {BOUND} AND id = :id",
            "maybe", takes="id: UUID",
        ),
        "",
    ),
    "the tenant down a tree": (
        Plant(f"{DESCEND} SELECT id FROM t ORDER BY id", takes="id: UUID", header="-- unbounded: few in a test"),
        TREE,
    ),
    "SEARCH and CYCLE": (
        Plant(
            f"{DESCEND} SEARCH DEPTH FIRST BY id SET place CYCLE id SET is_cycle USING path SELECT id FROM t ORDER BY place",
            takes="id: UUID", header="-- unbounded: few in a test",
        ),
        TREE,
    ),
    "an inner join inside an outer one": (
        Plant(
            f"SELECT c.id, b.username AS u FROM campaigns AS c LEFT JOIN (brands AS b JOIN brand_niches AS n ON n.{BOUND}"
            f" AND n.brand_id = b.id) ON b.{BOUND} AND b.id = c.brand_id WHERE c.{BOUND} AND c.id = :id",
            "many", "id: UUID; u: str | None", "id: UUID", header="-- unbounded: few in a test",
        ),
        "",
    ),
    "a feed of several tables": (
        Plant(
            f"SELECT id, created_at, 'campaign' AS kind FROM campaigns WHERE {BOUND} UNION ALL"
            f" SELECT id, created_at, 'brand' FROM brands WHERE {BOUND} ORDER BY created_at DESC, kind, id LIMIT :limit",
            "many", "id: UUID; created_at: datetime; kind: Literal['campaign', 'brand']", "limit: int",
        ),
        "",
    ),
    "an expression that no index has": (
        one("id", "id: UUID", "AND lower(name) = lower(:name) ORDER BY created_at DESC, id DESC LIMIT 1", "name: str"),
        "",
    ),
    "a page that goes another way with each key": (
        Plant(
            f"SELECT id, created_at FROM campaigns WHERE {BOUND} AND (created_at < :after_created_at"
            " OR created_at = :after_created_at AND id > :after_id) ORDER BY created_at DESC, id LIMIT :limit",
            "many", "id: UUID; created_at: datetime", "limit: int, after_created_at: datetime, after_id: UUID",
        ),
        "",
    ),
    "the ends of a range": (
        Plant(
            f"SELECT id FROM campaigns WHERE {BOUND} AND created_at BETWEEN :since AND :until ORDER BY created_at, id"
            " LIMIT :limit",
            takes="since: datetime, until: datetime, limit: int",
        ),
        "",
    ),
    "an id as text in a feed": (
        Plant(
            f"SELECT id::text AS id, 'campaign' AS kind FROM campaigns WHERE {BOUND} UNION ALL"
            f" SELECT id::text, 'brand' FROM brands WHERE {BOUND} ORDER BY kind, id LIMIT :limit",
            "many", "id: str; kind: Literal['campaign', 'brand']", "limit: int",
        ),
        "",
    ),
    "a list of constants": (
        Plant(
            f"SELECT c.id FROM campaigns AS c JOIN (VALUES ('draft'), ('active')) AS v (s) ON v.s = c.status WHERE c.{BOUND}"
            " ORDER BY c.id LIMIT 5"
        ),
        "",
    ),
    "JSON that is changed": (
        Plant(
            "UPDATE app.tenants SET features = jsonb_set(features, ARRAY['x'], to_jsonb(:v::text)) WHERE id = :tenant_id",
            "count", takes="v: str",
        ),
        "",
    ),
    "a serial column": (
        Plant(
            "INSERT INTO things (tenant_id, name, tags) VALUES (:tenant_id, :name, :tags) RETURNING id, tags", "one",
            "id: int; tags: list[str] | None", "name: str, tags: list[str]",
        ),
        THINGS,
    ),
    "the value of a new row": (
        Plant("INSERT INTO things (tenant_id, name) VALUES (:tenant_id, :name) RETURNING id", "value", takes="name: str"),
        THINGS,
    ),
    "bits": (Plant(f"SELECT bits FROM things WHERE {BOUND} AND id = :id", "maybe", "bits: BitString | None", "id: int"), THINGS),
    "an interval that is made": (
        Plant(
            f"UPDATE campaigns SET name = (now() + make_interval(secs => :ttl))::text WHERE {BOUND} AND id = :id", "count",
            takes="ttl: float, id: UUID",
        ),
        "",
    ),
    "DISTINCT ON what is shown": (
        Plant(
            f"SELECT DISTINCT ON (name) name FROM campaigns WHERE {BOUND} ORDER BY name LIMIT :n", "many", "name: str",
            "n: int", header="-- grows: tenant",
        ),
        "",
    ),
    "a function that is one row": (
        Plant(
            "SELECT h FROM say_hello(:s) AS h WHERE :tenant_id::uuid IS NOT NULL", "maybe", "h: str | None", "s: str",
            header="-- calls: say_hello because it is a test",
        ),
        THINGS,
    ),
    "a unique expression": (
        Plant(
            f"SELECT id FROM things WHERE {BOUND} AND lower(name) = lower(:name)", "maybe", "id: int", "name: str",
            header="-- unindexed: things because a tenant has few",
        ),
        THINGS,
    ),
    "a key that can have one value": (
        Plant(f"SELECT kind FROM leaders WHERE {BOUND}", "maybe", "kind: Literal['default']"),
        LEADERS,
    ),
    "a queue": (
        Plant(
            f"WITH l AS (SELECT id FROM campaigns WHERE {BOUND} ORDER BY created_at, id LIMIT :max FOR UPDATE SKIP LOCKED)"
            f" UPDATE campaigns AS c SET description = name FROM l WHERE c.{BOUND} AND c.id = l.id RETURNING c.id",
            takes="max: int",
        ),
        "",
    ),
    "a queue that is emptied": (
        Plant(
            f"DELETE FROM things WHERE {BOUND} AND id IN (SELECT t.id FROM things AS t WHERE t.{BOUND} ORDER BY t.id LIMIT :max)"
            " RETURNING id",
            row="id: int", takes="max: int",
        ),
        THINGS,
    ),
    "a pattern of one row, and one that no index helps": (
        Plant(
            f"SELECT id FROM things WHERE {BOUND} AND id = :id AND lower(name) LIKE :x UNION ALL"
            f" SELECT id FROM things WHERE {BOUND} AND lower(name) LIKE '%' || :x ORDER BY id LIMIT 1",
            "maybe", "id: int", "id: int, x: str", header="-- unordered: any will do",
        ),
        THINGS,
    ),
    "a page of groups": (
        Plant(
            f"SELECT owner_id, max(created_at) AS last FROM campaigns WHERE {BOUND} GROUP BY owner_id"
            " HAVING (max(created_at), owner_id) < (:after_last, :after_owner_id) ORDER BY last DESC, owner_id DESC LIMIT 10",
            "many", "owner_id: UUID; last: datetime", "after_last: datetime, after_owner_id: UUID", header="-- grows: tenant",
        ),
        "",
    ),
    "the middle of a group": (
        Plant(
            "SELECT owner_id, percentile_disc(0.5) WITHIN GROUP (ORDER BY budget_minor) AS m"
            f" FROM campaigns WHERE {BOUND} GROUP BY owner_id ORDER BY owner_id LIMIT 5",
            "many", "owner_id: UUID; m: int", header="-- grows: tenant",
        ),
        "",
    ),
    "fields of JSON": (
        Plant(
            f"SELECT e.key, e.value FROM documents AS d, jsonb_each(d.data) AS e WHERE d.{BOUND} AND d.id = :id", "many",
            "key: str; value: Json", "id: UUID", header="-- unbounded: few in a test",
        ),
        DOCUMENTS,
    ),
    "elements of JSON": (
        Plant(
            f"SELECT e.value FROM documents AS d, jsonb_array_elements(d.data) AS e WHERE d.{BOUND} AND d.id = :id", "many",
            "value: Json", "id: UUID", header="-- unbounded: few in a test",
        ),
        DOCUMENTS,
    ),
    "a field that is assigned": (
        Plant(f"UPDATE documents SET data['x'] = to_jsonb(:v::text) WHERE {BOUND} AND id = :id", "count",
              takes="v: str, id: UUID"),
        DOCUMENTS,
    ),
    "fields that are taken away": (
        Plant(f"UPDATE documents SET data = data - :keys::text[] WHERE {BOUND} AND id = :id", "count",
              takes="keys: list[str], id: UUID"),
        DOCUMENTS,
    ),
    "the oldest that nobody has": (
        one("id", "id: UUID", "AND status = 'draft' ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED", ""),
        "",
    ),
}  # fmt: skip
SINCE_16 = {
    "JSON by the standard": one(
        "JSON_OBJECT('a': name)::text AS j, JSON_ARRAY(name, status)::text AS k", "j: str; k: str"
    ),
}
SINCE_18 = {
    "OLD and NEW": Plant(
        f"UPDATE campaigns SET name = :name WHERE {BOUND} AND id = :id RETURNING old.name AS before, new.name AS after",
        "maybe", "before: str; after: str", "id: UUID, name: str",
    ),
}  # fmt: skip


async def codes(garden: Garden, plant: Plant, ddl: str) -> list[tuple[str, str]]:
    async with garden.with_ddl(ddl):
        [subject] = await garden.judge({"planted": plant})
    return [(each.code, f"{each.message} | {each.proved}") for each in subject.findings]


@pytest.mark.parametrize("what", PROVED)
async def test_it_is_proved(garden: Garden, what: str) -> None:
    assert await codes(garden, *PROVED[what]) == []


@pytest.mark.parametrize("what", [*SINCE_16, *SINCE_18])
async def test_it_is_proved_where_the_server_has_it(garden: Garden, what: str) -> None:
    version = await garden.connection.fetchval("SELECT current_setting('server_version_num')::int / 10000")
    if version < (16 if what in SINCE_16 else 18):
        pytest.skip(f"PostgreSQL {version} does not have it")
    assert await codes(garden, {**SINCE_16, **SINCE_18}[what], "") == []


OTHERS = "WITH c AS (SELECT id, tenant_id, created_at FROM campaigns {}) SELECT id FROM c {}"
REFUSED = {
    "a LIMIT inside": OTHERS.format("ORDER BY created_at, id LIMIT 5", f"WHERE {BOUND}"),
    "a lock inside": OTHERS.format("FOR UPDATE", f"WHERE {BOUND} AND id = :id"),
    "a count inside": "SELECT s.n FROM (SELECT tenant_id, count(*) OVER () AS n FROM campaigns) AS s"
    " WHERE s.tenant_id = :tenant_id",
    "a reference that names no tenant": OTHERS.format("", f"WHERE {BOUND} AND id = :id OR EXISTS (SELECT FROM c AS d)"),
    "a second reference": OTHERS.format("", f"WHERE {BOUND} AND id = :id UNION ALL SELECT id FROM c WHERE id = :id"),
    "the other side of an outer join": f"SELECT c.id FROM campaigns AS c LEFT JOIN users AS u ON c.{BOUND} AND u.{BOUND}"
    " AND u.id = c.owner_id WHERE c.id = :id",
    "a tree by another key": DESCEND.replace("n.tenant_id = t.tenant_id AND ", "") + "SELECT id FROM t",
    "a tree that starts anywhere": DESCEND.replace(f"{BOUND} AND ", f"({BOUND} OR name = '') AND ")
    + "SELECT id FROM t",
    "MERGE without the tenant": MERGE.replace(f"c.{BOUND} AND ", ""),
    "MERGE that inserts for another": MERGE.replace("(:tenant_id, s.id", "(:owner, s.id"),
    "MERGE that moves a row": MERGE.replace("SET name = s.name", "SET tenant_id = :owner"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_looks_like_it_is_refused(garden: Garden, what: str) -> None:
    takes = ", ".join(
        f"{name}: {type_}"
        for name, type_ in (("id", "UUID"), ("name", "str"), ("owner", "UUID"))
        if f":{name}" in REFUSED[what]
    )
    plant = Plant(REFUSED[what], "count", takes=takes)
    found = {code for code, _ in await codes(garden, plant, TREE)}
    assert found & {"tenant-not-named", "tenant-assigned"}


LIMITED = (
    "SELECT c.id FROM campaigns AS c {} (SELECT n.campaign_id FROM contents AS n WHERE n.tenant_id = :tenant_id {}"
    " ORDER BY n.created_at, n.id LIMIT :max) {} AND c.tenant_id = :tenant_id"
)
UNBOUNDED = {
    "a LIMIT for each row": LIMITED.format(
        "CROSS JOIN LATERAL", "AND n.campaign_id = c.id", "AS l WHERE c.id = l.campaign_id"
    ),
    "a LIMIT for each row, in a condition": LIMITED.format("WHERE c.id IN", "AND n.title = c.name", ""),
    "rows that meet no key": LIMITED.format("WHERE c.owner_id IN", "", ""),
    "rows that the limited ones are not": LIMITED.format("WHERE c.id NOT IN", "", ""),
}


@pytest.mark.parametrize("what", UNBOUNDED)
async def test_a_limit_inside_that_bounds_no_rows_is_told(garden: Garden, what: str) -> None:
    found = {code for code, _ in await codes(garden, Plant(UNBOUNDED[what], takes="max: int"), "")}
    assert "unbounded" in found


async def test_an_expression_under_another_collation_is_no_key(garden: Garden) -> None:
    other = "CREATE COLLATION other (provider = libc, locale = 'C'); "
    ddl = other + THINGS.replace("lower(name)", "lower(name) COLLATE other")
    plant = Plant(f"SELECT id FROM things WHERE {BOUND} AND lower(name) = :name", "maybe", "id: int", "name: str")
    assert "several-rows" in {code for code, _ in await codes(garden, plant, ddl)}


@pytest.mark.parametrize(("columns", "is_told"), [("tags", True), ("name, tags", False)])
async def test_an_insert_that_leaves_out_a_required_column_is_told(garden: Garden, columns: str, is_told: bool) -> None:
    values = ", ".join(f":{each}" for each in columns.split(", "))
    takes = ("name: str, " if "name" in columns else "") + "tags: list[str]"
    plant = Plant(f"INSERT INTO things (tenant_id, {columns}) VALUES (:tenant_id, {values})", "count", takes=takes)
    assert ("null-is-refused" in {code for code, _ in await codes(garden, plant, THINGS)}) == is_told


@pytest.mark.parametrize(("columns", "is_told"), [("name", True), ("name, owner_id", False)])
async def test_a_trigger_that_sets_other_columns_excuses_no_omission(
    garden: Garden, columns: str, is_told: bool
) -> None:
    values = ", ".join(f":{each}" for each in columns.split(", "))
    takes = "name: str, owner_id: UUID" if "owner" in columns else "name: str"
    plant = Plant(f"INSERT INTO campaigns (tenant_id, {columns}) VALUES (:tenant_id, {values})", "count", takes=takes)
    assert ("null-is-refused" in {code for code, _ in await codes(garden, plant, "")}) == is_told


async def test_a_merge_that_leaves_out_a_required_column_is_told(garden: Garden) -> None:
    sql = (
        f"MERGE INTO things AS c USING (SELECT :id::bigint AS id) AS s ON c.{BOUND} AND c.id = s.id"
        " WHEN NOT MATCHED THEN INSERT (tenant_id, id) VALUES (:tenant_id, s.id)"
    )
    assert "null-is-refused" in {code for code, _ in await codes(garden, Plant(sql, "count", takes="id: int"), THINGS)}
