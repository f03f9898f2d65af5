"""Two locks on every row of a tenant: the policy, and the tenant named in the statement."""

from __future__ import annotations

from typing import Any

import pytest

from checks.planting import Plant

OF = "tenant_id = :tenant_id"
FIND = Plant(f"SELECT id FROM campaigns WHERE {OF} AND id = :id", "one", takes="id: UUID")
NAMED = {
    "the main query": (
        Plant(
            f"SELECT c.id FROM campaigns AS c WHERE c.{OF} AND c.id = :id"
            f" AND EXISTS (SELECT FROM users AS u WHERE u.{OF} AND u.id = c.owner_id)",
            "maybe",
            takes="id: UUID",
        ),
        f"c.{OF} AND ",
        "quarry.campaigns AS c",
        "c",
    ),
    "a table expression": (
        Plant(
            f"WITH live AS (SELECT id, owner_id FROM campaigns WHERE {OF} AND id = :id)\n"
            f"SELECT u.id FROM users AS u JOIN live AS l ON l.owner_id = u.id WHERE u.{OF}",
            "maybe",
            takes="id: UUID",
        ),
        f"{OF} AND ",
        "quarry.campaigns",
        "id",
    ),
    "a sub-select": (
        Plant(
            f"SELECT c.id, (SELECT count(*) FROM contents AS n WHERE n.{OF} AND n.campaign_id = c.id) AS n"
            f" FROM campaigns AS c WHERE c.{OF} AND c.id = :id",
            "one",
            "id: UUID; n: int",
            "id: UUID",
        ),
        f"n.{OF} AND ",
        "quarry.contents AS n",
        "n",
    ),
    "a join": (
        Plant(
            f"SELECT c.id FROM campaigns AS c JOIN users AS u ON u.tenant_id = c.tenant_id AND u.id = c.owner_id"
            f" WHERE c.{OF} AND c.id = :id",
            "one",
            takes="id: UUID",
        ),
        "u.tenant_id = c.tenant_id AND ",
        "quarry.users AS u",
        "u",
    ),
    "an outer join": (
        Plant(
            f"SELECT c.id, b.username FROM campaigns AS c LEFT JOIN brands AS b ON b.{OF} AND b.id = c.brand_id"
            f" WHERE c.{OF} AND c.id = :id",
            "one",
            "id: UUID; username: str | None",
            "id: UUID",
        ),
        f"b.{OF} AND ",
        "quarry.brands AS b",
        "b",
    ),
    "one side of a union": (
        Plant(
            f"SELECT id FROM brands WHERE {OF} AND id = :id UNION SELECT c.id FROM campaigns AS c WHERE c.{OF} AND c.id = :id",
            takes="id: UUID",
            header="-- unbounded: two at most",
        ),
        f"c.{OF} AND ",
        "quarry.campaigns AS c",
        "c",
    ),
    "a second table of an update": (
        Plant(
            f"UPDATE campaigns AS c SET name = b.username FROM brands AS b"
            f" WHERE c.{OF} AND c.id = :id AND b.{OF} AND b.id = c.brand_id",
            "count",
            takes="id: UUID",
        ),
        f" AND b.{OF}",
        "quarry.brands AS b",
        "b",
    ),
    "a second table of a deletion": (
        Plant(
            f"DELETE FROM brand_niches AS l USING brands AS b WHERE l.{OF} AND l.brand_id = b.id AND b.{OF} AND b.id = :id",
            "count",
            takes="id: UUID",
        ),
        f"b.{OF} AND ",
        "quarry.brands AS b",
        "b",
    ),
    "the table of an update": (
        Plant(
            f"WITH tenant AS (SELECT t.id FROM app.tenants AS t WHERE t.id = :tenant_id)\n"
            f"UPDATE campaigns AS c SET name = :name FROM tenant WHERE c.{OF} AND c.id = :id",
            "count",
            takes="id: UUID, name: str",
        ),
        f"c.{OF} AND ",
        "quarry.campaigns AS c",
        "c",
    ),
}


@pytest.mark.parametrize("place", NAMED)
async def test_a_relation_whose_tenant_is_not_named_is_told_wherever_it_is(only: Any, place: str) -> None:
    healthy, predicate, name, marked = NAMED[place]
    assert predicate in healthy.sql
    found = await only("tenant-not-named", healthy.but(sql=healthy.sql.replace(predicate, "", 1)), healthy)
    assert found.marked == marked
    assert found.finding.message == f"it uses {name} and does not name its tenant"
    assert found.finding.proved == "row-level security is the only lock: tenant_id = app.current_tenant()"
    alias = name.rpartition(" ")[2].removeprefix("quarry.")
    assert found.finding.remedy == f"add {alias}.tenant_id = :tenant_id where all must hold"


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param(f"({OF} OR status = 'draft')", id="one-branch-of-or"),
        pytest.param(f"NOT ({OF})", id="not"),
        pytest.param("tenant_id >= :tenant_id", id="no-equality"),
        pytest.param("(tenant_id = :tenant_id) IS NOT FALSE", id="perhaps"),
        pytest.param("tenant_id = coalesce(:tenant_id, owner_id)", id="something-else-too"),
        pytest.param("owner_id = :tenant_id", id="another-column"),
    ],
)
async def test_a_predicate_that_need_not_hold_names_no_tenant(only: Any, condition: str) -> None:
    found = await only("tenant-not-named", FIND.where(OF, condition), FIND)
    assert found.finding.message == "it uses quarry.campaigns and does not name its tenant"


async def test_an_outer_join_limits_only_the_side_that_it_may_leave_out(only: Any) -> None:
    healthy = Plant(
        f"SELECT c.id FROM campaigns AS c LEFT JOIN brands AS b ON b.{OF} AND b.id = c.brand_id"
        f" WHERE c.{OF} AND c.id = :id",
        "maybe",
        takes="id: UUID",
    )
    planted = healthy.where(f"WHERE c.{OF} AND", "WHERE").where("ON b.", f"ON c.{OF} AND b.")
    assert (await only("tenant-not-named", planted, healthy)).finding.message.startswith(
        "it uses quarry.campaigns AS c "
    )


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(
            f"SELECT id FROM campaigns WHERE {OF} AND (status = 'draft' OR owner_id = :id) AND id = :id", id="or-beside"
        ),
        pytest.param(
            f"SELECT c.id FROM campaigns AS c JOIN users AS u ON u.{OF} AND u.id = :id"
            " WHERE c.tenant_id = u.tenant_id AND c.id = :id",
            id="through-another",
        ),
        pytest.param(
            f"SELECT c.id FROM (SELECT tenant_id, id FROM campaigns WHERE {OF})"
            " AS t JOIN campaigns AS c ON c.tenant_id = t.tenant_id WHERE c.id = :id AND t.id = :id",
            id="through-a-subquery",
        ),
        pytest.param(
            f"SELECT c.id FROM campaigns AS c WHERE c.{OF} AND c.id = :id"
            " AND EXISTS (SELECT FROM users AS u WHERE u.tenant_id = c.tenant_id AND u.id = c.owner_id)",
            id="from-the-query-around",
        ),
    ],
)
async def test_a_tenant_may_be_named_through_others(judge: Any, sql: str) -> None:
    assert await judge(FIND.but(sql=sql, kind="maybe")) == []


NEW = Plant(
    "INSERT INTO campaigns (tenant_id, name, owner_id)\nSELECT :tenant_id::uuid, :name, u.id"
    " FROM users AS u WHERE u.tenant_id = :tenant_id AND u.id = :owner_id",
    "count",
    takes="name: str, owner_id: UUID",
)


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        pytest.param("(name", "SELECT :name", id="its-default"),
        pytest.param("(tenant_id, name", "SELECT :owner_id, :name", id="another-value"),
        pytest.param("(tenant_id, name", "SELECT DEFAULT_, :name", id="the-bound-one-from-the-session"),
    ],
)
async def test_a_new_row_is_given_its_tenant_by_name(only: Any, columns: str, values: str) -> None:
    values = values.replace("DEFAULT_", "app.current_tenant()")
    planted = NEW.where("(tenant_id, name", columns).where("SELECT :tenant_id::uuid, :name", values)
    found = await only("tenant-not-named", planted, NEW)
    assert found.finding.message == "it inserts quarry.campaigns and does not name its tenant"
    assert "campaigns" in found.marked


async def test_a_tenant_that_is_assigned_is_told_and_that_nobody_may(judge: Any) -> None:
    healthy = Plant(
        f"UPDATE campaigns SET name = :name\n WHERE {OF} AND id = :id", "count", takes="id: UUID, name: str"
    )
    found = await judge(healthy.where("SET name", "SET tenant_id = :tenant_id, name"), healthy)
    assert {each.finding.code for each in found} == {"tenant-assigned", "privilege-missing"}
    [assigned] = [each for each in found if each.finding.code == "tenant-assigned"]
    assert (assigned.marked, assigned.finding.remedy) == ("SET", "take tenant_id from what it sets")


async def test_a_tenant_that_is_assigned_where_an_insert_meets_a_row_is_told(judge: Any) -> None:
    healthy = Plant(
        "INSERT INTO app.cursors (tenant_id, consumer, epoch, number) VALUES (:tenant_id, 'a', 0, 0)\n"
        "    ON CONFLICT ON CONSTRAINT cursors_pkey DO UPDATE SET number = 0",
        "count",
    )
    found = await judge(healthy.where("SET number = 0", "SET tenant_id = :tenant_id"), healthy)
    assert "tenant-assigned" in {each.finding.code for each in found}


async def test_a_tenants_table_in_a_statement_of_no_tenant_is_told(only: Any) -> None:
    shared = Plant("SELECT id FROM app.niches ORDER BY id LIMIT :limit", takes="limit: int", header="-- scope: shared")
    found = await only("tenant-in-shared", shared.where("app.niches", "campaigns"), shared)
    assert (found.marked, found.finding.remedy) == ("id", "let it name :tenant_id, without '-- scope: shared'")


async def test_a_platform_statement_sees_all_tenants(judge: Any) -> None:
    plant = Plant(
        "SELECT id FROM app.tenants ORDER BY id LIMIT :limit", takes="limit: int", header="-- scope: platform"
    )
    assert await judge(plant) == []


NOTES = """
CREATE TABLE notes (tenant_id uuid NOT NULL DEFAULT app.current_tenant(), id uuid NOT NULL, PRIMARY KEY (tenant_id, id));
GRANT SELECT, INSERT, UPDATE ON notes TO quarry_app;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY;
"""
POLICY = "CREATE POLICY tenant ON notes USING (tenant_id = app.current_tenant());"
NOTE = Plant(f"SELECT id FROM notes WHERE {OF} AND id = :id", "one", takes="id: UUID")
FILED = Plant("INSERT INTO notes (tenant_id, id) VALUES (:tenant_id, :id)", "count", takes="id: UUID")
CHANGED = Plant(f"UPDATE notes SET id = :new WHERE {OF} AND id = :id", "count", takes="id: UUID, new: UUID")


@pytest.mark.parametrize(
    ("plant", "policies", "proved"),
    [
        pytest.param(NOTE, "", "quarry.notes has no policy", id="no-policy"),
        pytest.param(
            NOTE,
            f"{POLICY} ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
            "quarry.notes has no row-level security",
            id="not-enabled",
        ),
        pytest.param(NOTE, "CREATE POLICY tenant ON notes USING (true)", "tenant: true", id="true"),
        pytest.param(
            NOTE,
            f"{POLICY} CREATE POLICY more ON notes USING (true)",
            "more: true; tenant: (tenant_id = app.current_tenant())",
            id="true-beside",
        ),
        pytest.param(
            NOTE,
            f"{POLICY} ALTER POLICY tenant ON notes USING (id = app.current_tenant())",
            "tenant: (id = app.current_tenant())",
            id="another-column",
        ),
        pytest.param(
            FILED,
            "CREATE POLICY tenant ON notes USING (tenant_id = app.current_tenant()) WITH CHECK (true)",
            "tenant: (tenant_id = app.current_tenant())",
            id="insert-with-check-true",
        ),
    ],
)
async def test_a_table_without_its_policy_is_told(only: Any, plant: Plant, policies: str, proved: str) -> None:
    found = await only("policy-missing", plant, ddl=NOTES + policies)
    assert found.finding.message.startswith("quarry.notes is ")
    assert found.finding.proved == proved
    assert found.finding.remedy == "add the policy tenant_id = app.current_tenant(), enabled and forced"


@pytest.mark.parametrize("plant", [NOTE, FILED, CHANGED], ids=["read", "inserted", "changed"])
async def test_a_table_with_its_policy_is_well(judge: Any, plant: Plant) -> None:
    assert await judge(plant, ddl=NOTES + POLICY) == []
