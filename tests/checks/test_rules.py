"""Row counts, orders, pages and exceptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checks.planting import Plant
from service.statements import query_files
from service.statements.statement import StatementError

FIND = Plant("SELECT id FROM brands WHERE tenant_id = :tenant_id AND id = :id", "one", takes="id: UUID")
BY_NAME = Plant(
    "SELECT id FROM brands WHERE tenant_id = :tenant_id AND username = :username AND deleted_at IS NULL",
    "maybe",
    takes="username: str",
)


@pytest.mark.parametrize(
    ("planted", "healthy", "proved"),
    [
        pytest.param(
            FIND.where("id = :id", "created_at = :at").but(takes="at: datetime"),
            FIND,
            "no unique key fixes one row of brands",
            id="no-unique-key",
        ),
        pytest.param(
            FIND.where(" AND id = :id", "").but(takes=""),
            FIND,
            "no unique key fixes one row of brands",
            id="no-key-at-all",
        ),
        pytest.param(
            BY_NAME.where(" AND deleted_at IS NULL", ""),
            BY_NAME,
            "no unique key fixes one row of brands",
            id="a-partial-index-that-has-not-every-row",
        ),
        pytest.param(
            BY_NAME.where("deleted_at IS NULL", "deleted_at IS NOT NULL"),
            BY_NAME,
            "no unique key fixes one row of brands",
            id="a-partial-index-of-the-other-rows",
        ),
        pytest.param(
            FIND.where("id = :id", "id = ANY (:ids::uuid[])").but(takes="ids: list[UUID]"),
            FIND,
            "no unique key fixes one row of brands",
            id="several-ids",
        ),
    ],
)
async def test_a_statement_of_one_row_that_may_answer_several_is_told(
    only: Any, planted: Plant, healthy: Plant, proved: str
) -> None:
    found = await only("several-rows", planted, healthy)
    assert (found.finding.proved, found.marked) == (proved, "planted")
    assert "compare all columns of a unique index" in found.finding.remedy


async def test_a_single_value_of_several_rows_is_told(only: Any) -> None:
    healthy = Plant(
        "SELECT name FROM campaigns WHERE tenant_id = :tenant_id AND id = :id",
        "value",
        takes="id: UUID",
        answers="str | None",
    )
    planted = healthy.where("id = :id", "owner_id = :id")
    assert (await only("several-rows", planted, healthy)).finding.message.startswith("a :value answers one row at most")


FIRST = Plant(
    "SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND deleted_at IS NULL\n"
    " ORDER BY created_at DESC, id DESC\n LIMIT :limit",
    takes="limit: int",
)
PAGE = Plant(
    "SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND deleted_at IS NULL\n"
    "   AND (created_at, id) < (:after_created_at, :after_id)    -- when :after_id\n"
    " ORDER BY created_at DESC, id DESC\n LIMIT :limit",
    takes="after_created_at: datetime | None = None, after_id: UUID | None = None, limit: int = 50",
)


async def test_a_list_without_a_limit_is_told(only: Any) -> None:
    found = await only("unbounded", FIRST.where("\n LIMIT :limit", "").but(takes=""), FIRST)
    assert found.finding.remedy == "add LIMIT :limit, or write '-- unbounded: what bounds it'"


@pytest.mark.parametrize(
    ("old", "new", "proved"),
    [
        pytest.param(", id DESC", "", "rows of campaigns may be equal in campaigns.created_at", id="no-tie-break"),
        pytest.param(
            "ORDER BY created_at DESC, id DESC",
            "ORDER BY status, name",
            "rows of campaigns may be equal in campaigns.status, campaigns.name",
            id="other-columns",
        ),
        pytest.param(" ORDER BY created_at DESC, id DESC\n", "", "there is no ORDER BY", id="no-order"),
        pytest.param(
            "ORDER BY created_at DESC, id DESC",
            "ORDER BY id::text || ''",
            "rows of campaigns may be equal in an expression",
            id="an-expression",
        ),
    ],
)
async def test_a_page_whose_order_leaves_a_choice_is_told_where_its_limit_stands(
    only: Any, old: str, new: str, proved: str
) -> None:
    found = await only("order-not-total", FIRST.where(old, new), FIRST)
    assert (found.marked, found.finding.proved) == (":limit", proved)
    assert found.finding.remedy.startswith("end ORDER BY with a unique key such as id")


async def test_the_order_of_a_sub_select_with_a_limit_is_looked_at_too(only: Any) -> None:
    healthy = Plant(
        "SELECT c.id, (SELECT n.title FROM contents AS n WHERE n.tenant_id = :tenant_id AND n.campaign_id = c.id\n"
        " ORDER BY n.created_at DESC, n.id DESC LIMIT 1) AS newest\n"
        "  FROM campaigns AS c WHERE c.tenant_id = :tenant_id AND c.id = :id",
        "one",
        "id: UUID; newest: str | None",
        "id: UUID",
    )
    assert (await only("order-not-total", healthy.where(", n.id DESC", ""), healthy)).marked == "1"


async def test_an_offset_is_told(only: Any) -> None:
    planted = FIRST.where("LIMIT :limit", "LIMIT :limit OFFSET :skipped").but(takes="limit: int, skipped: int")
    found = await only("offset", planted, FIRST)
    assert (found.marked, found.finding.remedy) == (":skipped", "go on after the last row: (created_at, id) < (…)")


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param("(updated_at, id) < (:after_created_at, :after_id)", id="another-column"),
        pytest.param("(created_at, id) > (:after_created_at, :after_id)", id="the-wrong-way"),
        pytest.param("(id, created_at) < (:after_id, :after_created_at)", id="another-order-of-keys"),
        pytest.param("created_at < :after_created_at AND id <> :after_id", id="one-key-of-two"),
        pytest.param("(created_at, id) <= (:after_created_at, :after_id)", id="its-last-row-again"),
    ],
)
async def test_a_page_that_goes_on_after_other_keys_than_those_of_its_order_is_told(only: Any, condition: str) -> None:
    planted = PAGE.where("(created_at, id) < (:after_created_at, :after_id)", condition)
    found = await only("keyset-differs", planted, PAGE)
    assert found.finding.proved == "the order is campaigns.created_at DESC, campaigns.id DESC"
    assert found.finding.span.line == 15


@pytest.mark.parametrize("operator", ["<", ">=", "<>", "="])
async def test_a_page_by_one_key_goes_on_after_it(only: Any, operator: str) -> None:
    healthy = Plant(
        "SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND id > :after ORDER BY id LIMIT :limit",
        takes="after: UUID, limit: int",
    )
    found = await only("keyset-differs", healthy.where("id > ", f"id {operator} "), healthy)
    assert (found.marked, found.finding.proved) == ("id", "the order is campaigns.id")


async def test_a_page_that_does_not_go_on_after_its_parameters_is_told(only: Any) -> None:
    planted = PAGE.where(
        "(created_at, id) < (:after_created_at, :after_id)",
        "(created_at IS NULL OR :after_created_at::timestamptz > now() OR id <> :after_id)",
    )
    found = await only("keyset-missing", planted, PAGE)
    assert "in the order campaigns.created_at DESC, campaigns.id DESC" in found.finding.message


async def test_a_page_in_ascending_order_goes_on_upwards(judge: Any) -> None:
    up = PAGE.where(" DESC", "").where("(created_at, id) <", "(created_at, id) >")
    assert await judge(up) == []


@pytest.mark.parametrize("bound", ["created_at < :after_created_at", "created_at <= :until"])
async def test_a_bound_on_the_first_key_that_excludes_more_rows_is_told(only: Any, bound: str) -> None:
    planted = PAGE.where("    -- when", f" AND {bound}    -- when")
    planted = planted.but(takes=f"{PAGE.takes}, until: datetime | None = None") if "until" in bound else planted
    await only("keyset-differs", planted, PAGE)


async def test_a_bound_on_the_first_key_beside_all_of_them_is_well(judge: Any) -> None:
    assert await judge(PAGE.where("    -- when", " AND created_at <= :after_created_at    -- when")) == []


@pytest.mark.parametrize(
    ("planted", "header"),
    [
        pytest.param(FIND, "-- one: an id is unique", id="one"),
        pytest.param(FIRST, "-- unbounded: there are few", id="unbounded"),
        pytest.param(FIRST, "-- unordered: any will do", id="unordered"),
        pytest.param(FIRST, "-- crosses: nobody is told", id="crosses"),
        pytest.param(FIND, "-- notnull: id because it is a key", id="notnull"),
        pytest.param(FIND, "-- null: id because it may be", id="null"),
        pytest.param(FIND, "-- values: id because it is listed", id="values"),
        pytest.param(FIND, "-- unindexed: brands because they are few", id="unindexed"),
        pytest.param(FIND, "-- unnamed: brands because they are all asked for", id="unnamed"),
        pytest.param(FIND, "-- calls: app.heads because it is polled", id="calls"),
    ],
)
async def test_an_exception_that_nothing_needs_is_told_where_it_stands(only: Any, planted: Plant, header: str) -> None:
    found = await only("note-unneeded", planted.but(header=header), planted)
    assert (found.marked, found.finding.remedy) == (header, "take it away")


@pytest.mark.parametrize(
    ("planted", "header"),
    [
        pytest.param(
            FIND.where("id = :id", "created_at = :at").but(takes="at: datetime"), "-- one: a test says so", id="one"
        ),
        pytest.param(FIRST.where("\n LIMIT :limit", "").but(takes=""), "-- unbounded: there are few", id="unbounded"),
        pytest.param(FIRST.where(", id DESC", ""), "-- unordered: any will do", id="unordered"),
        pytest.param(FIND.but(row="id: UUID | None"), "-- null: id because it may be", id="null"),
        pytest.param(
            FIND.where("SELECT id", "SELECT id, bio").but(row="id: UUID; bio: str"),
            "-- notnull: bio because it is there",
            id="notnull",
        ),
        pytest.param(
            FIND.where("SELECT id", "SELECT id, username").but(row="id: UUID; username: Literal['a']"),
            "-- values: username because it is a",
            id="values",
        ),
    ],
)
async def test_an_exception_with_a_reason_lets_a_rule_be_broken(judge: Any, planted: Plant, header: str) -> None:
    assert len(await judge(planted)) == 1
    assert await judge(planted.but(header=header)) == []


@pytest.mark.parametrize(
    ("header", "message", "remedy"),
    [
        pytest.param("-- one:", "'one' has no reason", "write '-- one: why that is well'", id="no-reason"),
        pytest.param(
            "-- null: bio because",
            "'null' names a column and a reason",
            "write '-- null: column because …'",
            id="half-a-reason",
        ),
        pytest.param(
            "-- calls: because it is well",
            "'calls' names a function and a reason",
            "write '-- calls: function because …'",
            id="no-subject",
        ),
        pytest.param(
            "-- unnamed: brands",
            "'unnamed' names a relation and a reason",
            "write '-- unnamed: relation because …'",
            id="no-because",
        ),
        pytest.param("-- grows: tenants", "unknown growth 'tenants'", "did you mean 'tenant'?", id="unknown-growth"),
    ],
)
def test_an_exception_without_a_reason_is_refused_when_the_file_is_read(
    tmp_path: Path, header: str, message: str, remedy: str
) -> None:
    text = f"-- repository: Things\n-- Things.\n\n-- name: find :one\n-- One.\n{header}\n{FIND.sql};\n"
    with pytest.raises(StatementError) as refused:
        query_files.parse(text, tmp_path / "things.sql")
    assert (refused.value.message, refused.value.remedy) == (f"{tmp_path}/things.sql:6: {message}", remedy)
