"""That conditions reach an index under row-level security."""

from __future__ import annotations

from typing import Any

import pytest

from checks.planting import Plant

DDL = """
CREATE TYPE mood AS ENUM ('fine', 'foul');
CREATE TABLE notes (
  tenant_id uuid NOT NULL DEFAULT app.current_tenant(), id uuid NOT NULL, mood mood NOT NULL, price numeric NOT NULL,
  price_minor bigint NOT NULL, title text NOT NULL, PRIMARY KEY (tenant_id, id)
);
CREATE INDEX notes_mood_idx ON notes (tenant_id, mood);
CREATE INDEX notes_price_idx ON notes (tenant_id, price);
CREATE INDEX notes_price_minor_idx ON notes (tenant_id, price_minor);
CREATE INDEX notes_title_idx ON notes (tenant_id, title text_pattern_ops);
CREATE INDEX notes_lower_idx ON notes (tenant_id, lower(title));
GRANT SELECT ON notes TO quarry_app;
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notes USING (tenant_id = app.current_tenant());
"""
NOTES = Plant(
    "SELECT id FROM notes WHERE tenant_id = :tenant_id AND price_minor = :given",
    takes="given: int",
    header="-- unbounded: few in a test",
)


@pytest.mark.parametrize(
    ("condition", "type", "function", "marked", "indexes"),
    [
        pytest.param("mood = :given::mood", "str", "enum_eq", "mood", "notes_mood_idx", id="enum"),
        pytest.param("price = :given", "Decimal", "numeric_eq", "price", "notes_price_idx", id="numeric"),
        pytest.param("price > :given", "Decimal", "numeric_gt", "price", "notes_price_idx", id="numeric-range"),
        pytest.param("lower(title) = :given", "str", "lower", "title", "notes_lower_idx, notes_title_idx", id="lower"),
        pytest.param("title LIKE :given", "str", "textlike", "title", "notes_lower_idx, notes_title_idx", id="like"),
        pytest.param("title ~ :given", "str", "textregexeq", "title", "notes_lower_idx, notes_title_idx", id="pattern"),
        pytest.param(
            "mood = ANY (:given::mood[])", "list[str]", "enum_eq", "mood", "notes_mood_idx", id="one-of-an-enum"
        ),
        pytest.param(
            "(price_minor = 1 OR price = :given)", "Decimal", "numeric_eq", "price", "notes_price_idx", id="in-or"
        ),
    ],
)
async def test_a_condition_that_is_not_leakproof_is_told_and_whose_index_it_misses(
    judge: Any, condition: str, type: str, function: str, marked: str, indexes: str
) -> None:
    planted = NOTES.where("price_minor = :given", condition).but(takes=f"given: {type}")
    found = [each for each in await judge(planted, NOTES, ddl=DDL) if each.finding.code == "not-leakproof"]
    assert [each.finding.message for each in found] == [
        f"a condition on notes.{marked} reaches no index: {function}() is not leakproof"
    ]
    assert (found[0].marked, found[0].finding.proved) == (marked, f"indexes with {marked}: {indexes}")
    assert found[0].finding.remedy.startswith("compare a text, a number or a stored form of it with =")


@pytest.mark.parametrize(
    ("condition", "type"),
    [
        pytest.param("price_minor >= :given", "int", id="a-number"),
        pytest.param("price_minor = ANY (:given::bigint[])", "list[int]", id="one-of-some-numbers"),
        pytest.param("title = :given", "str", id="a-text"),
        pytest.param("starts_with(title, lower(:given))", "str", id="how-a-text-begins"),
    ],
)
async def test_a_leakproof_condition_is_well(judge: Any, condition: str, type: str) -> None:
    assert await judge(NOTES.where("price_minor = :given", condition).but(takes=f"given: {type}"), ddl=DDL) == []


@pytest.mark.parametrize(
    ("key", "how"),
    [
        pytest.param("", "all of it", id="none"),
        pytest.param(
            ", CONSTRAINT notes_key UNIQUE (id, tenant_id)", "all of notes_key", id="one-that-begins-otherwise"
        ),
    ],
)
async def test_a_table_in_which_no_index_finds_the_rows_is_told(only: Any, key: str, how: str) -> None:
    ddl = "\n".join(line for line in DDL.split("\n") if "CREATE INDEX" not in line)
    healthy = Plant("SELECT id FROM users WHERE tenant_id = :tenant_id", header="-- unbounded: few in a test")
    found = await only(
        "no-index", healthy.where("users", "notes"), healthy, ddl=ddl.replace(", PRIMARY KEY (tenant_id, id)", key)
    )
    assert found.finding.message == "no index finds the rows of notes"
    assert found.finding.proved == f"with sequential scans disabled PostgreSQL reads {how}"
    assert (found.marked, found.finding.remedy) == (
        "notes",
        "add an index that begins with tenant_id, or write '-- unindexed: notes because …'",
    )


async def test_an_alias_is_named_beside_its_table(judge: Any) -> None:
    ddl = "\n".join(line for line in DDL.split("\n") if "CREATE INDEX" not in line).replace(
        ", PRIMARY KEY (tenant_id, id)", ""
    )
    planted = Plant(
        "SELECT c.id FROM campaigns AS c WHERE c.tenant_id = :tenant_id AND c.id = :id\n"
        "   AND EXISTS (SELECT FROM notes AS n WHERE n.tenant_id = :tenant_id AND n.id = c.id)",
        "maybe",
        takes="id: UUID",
    )
    [found] = await judge(planted, ddl=ddl)
    assert (found.finding.code, found.finding.message) == ("no-index", "no index finds the rows of notes AS n")


async def test_an_exception_for_a_table_is_one_for_it_alone(judge: Any) -> None:
    planted = NOTES.where("price_minor = :given", "price = :given").but(takes="given: Decimal")
    excused = planted.but(header=f"{planted.header}\n-- unindexed: notes because they are few")
    assert await judge(excused, ddl=DDL) == []
    [found, unneeded] = await judge(
        planted.but(header=f"{planted.header}\n-- unindexed: users because they are few"), ddl=DDL
    )
    assert (found.finding.code, unneeded.finding.code) == ("not-leakproof", "note-unneeded")


async def test_every_combination_of_optional_lines_is_looked_at(only: Any) -> None:
    healthy = Plant(
        "SELECT id FROM notes\n WHERE tenant_id = :tenant_id\n   AND price_minor = :minor    -- when :minor\n"
        "   AND title = :title    -- when :title\n",
        takes="minor: int | None = None, title: str | None = None",
        header="-- unbounded: few in a test",
    )
    planted = healthy.where("title = :title", "lower(title) = :title")
    assert (await only("not-leakproof", planted, healthy, ddl=DDL)).finding.span.line == 20
