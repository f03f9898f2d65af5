"""Pages and orders that are judged by what they compare, not by the names of their parameters."""

from __future__ import annotations

import pytest

from checks.planting import Garden, Plant

PAGE = Plant(
    "SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND (created_at, id) < (:since, :last)\n"
    " ORDER BY created_at DESC, id DESC LIMIT :limit",
    takes="since: datetime, last: UUID, limit: int",
)
TEXTS = Plant(
    "SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND (lower(name), id) > (:name, :last)\n"
    " ORDER BY lower(name), id LIMIT :limit",
    takes="name: str, last: UUID, limit: int",
    header="-- unindexed: campaigns because a test orders them by an expression",
)
INSIDE = "SELECT id, created_at FROM campaigns WHERE tenant_id = :tenant_id AND (created_at, id) < (:since, :last)"
NEWEST = """SELECT {} FROM campaigns AS c WHERE c.tenant_id = :tenant_id AND c.id = :id"""


async def codes(garden: Garden, plant: Plant) -> set[str]:
    [subject] = await garden.judge({"planted": plant})
    return {each.code for each in subject.findings}


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(PAGE, id="after-a-row"),
        pytest.param(PAGE.where("(created_at, id) < (:since, :last)", "(:since, :last) > (created_at, id)"), id="turned-round"),
        pytest.param(TEXTS, id="by-an-expression"),
        pytest.param(
            PAGE.where("(created_at, id) < (:since, :last)", "created_at >= :since").but(takes="since: datetime, limit: int"),
            id="with-a-filter-at-its-end",
        ),
        pytest.param(
            PAGE.where("(created_at, id) < (:since, :last)", "created_at < :until")
            .but(takes="until: datetime, limit: int", header="-- filter: until because callers ask for a month"),
            id="with-a-declared-filter",
        ),
        pytest.param(
            PAGE.where("(created_at, id) < (:since, :last)", "(created_at, id) > (:since, :last)")
            .where("created_at DESC, id DESC", "created_at, id"),
            id="in-the-other-direction",
        ),
        pytest.param(
            Plant(f"WITH p AS ({INSIDE}) SELECT id FROM p ORDER BY created_at DESC, id DESC LIMIT :limit", takes=PAGE.takes),
            id="from-a-table-expression",
        ),
        pytest.param(
            Plant(
                "SELECT id FROM (SELECT id, created_at FROM campaigns WHERE tenant_id = :tenant_id"
                " AND (created_at, id) > (:since, :last) ORDER BY created_at, id LIMIT :limit) AS p"
                " ORDER BY created_at DESC, id DESC",
                takes="since: datetime, last: UUID, limit: int", header="-- unbounded: the page inside has a LIMIT",
            ),
            id="turned-round-outside",
        ),
    ],
)  # fmt: skip
async def test_a_page_that_goes_on_where_the_last_one_ended_is_well(garden: Garden, plant: Plant) -> None:
    assert await codes(garden, plant) == set()


@pytest.mark.parametrize(
    ("code", "plant"),
    [
        pytest.param(
            "keyset-null",
            PAGE.where("(created_at, id) < (:since, :last)", "(description, id) < (:text, :last)")
            .where("created_at DESC", "description DESC").but(takes="text: str, last: UUID, limit: int"),
            id="over-a-column-that-may-be-null",
        ),
        pytest.param("keyset-differs", TEXTS.where("(lower(name), id) >", "(upper(name), id) >"), id="over-another-expression"),
        pytest.param(
            "keyset-differs",
            Plant(
                "SELECT id FROM campaigns WHERE tenant_id = :tenant_id\n"
                " AND (name, status, id) > (:last_status, :last_name, :last)"
                " ORDER BY name, status, id LIMIT :limit",
                takes="last_name: str, last_status: str, last: UUID, limit: int",
            ),
            id="with-swapped-values",
        ),
        pytest.param(
            "keyset-differs", PAGE.where("(:since, :last)", "(now(), :last)").but(takes="last: UUID, limit: int"),
            id="with-a-foreign-value",
        ),
        pytest.param(
            "keyset-differs",
            PAGE.where("(created_at, id) < (:since, :last)", "created_at < :since").but(takes="since: datetime, limit: int"),
            id="by-a-key-that-is-not-unique",
        ),
        pytest.param("keyset-differs", PAGE.where("(created_at, id) <", "(created_at, id) >"), id="the-wrong-way"),
        pytest.param("keyset-differs", PAGE.where("(created_at, id) <", "(updated_at, id) <"), id="over-another-column"),
        pytest.param(
            "keyset-differs",
            Plant(f"WITH p AS ({INSIDE}) SELECT id FROM p ORDER BY created_at, id LIMIT :limit", takes=PAGE.takes),
            id="the-wrong-way-in-a-table-expression",
        ),
        pytest.param(
            "keyset-differs",
            Plant(
                "SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND (name ~>~ :after_name OR name = :after_name"
                " AND id > :after_id) ORDER BY name, id LIMIT :limit",
                takes="after_name: str, after_id: UUID, limit: int",
            ),
            id="by-another-operator-class",
        ),
        *(
            pytest.param("keyset-differs", PAGE.where("(created_at, id) < (:since, :last)", f"({spelled})"), id=spelled)
            for spelled in (
                "created_at < :since OR created_at = :since AND id > :last",
                "created_at <= :since OR created_at = :since AND id < :last",
                "created_at < :since OR updated_at = :since AND id < :last",
                "created_at < :since OR created_at = now() AND id < :last AND :since IS NOT NULL",
                "created_at < :since OR created_at <= :since AND id < :last",
                "created_at < :since OR id < :last",
            )
        ),
    ],
)  # fmt: skip
async def test_a_page_that_loses_or_repeats_rows_is_told_whatever_its_parameters_are_called(
    garden: Garden, code: str, plant: Plant
) -> None:
    assert code in await codes(garden, plant)


@pytest.mark.parametrize(
    ("limit", "takes"),
    [
        ("LIMIT ALL", ""), ("LIMIT NULL", ""), ("LIMIT :limit", "limit: int | None"),
        ("FETCH FIRST :limit ROWS WITH TIES", "limit: int"),
    ],
)  # fmt: skip
async def test_a_limit_that_may_bound_nothing_is_told(garden: Garden, limit: str, takes: str) -> None:
    plant = Plant(
        f"SELECT id FROM campaigns WHERE tenant_id = :tenant_id ORDER BY created_at DESC, id {limit}", takes=takes
    )
    assert "unbounded" in await codes(garden, plant)


@pytest.mark.parametrize("limit", ["LIMIT 10", "LIMIT least(:limit, 100)", "LIMIT coalesce(:limit, 50)"])
async def test_a_limit_that_is_a_number_for_certain_is_well(garden: Garden, limit: str) -> None:
    takes = "" if ":limit" not in limit else "limit: int | None" if "coalesce" in limit else "limit: int"
    plant = Plant(
        f"SELECT id FROM campaigns WHERE tenant_id = :tenant_id ORDER BY created_at DESC, id DESC {limit}", takes=takes
    )
    assert await codes(garden, plant) == set()


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
