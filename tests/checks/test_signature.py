"""Signatures and models against what is proved of their statements."""

from __future__ import annotations

from typing import Any

import pytest

from checks.planting import Plant

FIND = Plant(
    "SELECT id, name, description FROM campaigns WHERE tenant_id = :tenant_id AND id = :id",
    "one",
    "id: UUID; name: str; description: str | None",
    "id: UUID",
)
OF_TENANT = "WHERE c.tenant_id = :tenant_id"
FEW = "-- unbounded: few in a test\n-- grows: tenant"
VIEW = """
CREATE VIEW branded WITH (security_invoker = true) AS
  SELECT c.tenant_id, c.id, b.brand_name
    FROM campaigns AS c LEFT JOIN brands AS b ON b.tenant_id = c.tenant_id AND b.id = c.brand_id;
GRANT SELECT ON branded TO quarry_app
"""


async def test_a_misspelt_column_is_refused_where_it_stands(only: Any) -> None:
    found = await only("refused", FIND.where("description", "descriptoin"), FIND)
    assert found.marked == "descriptoin"
    assert found.said.startswith('PostgreSQL refuses it: column "descriptoin" does not exist | SQLSTATE 42703 | ')


@pytest.mark.parametrize(
    ("code", "row", "marked"),
    [
        pytest.param(
            "column-missing",
            "id: UUID; name: str; description: str | None; status: str",
            "planted",
            id="a-field-too-many",
        ),
        pytest.param("column-extra", "id: UUID; name: str", "description", id="a-field-too-few"),
        pytest.param("type-differs", "id: UUID; name: int; description: str | None", "name", id="another-type"),
        pytest.param("type-differs", "id: str; name: str; description: str | None", "id", id="a-text-for-a-uuid"),
        pytest.param(
            "type-differs", "id: UUID; name: complex; description: str | None", "name", id="a-type-that-is-none"
        ),
        pytest.param("may-be-null", "id: UUID; name: str; description: str", "description", id="never-none"),
        pytest.param(
            "never-null", "id: UUID; name: str | None; description: str | None", "name", id="none-that-never-comes"
        ),
    ],
)
async def test_a_model_that_is_not_what_the_statement_answers_is_told(
    only: Any, code: str, row: str, marked: str
) -> None:
    found = await only(code, FIND.but(row=row), FIND)
    assert found.marked == marked


async def test_a_column_that_is_answered_twice_is_told(only: Any) -> None:
    await only("column-twice", FIND.where("name,", "name, name,"), FIND)


async def test_a_field_that_is_none_in_one_statement_may_be_none_in_all(judge: Any) -> None:
    assert await judge(FIND.but(row="id: UUID; description: str | None").where("name, ", "")) == []


NULLABLE = {
    "left join, ordered and limited": Plant(
        f"SELECT c.id, b.brand_name FROM campaigns AS c LEFT JOIN brands AS b ON b.tenant_id = c.tenant_id AND b.id = c.brand_id"
        f" {OF_TENANT} AND c.deleted_at IS NULL ORDER BY c.created_at DESC, c.id DESC LIMIT :limit",
        row="id: UUID; brand_name: str | None",
        takes="limit: int",
    ),
    "rollup": Plant(
        f"SELECT c.status, count(*) AS n FROM campaigns AS c {OF_TENANT} GROUP BY ROLLUP (c.status)",
        row="status: str | None; n: int",
        header=FEW,
    ),
    "filtered aggregate": Plant(
        "SELECT c.owner_id, max(c.name) FILTER (WHERE c.status = 'active') AS active"
        f" FROM campaigns AS c {OF_TENANT} GROUP BY c.owner_id",
        row="owner_id: UUID; active: str | None",
        header=FEW,
    ),
    "empty window frame": Plant(
        "SELECT c.id, max(c.name) OVER (ORDER BY c.id ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING) AS previous"
        f" FROM campaigns AS c {OF_TENANT}",
        row="id: UUID; previous: str | None",
        header=FEW,
    ),
    "scalar subquery": Plant(
        "SELECT c.id, (SELECT b.brand_name FROM brands AS b WHERE b.tenant_id = :tenant_id AND b.id = c.brand_id) AS brand"
        f" FROM campaigns AS c {OF_TENANT} AND c.id = :id",
        "one",
        "id: UUID; brand: str | None",
        "id: UUID",
    ),
    "union with a null branch": Plant(
        f"SELECT c.id, c.name FROM campaigns AS c {OF_TENANT}"
        " UNION ALL SELECT b.id, NULL FROM brands AS b WHERE b.tenant_id = :tenant_id",
        row="id: UUID; name: str | None",
        header=FEW,
    ),
    "max of everything": Plant(
        f"SELECT max(c.name) AS last FROM campaigns AS c {OF_TENANT}",
        "one",
        "last: str | None",
        header="-- grows: tenant",
    ),
    "case without else": Plant(
        f"SELECT c.id, CASE WHEN c.status = 'active' THEN c.name END AS active FROM campaigns AS c {OF_TENANT} AND c.id = :id",
        "one",
        "id: UUID; active: str | None",
        "id: UUID",
    ),
    "a parameter that may be none": Plant(
        f"SELECT c.id, :said::text AS said FROM campaigns AS c {OF_TENANT} AND c.id = :id",
        "one",
        "id: UUID; said: str | None",
        "id: UUID, said: str | None",
    ),
}
WHY = {
    "left join, ordered and limited": "left join b fills it with null where no row matches",
    "rollup": "grouping sets leave it out of some groups",
    "filtered aggregate": "max() FILTER may leave no row",
    "empty window frame": "max() over an empty frame is null",
    "scalar subquery": "a scalar sub-select may find no row",
    "union with a null branch": "NULL is written there",
    "max of everything": "max() of no rows is null",
    "case without else": "NULL",
    "a parameter that may be none": "a parameter that may be None",
}


@pytest.mark.parametrize("name", NULLABLE)
async def test_a_field_that_is_never_none_is_told_of_a_column_that_may_be_null(only: Any, name: str) -> None:
    healthy = NULLABLE[name]
    found = await only("may-be-null", healthy.but(row=healthy.row.replace(" | None", "")), healthy)
    column = healthy.row.replace(" | None", "#").split("#")[0].rpartition("; ")[2].partition(":")[0]
    assert found.marked == column
    assert WHY[name] in found.finding.proved
    assert f"'{column}' may be NULL, and Planted.{column} is never None" in found.finding.message
    assert f"'-- notnull: {column} because …'" in found.finding.remedy


async def test_a_column_that_may_be_null_behind_a_view_is_told(only: Any) -> None:
    healthy = Plant(
        "SELECT v.id, v.brand_name FROM branded AS v WHERE v.tenant_id = :tenant_id",
        row="id: UUID; brand_name: str | None",
        header=FEW,
    )
    found = await only("may-be-null", healthy.but(row="id: UUID; brand_name: str"), healthy, ddl=VIEW)
    assert (found.marked, "left join" in found.finding.proved) == ("brand_name", True)


VALUE = Plant(f"SELECT count(*) FROM campaigns AS c {OF_TENANT}", "value", answers="int", header="-- grows: tenant")
NAME = Plant(
    f"SELECT c.name FROM campaigns AS c {OF_TENANT} AND c.id = :id", "value", takes="id: UUID", answers="str | None"
)


@pytest.mark.parametrize(
    ("code", "planted", "healthy", "marked"),
    [
        pytest.param("may-be-no-row", NAME.but(answers="str"), NAME, "name", id="no-row"),
        pytest.param("may-be-null", VALUE.where("count(*)", "max(c.name)").but(answers="str"), VALUE, "max", id="null"),
        pytest.param("type-differs", VALUE.but(answers="str"), VALUE, "count", id="type"),
        pytest.param("not-a-value", NAME.where("c.name", "c.name, c.id"), NAME, "planted", id="two-columns"),
    ],
)
async def test_a_value_that_is_not_what_the_method_returns_is_told(
    only: Any, code: str, planted: Plant, healthy: Plant, marked: str
) -> None:
    assert (await only(code, planted, healthy)).marked == marked


STATUSES = "'draft', 'active', 'paused', 'completed', 'archived'"
STATUS = Plant(
    "SELECT id, status FROM campaigns WHERE tenant_id = :tenant_id AND id = :id",
    "one",
    f"id: UUID; status: Literal[{STATUSES}]",
    "id: UUID",
)
BY_STATUS = Plant(
    "SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND deleted_at IS NULL AND status = :status"
    " ORDER BY created_at DESC, id DESC LIMIT :limit",
    takes=f"status: Literal[{STATUSES}], limit: int",
)
SET = Plant(
    "UPDATE campaigns SET status = :status WHERE tenant_id = :tenant_id AND id = :id",
    "count",
    takes=f"id: UUID, status: Literal[{STATUSES}]",
)


@pytest.mark.parametrize(
    ("code", "planted", "healthy", "said"),
    [
        pytest.param(
            "values-missing",
            STATUS.but(row="id: UUID; status: Literal['draft', 'active', 'paused', 'completed']"),
            STATUS,
            "'status' may be archived, which Planted.status does not list",
            id="a-column-that-may-be-more",
        ),
        pytest.param(
            "values-never",
            STATUS.but(row=f"id: UUID; status: Literal[{STATUSES}, 'lost']"),
            STATUS,
            "Planted.status lists lost, which the database never answers",
            id="a-column-that-is-never-it",
        ),
        pytest.param(
            "values-unknown",
            STATUS.where(", status", ", name AS status"),
            STATUS,
            "Planted.status lists texts, and nothing limits 'status' to them",
            id="a-column-without-a-check",
        ),
        pytest.param(
            "values-refused",
            BY_STATUS.but(takes="status: Literal['draft', 'lost'], limit: int"),
            BY_STATUS,
            ":status may be lost, which quarry.campaigns.status can't hold",
            id="a-parameter-that-is-compared",
        ),
        pytest.param(
            "values-refused",
            SET.but(takes="id: UUID, status: Literal['draft', 'lost']"),
            SET,
            ":status may be lost, which quarry.campaigns.status can't hold",
            id="a-parameter-that-is-written",
        ),
    ],
)
async def test_a_literal_and_the_check_of_its_column_agree_both_ways(
    only: Any, code: str, planted: Plant, healthy: Plant, said: str
) -> None:
    found = await only(code, planted, healthy)
    assert found.finding.message == said
    assert found.marked.removeprefix(":") == "status"


@pytest.mark.parametrize(
    ("code", "takes", "marked"),
    [
        pytest.param("type-differs", f"id: str, status: Literal[{STATUSES}]", ":id", id="another-type"),
        pytest.param("type-differs", "id: UUID, status: int", ":status", id="a-number-for-a-text"),
        pytest.param("none-is-refused", "id: UUID, status: str | None", ":status", id="none-for-not-null"),
    ],
)
async def test_a_parameter_that_its_place_refuses_is_told(only: Any, code: str, takes: str, marked: str) -> None:
    assert (await only(code, SET.but(takes=takes), SET)).marked == marked


async def test_a_literal_may_list_fewer_texts_where_it_is_given(judge: Any) -> None:
    assert await judge(BY_STATUS.but(takes="status: Literal['draft'], limit: int")) == []
