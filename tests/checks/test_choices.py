"""One of several rows is taken only by a total order, whichever expression takes it."""

from __future__ import annotations

import pytest

from checks.planting import Garden, Plant, codes

CHOICES = {
    "DISTINCT ON": "SELECT DISTINCT ON (n.campaign_id) n.id FROM contents AS n WHERE n.tenant_id = :tenant_id"
    " ORDER BY n.campaign_id, n.created_at DESC{}",
    "row_number()": "SELECT p.id FROM (SELECT n.id, row_number() OVER (PARTITION BY n.campaign_id ORDER BY n.created_at DESC{})"
    " AS place FROM contents AS n WHERE n.tenant_id = :tenant_id) AS p WHERE p.place <= 3",
    "a count of ROWS": "SELECT p.id FROM (SELECT n.id, count(*) OVER (ORDER BY n.created_at DESC{} ROWS UNBOUNDED PRECEDING)"
    " AS place FROM contents AS n WHERE n.tenant_id = :tenant_id) AS p WHERE p.place <= 3",
    "array_agg()[1]": "SELECT (array_agg(n.id ORDER BY n.created_at DESC{}))[1] AS id FROM contents AS n"
    " WHERE n.tenant_id = :tenant_id GROUP BY n.campaign_id",
    "jsonb_agg() ->> 0": "SELECT (jsonb_agg(n.id ORDER BY n.created_at DESC{}) ->> 0)::uuid AS id FROM contents AS n"
    " WHERE n.tenant_id = :tenant_id GROUP BY n.campaign_id",
    "split_part(string_agg())": "SELECT split_part(string_agg(n.id::text, ',' ORDER BY n.created_at DESC{}), ',', 1)::uuid AS id"
    " FROM contents AS n WHERE n.tenant_id = :tenant_id GROUP BY n.campaign_id",
    "first_value()": "SELECT first_value(n.id) OVER (PARTITION BY n.campaign_id ORDER BY n.created_at DESC{}) AS id"
    " FROM contents AS n WHERE n.tenant_id = :tenant_id",
}


@pytest.mark.parametrize("choice", CHOICES)
async def test_one_of_several_rows_is_taken_by_a_total_order(garden: Garden, choice: str) -> None:
    header = "-- unbounded: few in a test\n-- unindexed: contents because all are read"
    plant = Plant(CHOICES[choice], header=header)
    assert "order-not-total" in await codes(garden, plant.but(sql=CHOICES[choice].format("")))
    assert "order-not-total" not in await codes(garden, plant.but(sql=CHOICES[choice].format(", n.id")))


UPDATE = (
    "UPDATE campaigns AS c SET description = {} FROM contents AS n WHERE c.tenant_id = :tenant_id"
    " AND n.tenant_id = :tenant_id AND n.campaign_id = c.id AND c.id = :id{}"
)


@pytest.mark.parametrize(
    ("sql", "is_told"),
    [
        pytest.param(UPDATE.format("n.title", ""), True, id="of-several"),
        pytest.param(UPDATE.format("n.title", " AND n.id = :child"), False, id="of-one"),
        pytest.param(UPDATE.format("'x'", ""), False, id="of-none"),
        pytest.param(UPDATE.format("'x'", " RETURNING n.id"), True, id="returned"),
        pytest.param("UPDATE contents AS n SET title = c.name FROM campaigns AS c WHERE c.tenant_id = :tenant_id"
                     " AND n.tenant_id = :tenant_id AND c.id = n.campaign_id AND n.id = :id", False, id="of-a-parent"),
    ],
)  # fmt: skip
async def test_an_update_takes_values_of_one_row(garden: Garden, sql: str, is_told: bool) -> None:
    takes = "id: UUID, child: UUID" if ":child" in sql else "id: UUID"
    plant = Plant(sql, "maybe" if "RETURNING" in sql else "count", takes=takes)
    assert ("order-not-total" in await codes(garden, plant)) == is_told


@pytest.mark.parametrize(
    ("value", "is_told"),
    [("any_value(n.title)", True), ("any_value(c.name)", False), ("mode() WITHIN GROUP (ORDER BY n.kind)", True)],
)
async def test_a_value_of_a_group_is_the_only_one(garden: Garden, value: str, is_told: bool) -> None:
    if await garden.connection.fetchval("SELECT current_setting('server_version_num')::int") < 160000:
        pytest.skip("there is no any_value() before PostgreSQL 16")
    sql = (
        f"SELECT c.id, {value} AS one FROM campaigns AS c JOIN contents AS n ON n.tenant_id = :tenant_id"
        " AND n.campaign_id = c.id WHERE c.tenant_id = :tenant_id GROUP BY c.id"
    )
    plant = Plant(sql, row="id: UUID; one: str", header="-- unbounded: few in a test\n-- grows: tenant")
    assert ("order-not-total" in await codes(garden, plant)) == is_told


T = "tenant_id = :tenant_id"
OWN = f"(SELECT {{}} FROM contents AS n WHERE n.{T} AND n.campaign_id = c.id)"
OF_BRAND = f"FROM campaigns WHERE {T} AND brand_id = :id"
NUMBERED = f"(SELECT id, row_number() OVER (ORDER BY created_at DESC) AS n {OF_BRAND}) AS s"
LEFT_OPEN = {
    "an element of a sub-select": f"SELECT {OWN.format('array_agg(n.id ORDER BY n.created_at)')}[1] AS id FROM campaigns AS c"
    f" WHERE c.{T} AND c.id = :id",
    "an element from a table expression": f"WITH g AS (SELECT brand_id, array_agg(id ORDER BY created_at) AS ids {OF_BRAND}"
    " GROUP BY brand_id) SELECT ids[1] AS id FROM g",
    "an element of a changed array": f"SELECT (array_remove(array_agg(id ORDER BY created_at), NULL))[1] AS id {OF_BRAND}",
    "an element of a text": f"SELECT (string_to_array(string_agg(name, ',' ORDER BY created_at), ','))[1] AS id {OF_BRAND}",
    "an element by a path": f"SELECT jsonb_agg(id ORDER BY created_at) #>> '{{0}}' AS id {OF_BRAND}",
    "an element of a window": "SELECT (array_agg(id) OVER (PARTITION BY brand_id ORDER BY created_at))[1] AS id " + OF_BRAND,
    "the last value of a key": f"SELECT jsonb_object_agg(status, name)::text AS id {OF_BRAND}",
    "an order by an open number": f"SELECT s.id FROM {NUMBERED} ORDER BY s.n, s.id LIMIT 1",
    "an open number in a sub-select": f"SELECT s.id FROM {NUMBERED} WHERE EXISTS (SELECT WHERE s.n = 1)",
    "chance in a table expression": f"WITH r AS (SELECT id {OF_BRAND} AND random() < 0.5) SELECT id FROM r ORDER BY id LIMIT 1",
    "chance in an outer join": f"SELECT c.id FROM campaigns AS c LEFT JOIN users AS u ON u.{T} AND u.id = c.owner_id"
    f" AND random() < 0.5 WHERE c.{T} AND c.brand_id = :id ORDER BY u.id, c.id LIMIT 1",
    "a row that DELETE meets": f"DELETE FROM campaign_influencers AS a USING contents AS n WHERE a.{T} AND a.id = :id AND n.{T}"
    " AND n.campaign_id = a.campaign_id RETURNING n.title AS id",
    "a row of a series": f"UPDATE campaigns AS c SET description = g.g::text FROM generate_series(1, 10) AS g WHERE c.{T}"
    " AND c.id = :id RETURNING c.id",
    "a row behind a row that is missing": "UPDATE campaigns AS c SET description = s.title FROM users AS x LEFT JOIN"
    f" (contents AS s LEFT JOIN users AS u ON u.{T} AND u.id = s.campaign_id) ON s.{T} AND s.campaign_id = :id WHERE x.{T}"
    " AND x.id = c.owner_id"
    f" AND u.id IS NULL AND c.{T} AND c.id = :id RETURNING c.id",
    "a list of numbers that are equal": f"SELECT c.id FROM campaigns AS c, (VALUES (1.0), (1.00)) AS v (x) WHERE c.{T}"
    " AND c.id = :id ORDER BY v.x LIMIT 1",
}  # fmt: skip


@pytest.mark.parametrize("what", LEFT_OPEN)
async def test_a_choice_that_is_left_open_is_told(garden: Garden, what: str) -> None:
    assert "order-not-total" in await codes(garden, Plant(LEFT_OPEN[what], takes="id: UUID"))


@pytest.mark.parametrize("value", ["(array_agg(name ORDER BY name DESC))[1]", "left(max(name), 3)"])
async def test_a_part_of_what_depends_on_no_order_is_well(garden: Garden, value: str) -> None:
    plant = Plant(f"SELECT {value} AS part {OF_BRAND}", "one", "part: str | None", "id: UUID")
    assert "order-not-total" not in await codes(garden, plant)


@pytest.mark.parametrize(
    ("sql", "row"),
    [
        pytest.param(
            f"SELECT a.id FROM campaigns AS a LEFT JOIN (contents AS b LEFT JOIN users AS u ON u.{T} AND u.id = b.campaign_id)"
            f" ON b.{T} AND b.campaign_id = a.id WHERE a.{T} AND a.id = :id AND u.id IS NULL", "id: UUID", id="a-missing-row",
        ),
        pytest.param(
            f"SELECT v.n FROM campaigns AS c JOIN (VALUES (0.10, 'a'), (0.1, 'b')) AS v (x, n) ON v.x = :x::numeric"
            f" WHERE c.{T} AND c.id = :id", "n: str", id="equal-numbers",
        ),
        pytest.param(
            f"SELECT c.id, (SELECT n.title FROM contents AS n WHERE n.{T} AND n.campaign_id = c.id) AS t FROM campaigns AS c"
            f" WHERE c.{T} AND c.id = :id", "id: UUID; t: str | None", id="a-sub-select-for-one-value",
        ),
    ],
)  # fmt: skip
async def test_a_second_row_is_told(garden: Garden, sql: str, row: str) -> None:
    takes = "x: Decimal, id: UUID" if ":x" in sql else "id: UUID"
    assert "several-rows" in await codes(garden, Plant(sql, "maybe", row, takes))


async def test_blanks_of_character_are_no_text_of_a_list(garden: Garden) -> None:
    ddl = """CREATE TABLE things (tenant_id uuid NOT NULL, id uuid NOT NULL, kind char(8) NOT NULL CHECK (kind IN ('a', 'b')),
                                  PRIMARY KEY (tenant_id, id));
        ALTER TABLE things ENABLE ROW LEVEL SECURITY; ALTER TABLE things FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant ON things USING (tenant_id = app.current_tenant()); GRANT SELECT ON things TO quarry_app"""
    async with garden.with_ddl(ddl):
        found = await codes(garden, Plant(f"SELECT kind FROM things WHERE {T} AND id = :id", "maybe", "kind: Literal['a', 'b']",
                                          "id: UUID"))  # fmt: skip
    assert found


@pytest.mark.parametrize(
    "made",
    [
        "(array_agg(description ORDER BY id))[1:3]", "trim_array(array_agg(description ORDER BY id), 0)",
        "max(ARRAY[description])", "coalesce(array_fill(NULL::text, ARRAY[3]), '{}')",
    ],
)  # fmt: skip
async def test_a_null_in_an_array_that_is_made_is_told(garden: Garden, made: str) -> None:
    plant = Plant(f"SELECT {made} AS a {OF_BRAND} GROUP BY brand_id", "maybe", "a: list[str] | None", "id: UUID")
    assert "may-hold-null" in await codes(garden, plant)
