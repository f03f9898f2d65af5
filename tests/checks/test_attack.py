"""Statements run as one tenant with the keys of another, and on rows with nulls wherever they may be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from checks.planting import Caught, Garden, Plant
from service.checks import proving, scratch
from service.checks.proofs.nullability import Verdict
from service.settings.settings import Settings

FUNCTION = "CREATE FUNCTION app.planted({}) RETURNS {} LANGUAGE sql SECURITY DEFINER SET search_path TO '' AS $$ {} $$"
CALLS = "-- calls: app.planted because it is a test"
NAMES = "SELECT name FROM quarry.campaigns WHERE tenant_id = {}"
RENAMED = "UPDATE quarry.campaigns SET name = name || '!' WHERE tenant_id = {} RETURNING true"
COUNTED = "SELECT count(*) FROM quarry.campaigns WHERE tenant_id = {}"
LISTED = Plant(
    "SELECT n AS name FROM app.planted(:whose) AS n WHERE :tenant_id::uuid IS NOT NULL",
    row="name: str | None",
    takes="whose: UUID",
    header=f"-- unbounded: few in a test\n{CALLS}",
)
VALUE = Plant(
    "SELECT app.planted(:whose) AS told WHERE :tenant_id::uuid IS NOT NULL",
    "maybe",
    "told: int | None",
    "whose: UUID",
    header=CALLS,
)


@pytest.fixture
async def garden(settings: Settings, tmp_path: Path) -> AsyncIterator[Garden]:
    """On a database of the test's own: rows that are rolled back would leave their blocks behind."""
    async with scratch.connected(settings.administration(), "quarry") as connection:
        yield Garden(connection, tmp_path / "planted.sql")


async def test_a_function_that_answers_another_tenants_rows_is_caught_by_running_it(judge: Any, garden: Garden) -> None:
    found = await judge(LISTED, ddl=FUNCTION.format("whose uuid", "SETOF text", NAMES.format("whose")), by=garden.run)
    # That it tells whether they are there, too.
    assert [each.finding.code for each in found] == ["foreign-value-answered", "foreign-rows-told"]
    answered = found[0]
    assert answered.finding.message == "'name' held a value of another tenant"
    assert answered.finding.proved == "run as one tenant with the keys of another"
    assert answered.finding.remedy.startswith("name the tenant, or write '-- crosses:")
    assert answered.marked == "planted"


async def test_a_function_that_changes_another_tenants_rows_is_caught_by_running_it(judge: Any, garden: Garden) -> None:
    planted = VALUE.but(row="told: bool | None")
    found = await judge(planted, ddl=FUNCTION.format("whose uuid", "boolean", RENAMED.format("whose")), by=garden.run)
    assert [each.finding.code for each in found] == ["foreign-rows-changed", "foreign-rows-told"]
    changed = "app.changes, app.commits, app.heads, quarry.campaigns"
    assert found[0].finding.message == f"rows of another tenant were changed in {changed}"
    assert found[0].finding.remedy == "name the tenant of every relation that it writes"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(COUNTED.format("whose"), id="of-another-tenant"),
        pytest.param("SELECT count(*) FROM quarry.campaigns", id="of-all-tenants"),
        pytest.param(
            "SELECT 1 / (CASE WHEN EXISTS (SELECT FROM quarry.campaigns WHERE tenant_id = whose) THEN 0 ELSE 1 END)::bigint",
            id="by-failing",
        ),
    ],
)
async def test_an_answer_that_depends_on_another_tenants_rows_is_caught(judge: Any, garden: Garden, body: str) -> None:
    # Of the tenant's own rows it fails as well, which is told beside.
    found = [
        each.finding for each in await judge(VALUE, ddl=FUNCTION.format("whose uuid", "bigint", body), by=garden.run)
    ]
    [told] = [each for each in found if each.code not in ("run-refused", "never-ran")]
    assert (told.code, told.remedy) == ("foreign-rows-told", "name the tenant of every relation that it reads")
    assert told.message.startswith("its answer depends on rows of another tenant: ")


async def test_a_unique_key_without_the_tenant_tells_what_others_have(only: Any, garden: Garden) -> None:
    planted = Plant(
        "UPDATE campaigns SET name = :name WHERE tenant_id = :tenant_id AND id = :id",
        "count",
        takes="id: UUID, name: str",
    )
    found = await only(
        "foreign-rows-told", planted, ddl="CREATE UNIQUE INDEX campaigns_name_key ON campaigns (name)", by=garden.run
    )
    assert "SQLSTATE 23505 with them, UPDATE 1, 0 rows without" in found.finding.message


@pytest.mark.parametrize(
    ("plant", "ddl"),
    [
        pytest.param(
            LISTED, FUNCTION.format("whose uuid", "SETOF text", NAMES.format("app.current_tenant()")), id="names"
        ),
        pytest.param(
            VALUE.but(row="told: bool | None"),
            FUNCTION.format("whose uuid", "boolean", RENAMED.format("app.current_tenant()")),
            id="changes",
        ),
        pytest.param(
            VALUE, FUNCTION.format("whose uuid", "bigint", COUNTED.format("app.current_tenant()")), id="counts"
        ),
        pytest.param(
            Plant(
                "UPDATE campaigns SET name = :name WHERE tenant_id = :tenant_id AND id = :id",
                "count",
                takes="id: UUID, name: str",
            ),
            "CREATE UNIQUE INDEX campaigns_name_key ON campaigns (tenant_id, name)",
            id="unique",
        ),
    ],
)
async def test_what_keeps_to_the_bound_tenant_is_well(judge: Any, garden: Garden, plant: Plant, ddl: str) -> None:
    assert await judge(plant, ddl=ddl, by=garden.run) == []


async def test_an_answer_may_cross_tenants_for_a_reason(judge: Any, garden: Garden) -> None:
    excused = LISTED.but(header=f"{LISTED.header}\n-- crosses: nobody is told")
    assert (
        await judge(excused, ddl=FUNCTION.format("whose uuid", "SETOF text", NAMES.format("whose")), by=garden.run)
        == []
    )


DESCRIBED = Plant(
    "SELECT id, description FROM campaigns WHERE tenant_id = :tenant_id AND id = :id",
    "maybe",
    "id: UUID; description: str | None",
    "id: UUID",
)


async def test_a_column_that_is_said_to_be_never_null_and_is_is_caught(only: Any, garden: Garden) -> None:
    planted = DESCRIBED.but(
        row="id: UUID; description: str", header="-- notnull: description because every campaign has one"
    )
    found = await only("null-observed", planted, DESCRIBED, by=garden.run)
    assert (found.finding.message, found.marked) == ("'description' was NULL", "description")
    assert found.finding.remedy == "take '-- notnull: …' away, which is not so, and keep the rule that it excused"
    assert found.finding.proved == "it should never be: every campaign has one"


async def test_a_proof_that_a_column_is_never_null_is_put_to_the_test(
    only: Any, garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        proving.nullability, "prove", lambda scope, *_: [Verdict(False, "a mistake") for _ in scope.outputs]
    )
    planted = DESCRIBED.but(row="id: UUID; description: str")
    found = await only("null-observed", planted, by=garden.run)
    assert (found.finding.proved, found.finding.remedy) == (
        "it should never be: a mistake",
        "the proof in src/service/checks is wrong",
    )


async def test_rows_that_are_said_to_be_one_and_are_several_are_caught(only: Any, garden: Garden) -> None:
    healthy = Plant("SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND id = :id", "maybe", takes="id: UUID")
    planted = healthy.where("id = :id", "status = :status").but(takes="status: str", header="-- one: a test says so")
    found = await only("rows-observed", planted, healthy, by=garden.run)
    assert found.finding.message.startswith("it answered ")
    assert found.finding.proved == "there should be one: a test says so"


async def test_running_a_statement_is_no_need_of_an_exception(garden: Garden) -> None:
    headers = ["-- one: an id is unique", "-- notnull: id because it is a key"]
    [subject] = await garden.examine({"planted": DESCRIBED.but(header="\n".join(headers))})
    told = map(Caught, subject.findings)
    assert [(each.finding.code, each.marked) for each in told] == [("note-unneeded", each) for each in headers]
