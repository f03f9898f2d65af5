"""What a statement touches as a tenant grows, against what its header says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from checks.planting import Garden, Plant
from service.checks import scratch
from service.checks.runs import growth
from service.settings.settings import Settings

FIND = Plant("SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND id = :id", "one", takes="id: UUID")
PAGE = Plant(
    "SELECT id FROM campaigns\n WHERE tenant_id = :tenant_id AND deleted_at IS NULL\n   AND status = :status    -- when :status\n"
    " ORDER BY created_at DESC, id DESC LIMIT :limit",
    takes="status: str | None = None, limit: int = 50",
)
FIRST = PAGE.where("   AND status = :status    -- when :status\n", "").but(takes="limit: int")
COUNT = Plant("SELECT count(*) FROM campaigns WHERE tenant_id = :tenant_id", "value", header="-- grows: tenant")
PAIRS = """SELECT count(*) FROM campaigns AS c
  JOIN users AS u ON u.tenant_id = :tenant_id AND u.created_at {} c.created_at WHERE c.tenant_id = :tenant_id"""


@pytest.fixture
async def garden(settings: Settings, tmp_path: Path) -> AsyncIterator[Garden]:
    """On a database of the test's own: rows that are rolled back would leave their blocks behind."""
    async with scratch.connected(settings.administration(), "quarry") as connection:
        yield Garden(connection, tmp_path / "planted.sql")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough rows to tell a scan from a search, and a square from a line."""
    monkeypatch.setattr(growth, "FEW", 100)
    monkeypatch.setattr(growth, "MANY", 1000)


@pytest.mark.parametrize(
    ("planted", "healthy", "said"),
    [
        pytest.param(COUNT.but(header=""), COUNT, "more than 'const' allows", id="a-count-that-is-const"),
        pytest.param(COUNT.but(header="-- grows: const"), COUNT, "more than 'const' allows", id="const"),
        pytest.param(COUNT.but(header="-- grows: page"), COUNT, "more than 'page' allows", id="page"),
        pytest.param(
            FIND.where("id = :id", "name = :name").but(
                kind="maybe", takes="name: str", header="-- one: a test says so"
            ),
            FIND,
            "more than 'const' allows",
            id="one-row-without-an-index",
        ),
        pytest.param(
            FIRST.where("ORDER BY created_at DESC, id DESC", "ORDER BY name, id"),
            FIRST,
            "more than 'page' allows",
            id="an-order-without-an-index",
        ),
        pytest.param(
            COUNT.but(sql=PAIRS.format("<")), COUNT, "more than 'tenant' allows", id="every-row-for-every-row"
        ),
        pytest.param(
            FIND.where("id = :id", "name = :name LIMIT 1").but(
                kind="maybe", takes="name: str", header="-- unordered: any"
            ),
            FIND,
            "more than 'const' allows",
            id="a-search-that-ends-at-the-first-match",
        ),
    ],
)
async def test_a_statement_that_grows_more_than_its_header_says_is_told(
    only: Any, garden: Garden, planted: Plant, healthy: Plant, said: str
) -> None:
    found = await only("grows", planted, healthy, by=garden.grow)
    assert f"it touches {said} as the tenant grows" in found.finding.message
    assert " blocks of 100, " in found.finding.proved
    assert (found.marked, found.finding.remedy.partition(",")[0]) == ("planted", "add an index that leads to its rows")


async def test_the_optional_lines_that_it_grows_with_are_named(judge: Any, garden: Garden) -> None:
    planted = (
        PAGE.where("status = :status ", "name = :name ")
        .where(":status", ":name")
        .but(takes="name: str | None = None, limit: int = 50")
    )
    [found] = await judge(planted, PAGE, by=garden.grow)
    assert found.finding.message.endswith("as the tenant grows, given name")


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(FIND.but(header="-- grows: const"), id="const"),
        pytest.param(PAGE.but(header="-- grows: page"), id="page"),
        pytest.param(COUNT.but(sql=PAIRS.format("=")), id="tenant"),
    ],
)
async def test_a_statement_that_keeps_to_its_class_is_well(judge: Any, garden: Garden, plant: Plant) -> None:
    assert await judge(plant, by=garden.grow) == []


@pytest.mark.parametrize("header", ["tenant", "page"])
async def test_a_class_that_nothing_needs_is_told(only: Any, garden: Garden, header: str) -> None:
    found = await only("note-unneeded", FIND.but(header=f"-- grows: {header}"), FIND, by=garden.grow)
    assert found.finding.message == f"'-- grows: {header}' is an exception that nothing needs"


async def test_a_class_is_needed_by_an_index_that_leads_to_any_number_of_rows(judge: Any, garden: Garden) -> None:
    ddl = """
        CREATE TABLE notes (tenant_id uuid NOT NULL, id uuid NOT NULL, brand_id uuid NOT NULL, PRIMARY KEY (tenant_id, id));
        CREATE INDEX ON notes (tenant_id, brand_id, id);
        ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant ON notes USING (tenant_id = app.current_tenant()); GRANT SELECT ON notes TO quarry_app"""
    counted = "SELECT count(*) FROM notes WHERE tenant_id = :tenant_id AND brand_id = :brand"
    assert await judge(COUNT.but(sql=counted, takes="brand: UUID"), ddl=ddl, by=garden.grow) == []


async def test_what_a_trigger_reads_is_counted(only: Any, garden: Garden) -> None:
    ddl = """
        CREATE FUNCTION count_all() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = quarry AS
            $$ BEGIN PERFORM count(*) FROM users AS u WHERE u.display_name <> u.role; RETURN NEW; END $$;
        CREATE TRIGGER campaigns_count AFTER UPDATE ON campaigns FOR EACH ROW EXECUTE FUNCTION count_all()"""
    planted = Plant(
        "UPDATE campaigns SET name = :name WHERE tenant_id = :tenant_id AND id = :id",
        "count",
        takes="id: UUID, name: str",
    )
    found = await only("grows", planted, ddl=ddl, by=garden.grow)
    assert "more than 'const' allows" in found.finding.message


async def test_a_cascade_without_an_index_is_counted(only: Any, garden: Garden) -> None:
    ddl = """
        CREATE TABLE notes (tenant_id uuid NOT NULL, id uuid NOT NULL, otp_id uuid, PRIMARY KEY (tenant_id, id),
                            FOREIGN KEY (tenant_id, otp_id) REFERENCES otps (tenant_id, id) ON DELETE CASCADE);
        ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant ON notes USING (tenant_id = app.current_tenant());"""
    planted = Plant("DELETE FROM otps WHERE tenant_id = :tenant_id AND id = :id", "count", takes="id: UUID")
    found = await only("grows", planted, ddl=ddl, by=garden.grow)
    assert "more than 'const' allows" in found.finding.message
