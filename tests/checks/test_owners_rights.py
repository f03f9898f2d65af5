"""What is read with the rights of another than the one who asks: views of an owner, functions that say nothing of it."""

from __future__ import annotations

from typing import Any

import pytest

from checks.planting import Plant

OF = "tenant_id = :tenant_id"
VIEW = "CREATE VIEW seen {} AS SELECT tenant_id, id FROM campaigns; GRANT SELECT ON seen TO quarry_app"
SEEN = Plant(
    f"SELECT id FROM seen WHERE {OF} AND id = :id",
    "one",
    takes="id: UUID",
)


@pytest.mark.parametrize(
    ("owner", "codes"),
    [
        pytest.param("", {"view-with-owners-rights", "policy-missing"}, id="a-superusers"),
        pytest.param("ALTER VIEW seen OWNER TO quarry_owner", {"view-with-owners-rights"}, id="the-owners"),
    ],
)
async def test_a_view_that_is_read_with_its_owners_rights_is_told(judge: Any, owner: str, codes: set[str]) -> None:
    found = await judge(SEEN, ddl=f"{VIEW.format('')}; {owner}")
    assert {each.finding.code for each in found} == codes
    [view] = [each for each in found if each.finding.code == "view-with-owners-rights"]
    assert (view.marked, view.finding.remedy) == ("seen", "ALTER VIEW … SET (security_invoker = true)")


async def test_a_view_that_is_read_with_the_rights_of_who_asks_is_well(judge: Any) -> None:
    assert await judge(SEEN, ddl=VIEW.format("WITH (security_invoker = true)")) == []


FUNCTION = """
CREATE FUNCTION app.all_names() RETURNS SETOF text LANGUAGE sql STABLE {} SET search_path TO ''
    AS 'SELECT name FROM quarry.campaigns';
"""
CALLED = {
    "in FROM": "SELECT n AS name FROM app.all_names() AS n WHERE :tenant_id::uuid IS NOT NULL",
    "in WHERE": f"SELECT bio AS name FROM brands WHERE {OF} AND username IN (SELECT app.all_names())",
    "in a column": "SELECT app.all_names() AS name WHERE :tenant_id::uuid IS NOT NULL",
}


@pytest.mark.parametrize(
    ("rights", "said"),
    [
        pytest.param("SECURITY DEFINER", "it calls app.all_names(), which runs with its owner's rights", id="definer"),
        pytest.param("", "it calls app.all_names(), which may read tables itself", id="invoker"),
    ],
)
@pytest.mark.parametrize("place", CALLED)
async def test_a_function_that_nobody_declared_is_told(judge: Any, place: str, rights: str, said: str) -> None:
    planted = Plant(CALLED[place], row="name: str | None", header="-- unbounded: few in a test")
    healthy = planted.but(header=f"{planted.header}\n-- calls: app.all_names because it is a test")
    found = await judge(planted, healthy, ddl=FUNCTION.format(rights))
    [undeclared] = [each for each in found if each.finding.code == "function-undeclared"]
    assert undeclared.finding.message == said
    assert undeclared.marked == "app"
    assert undeclared.finding.remedy == "write '-- calls: app.all_names because …'"


async def test_an_immutable_function_needs_no_word(judge: Any) -> None:
    plant = Plant(
        "SELECT app.unsealed(:name) AS sealed WHERE :tenant_id::uuid IS NOT NULL",
        "maybe",
        "sealed: bytes | None",
        "name: str | None",
    )
    assert await judge(plant) == []


async def test_sizes_and_statistics_are_said_to_tell_of_all_tenants(only: Any) -> None:
    planted = Plant(
        "SELECT pg_database_size(current_database()) AS size WHERE :tenant_id::uuid IS NOT NULL",
        "maybe",
        row="size: int",
        header="-- notnull: size because the database is there",
    )
    healthy = planted.but(header=f"{planted.header}\n-- crosses: it is a test")
    caught = await only("statistics-told", planted, healthy)
    assert caught.marked == "pg_database_size"
    assert caught.finding.remedy == "write '-- crosses: who is told, and why that is well'"
