"""Statements that are run on the tenant's own rows: that they run at all, and what a run that fails says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checks.planting import Garden, Plant
from service.checks import scratch
from service.settings.settings import Settings

FIND = Plant("SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND id = :id", "one", takes="id: UUID")
OWN = "FROM app.tenants WHERE id = :tenant_id"


@pytest.fixture
async def garden(settings: Settings, tmp_path: Path) -> AsyncIterator[Garden]:
    """On a database of the test's own."""
    async with scratch.connected(settings.administration(), "quarry") as connection:
        yield Garden(connection, tmp_path / "planted.sql")


async def codes(garden: Garden, plant: Plant) -> list[tuple[str, str]]:
    [subject] = await garden.run({"planted": plant})
    return [(each.code, f"{each.message} | {each.proved}") for each in subject.findings]


async def test_a_statement_that_succeeds_in_no_run_is_told(garden: Garden) -> None:
    found = dict(await codes(garden, FIND.where("id = :id", "id = :id AND CAST(name AS int) > 0")))
    assert set(found) == {"never-ran", "run-refused"}
    assert "SQLSTATE 22P02: invalid input syntax for type integer" in found["never-ran"]


async def test_an_interval_that_is_added_to_a_time_is_given_an_interval(garden: Garden) -> None:
    plant = Plant(
        "SELECT id FROM sessions WHERE tenant_id = :tenant_id AND id = :id AND last_seen_at + :idle > now()",
        "maybe",
        takes="id: UUID, idle: timedelta",
    )
    assert await codes(garden, plant) == []


async def test_a_new_row_is_given_values_that_its_table_takes(garden: Garden) -> None:
    plant = Plant(
        "INSERT INTO campaigns (tenant_id, name, owner_id, status) VALUES (:tenant_id, :name, :owner_id, :status) RETURNING id",
        "one",
        takes="name: str, owner_id: UUID, status: Literal['draft', 'active']",
    )
    assert await codes(garden, plant) == []


async def test_each_text_of_a_literal_is_tried(garden: Garden) -> None:
    texts = ["a", "b", "c", "d", "e", "f", "g", "h", "0"]
    plant = Plant(
        f"SELECT 1 / (CASE WHEN :text = '0' THEN 0 ELSE 1 END) {OWN}",
        "value", takes=f"text: Literal{texts}", answers="int | None",
    )  # fmt: skip
    assert [code for code, _ in await codes(garden, plant)] == ["run-refused"]


@pytest.mark.parametrize("condition", ["NOT :flag", ":flag"])
async def test_a_flag_is_tried_both_ways(garden: Garden, condition: str) -> None:
    plant = Plant(
        f"SELECT 1 / (CASE WHEN {condition} THEN 0 ELSE 1 END) {OWN}", "value", takes="flag: bool", answers="int | None"
    )
    assert [code for code, _ in await codes(garden, plant)] == ["run-refused"]


async def test_none_is_tried_where_it_may_be_given(garden: Garden) -> None:
    plant = Plant(
        f"SELECT 1 / (CASE WHEN :n::int IS NULL THEN 0 ELSE 1 END) {OWN}",
        "value",
        takes="n: int | None",
        answers="int | None",
    )
    assert [code for code, _ in await codes(garden, plant)] == ["run-refused"]


async def test_a_failure_that_the_header_declares_is_none(garden: Garden) -> None:
    plant = Plant(
        f"SELECT 1 / (CASE WHEN :flag THEN 0 ELSE 1 END) {OWN}", "value", takes="flag: bool", answers="int | None",
        header="-- fails: 22012 because a test divides by zero",
    )  # fmt: skip
    assert await codes(garden, plant) == []


@pytest.mark.parametrize(
    ("type_", "annotation"),
    [
        ("numeric", "Decimal"), ("float8", "float"), ("varchar", "str"), ("int8[]", "list[int]"), ("text[]", "list[str]"),
        ("date", "date"), ("time", "time"), ("jsonb", "Json"), ("int4range", "Range"), ("cidr", "IPv4Network"),
        ("tsvector", "str"), ("bit(3)", "BitString"), ("numeric[]", "list[Decimal]"), ("daterange", "Range"),
        ("inet", "IPv4Address"), ("timestamp", "datetime"), ("bytea[]", "list[bytes]"), ("pg_lsn", "str"),
    ],
)  # fmt: skip
async def test_a_parameter_of_any_type_is_given_a_value(garden: Garden, type_: str, annotation: str) -> None:
    plant = Plant(f"SELECT :given::{type_} IS NULL {OWN}", "value", takes=f"given: {annotation}", answers="bool | None")
    assert await codes(garden, plant) == []


async def test_an_exception_about_rows_that_no_run_returns_is_told(garden: Garden) -> None:
    plant = FIND.where("id = :id", "id = :id AND name = 'no row has it'").but(
        kind="maybe", row="description: str", header="-- notnull: description because a test says so"
    )
    plant = plant.where("SELECT id", "SELECT description")
    assert [code for code, _ in await codes(garden, plant)] == ["note-unshown"]


async def test_a_row_count_that_is_excused_and_false_is_seen(garden: Garden) -> None:
    plant = FIND.where("id = :id", "name = :name").but(takes="name: str", header="-- one: a test says so")
    assert "rows-observed" in [code for code, _ in await codes(garden, plant)]


@pytest.mark.parametrize(
    "type_",
    [
        "mood",
        "daterange",
        "datemultirange",
        "tsvector",
        "numeric[]",
        "date[]",
        "point",
        "cidr",
        "bit(3)",
        "money",
        "pair",
    ],
)
async def test_a_column_of_any_type_is_given_values(garden: Garden, type_: str) -> None:
    ddl = f"""CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TYPE pair AS (one int, two text);
        CREATE TABLE odd (tenant_id uuid NOT NULL, id uuid NOT NULL, x {type_} NOT NULL, PRIMARY KEY (tenant_id, id))"""
    async with garden.with_ddl(ddl):
        assert await codes(garden, FIND) == []


async def test_a_table_without_sample_rows_hides_no_other_finding(garden: Garden) -> None:
    async with garden.with_ddl("CREATE TABLE odd (tenant_id uuid NOT NULL, id uuid NOT NULL CHECK (id::text = 'x'))"):
        [subject] = await garden.examine({"planted": FIND.where(" AND id = :id", "").but(takes="")})
    assert {each.code for each in subject.findings} >= {"several-rows"}


async def test_texts_that_are_excused_and_false_are_seen(garden: Garden) -> None:
    plant = FIND.where("SELECT id", "SELECT name AS x").but(
        kind="maybe", row="x: Literal['a', 'b']", header="-- values: x because a test says so"
    )
    assert "values-observed" in [code for code, _ in await codes(garden, plant)]


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(
            Plant(
                "SELECT (created_at AT TIME ZONE :zone)::date AS day FROM campaigns WHERE tenant_id = :tenant_id AND id = :id",
                "maybe", "day: date", "zone: str, id: UUID",
            ),
            id="a-time-zone",
        ),
        pytest.param(
            Plant(
                "UPDATE campaigns SET description = r.name"
                " FROM jsonb_to_recordset(:rows::jsonb) AS r (name text) WHERE tenant_id = :tenant_id AND id = :id",
                "count", takes="rows: Json, id: UUID",
            ),
            id="an-array-of-JSON",
        ),
    ],
)  # fmt: skip
async def test_a_parameter_gets_what_its_function_needs(garden: Garden, plant: Plant) -> None:
    assert await codes(garden, plant) == []


ODD = Plant(f"SELECT strpos(current_query(), 'ente' || 'red') > 0 {OWN}", "value", answers="bool")


async def test_a_read_that_returns_something_else_in_its_frame_is_told(garden: Garden) -> None:
    assert "framed-differs" in dict(await codes(garden, ODD))
    assert "framed-differs" not in dict(await codes(garden, FIND))
    assert "framed-differs" not in dict(
        await codes(garden, ODD.where("strpos(current_query(), 'ente' || 'red')", "random()"))
    )


SEARCH = Plant(
    "SELECT id FROM campaigns WHERE tenant_id = :tenant_id\n AND starts_with(search_name, :q)  -- when :q\n ORDER BY id LIMIT 9",
    takes="q: str | None = None",
)


async def test_a_pattern_in_an_optional_line_needs_a_plan_of_its_own(garden: Garden) -> None:
    note = "-- planned: q because an index finds what begins like it"
    assert "pattern-unplanned" in dict(await codes(garden, SEARCH))
    assert "pattern-unplanned" not in dict(await codes(garden, SEARCH.but(header=note)))
    healthy = SEARCH.where("starts_with(search_name, :q)", "search_name = :q")
    [subject] = await garden.examine({"planted": healthy.but(header=note)})
    assert "note-unneeded" in {each.code for each in subject.findings}
