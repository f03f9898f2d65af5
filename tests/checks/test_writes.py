"""NULLs that are written into NOT NULL columns, and inside arrays; unique keys and lists of texts that are not what they seem."""

from __future__ import annotations

import pytest

from checks.planting import Garden, Plant, codes

CREATE = Plant(
    "INSERT INTO campaigns (tenant_id, name, owner_id) VALUES (:tenant_id, :name, :owner_id) RETURNING id",
    "one",
    takes="name: str | None, owner_id: UUID",
)
UPDATE = Plant(
    "UPDATE campaigns SET name = :name WHERE tenant_id = :tenant_id AND id = :id",
    "count",
    takes="id: UUID, name: str | None",
)


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(CREATE.where(":name,", "upper(:name),"), id="an-expression"),
        pytest.param(CREATE.where(":name,", "nullif(:name, ''),").but(takes="name: str, owner_id: UUID"), id="nullif"),
        pytest.param(
            CREATE.where("RETURNING", "ON CONFLICT (tenant_id, id) DO UPDATE SET name = lower(:other) RETURNING")
            .but(takes="name: str, owner_id: UUID, other: str | None"),
            id="on-conflict",
        ),
        pytest.param(
            CREATE.but(sql="WITH given AS (SELECT upper(:name) AS name) INSERT INTO campaigns (tenant_id, name, owner_id)"
                       " SELECT :tenant_id, g.name, :owner_id FROM given AS g RETURNING id"),
            id="a-table-expression",
        ),
        pytest.param(
            UPDATE.where("name = :name", "(name, description) = (SELECT u.display_name, u.role FROM users AS u"
                         " WHERE u.tenant_id = :tenant_id AND u.id = :id)").but(takes="id: UUID"),
            id="several-columns",
        ),
        pytest.param(
            UPDATE.where(":name", "CASE WHEN description = 'x' THEN :name ELSE name END"), id="a-branch-that-asks-a-column"
        ),
        pytest.param(UPDATE.where(":name", "description").but(takes="id: UUID"), id="another-column"),
    ],
)  # fmt: skip
async def test_a_null_that_may_be_written_where_none_may_be_is_told(garden: Garden, plant: Plant) -> None:
    assert "null-is-refused" in await codes(garden, plant)


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(CREATE.where(":name,", "coalesce(:name, 'none'),"), id="coalesce"),
        pytest.param(
            UPDATE.where(":name", "CASE WHEN 'name' = ANY (:given) THEN :name ELSE name END")
            .but(takes="id: UUID, given: list[str], name: str | None"),
            id="the-fields-of-a-change",
        ),
        pytest.param(UPDATE.where(":name", "upper(name)").but(takes="id: UUID"), id="its-own-value"),
        pytest.param(UPDATE.where("name = :name", "description = upper(:name)"), id="a-column-that-may-be-null"),
    ],
)  # fmt: skip
async def test_a_value_that_is_there_for_certain_may_be_written(garden: Garden, plant: Plant) -> None:
    assert "null-is-refused" not in await codes(garden, plant)


OUTER = """SELECT {} AS names
  FROM campaigns AS c
  LEFT JOIN brands AS b ON b.tenant_id = :tenant_id AND b.id = c.brand_id
 WHERE c.tenant_id = :tenant_id
 GROUP BY c.status"""


@pytest.mark.parametrize(
    ("expression", "annotation"),
    [
        ("array_agg(b.username)", "list[str]"),
        ("ARRAY[min(c.description)]", "list[str]"),
        ("array_agg(c.description)", "list[str]"),
    ],
)
async def test_nulls_inside_an_array_are_told(garden: Garden, expression: str, annotation: str) -> None:
    header = "-- unbounded: few in a test"
    plant = Plant(OUTER.format(expression), row=f"names: {annotation}", header=header)
    assert "may-hold-null" in await codes(garden, plant)
    assert "may-hold-null" not in await codes(garden, plant.but(row="names: list[str | None]"))


@pytest.mark.parametrize(
    "expression", ["array_agg(c.name)", "array_agg(b.username) FILTER (WHERE b.username IS NOT NULL)"]
)
async def test_an_array_of_values_that_are_there_is_well(garden: Garden, expression: str) -> None:
    nullable = " | None" if "FILTER" in expression else ""
    plant = Plant(OUTER.format(expression), row=f"names: list[str]{nullable}", header="-- unbounded: few in a test")
    assert "may-hold-null" not in await codes(garden, plant)


TEXTS = Plant(
    "SELECT kind FROM moods WHERE tenant_id = :tenant_id AND id = :id", "maybe", "kind: Literal['a', 'b']", "id: UUID"
)
MOODS = """CREATE TABLE moods (tenant_id uuid NOT NULL, id uuid NOT NULL, kind text NOT NULL, other text,
                        PRIMARY KEY (tenant_id, id), {});
    ALTER TABLE moods ENABLE ROW LEVEL SECURITY; ALTER TABLE moods FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON moods USING (tenant_id = app.current_tenant()); GRANT SELECT ON moods TO quarry_app"""


@pytest.mark.parametrize(
    "check",
    [
        "CHECK (kind IN ('a', 'b') OR other IS NULL)",
        "CHECK (kind IN ('a', 'b') OR other IN ('c', 'd'))",
        "CHECK (kind IN ('a', 'b') OR length(kind) > 3)",
        "CHECK (other IN ('a', 'b') OR kind IN ('a', 'b'))",
    ],
)
async def test_a_check_that_says_something_else_beside_lists_no_texts(garden: Garden, check: str) -> None:
    assert "values-unknown" in await codes(garden, TEXTS, MOODS.format(check))


@pytest.mark.parametrize("check", ["CHECK (kind IN ('a', 'b'))", "CHECK (kind IN ('a', 'b') OR kind IS NULL)"])
async def test_a_check_that_lists_texts_is_believed(garden: Garden, check: str) -> None:
    assert "values-unknown" not in await codes(garden, TEXTS, MOODS.format(check))


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX odd ON moods (tenant_id, kind text_pattern_ops)",
        "CREATE UNIQUE INDEX odd ON moods (tenant_id, kind) WHERE other IS NULL",
        "CREATE UNIQUE INDEX odd ON moods (tenant_id, lower(kind))",
        "ALTER TABLE moods ADD CONSTRAINT odd UNIQUE (tenant_id, kind) DEFERRABLE",
    ],
)
async def test_an_index_that_is_not_unique_for_equal_values_proves_nothing(garden: Garden, index: str) -> None:
    ddl = f"{MOODS.format('CHECK (true)')}; {index}"
    plant = Plant("SELECT id FROM moods WHERE tenant_id = :tenant_id AND kind = :kind", "maybe", takes="kind: str")
    assert "several-rows" in await codes(garden, plant, ddl)


async def test_a_number_of_a_sequence_needs_its_privilege(garden: Garden) -> None:
    ddl = (
        f"{MOODS.format('CHECK (true)')}; ALTER TABLE moods ADD COLUMN n bigserial; GRANT INSERT ON moods TO quarry_app"
    )
    plant = Plant("INSERT INTO moods (tenant_id, id, kind) VALUES (:tenant_id, :id, 'a')", "count", takes="id: UUID")
    assert "privilege-missing" in await codes(garden, plant, ddl)
    usage = "GRANT USAGE ON SEQUENCE moods_n_seq TO quarry_app"
    assert "privilege-missing" not in await codes(garden, plant, f"{ddl}; {usage}")


async def test_a_constant_that_the_check_refuses_is_told(garden: Garden) -> None:
    plant = Plant(
        "UPDATE campaigns SET status = 'bogus' WHERE tenant_id = :tenant_id AND id = :id", "count", takes="id: UUID"
    )
    assert "values-refused" in await codes(garden, plant)
    assert "values-refused" not in await codes(garden, plant.where("bogus", "active"))
