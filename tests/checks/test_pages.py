"""Pages and orders that are judged by what they compare, not by the names of their parameters."""

from __future__ import annotations

import pytest

from checks.planting import Garden, Plant, codes

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


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(PAGE, id="after-a-row"),
        pytest.param(PAGE.where("(created_at, id) < (:since, :last)", "(:since, :last) > (created_at, id)"), id="turned-round"),
        pytest.param(TEXTS, id="by-an-expression"),
        pytest.param(
            Plant(
                "SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND (name > :name OR name = :name AND status > :status"
                " OR name = :name AND status = :status AND id > :last) ORDER BY name, status, id LIMIT :limit",
                takes="name: str, status: str, last: UUID, limit: int",
            ),
            id="three-keys-in-a-row",
        ),
        pytest.param(
            Plant(
                "SELECT id FROM campaigns WHERE tenant_id = :tenant_id AND status = :status"
                " AND (created_at, id) < (:since, :last) ORDER BY status, created_at DESC, id DESC LIMIT :limit",
                takes="status: str, since: datetime, last: UUID, limit: int",
            ),
            id="beside-a-key-that-is-fixed",
        ),
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
        pytest.param(
            "keyset-differs", PAGE.where("(:since, :last)", "(:since::date, :last)"), id="with-a-cast-that-loses"
        ),
        pytest.param(
            "keyset-differs",
            PAGE.where("(:since, :last)", "(:since::date, :last)").but(takes="since: date, last: UUID, limit: int"),
            id="with-a-value-of-another-type",
        ),
        pytest.param(
            "keyset-differs",
            Plant(
                "SELECT c.id FROM campaigns AS c LEFT JOIN users AS u ON u.tenant_id = :tenant_id AND u.id = c.owner_id"
                " AND (c.created_at, c.id) < (:since, :last) WHERE c.tenant_id = :tenant_id"
                " ORDER BY c.created_at DESC, c.id DESC LIMIT :limit",
                takes=PAGE.takes,
            ),
            id="where-an-outer-join-is-decided",
        ),
        pytest.param(
            "keyset-differs",
            Plant(
                "SELECT brand_id, max(created_at) AS last FROM campaigns WHERE tenant_id = :tenant_id AND brand_id IS NOT NULL"
                " AND (created_at, brand_id) < (:since, :last) GROUP BY brand_id ORDER BY last DESC, brand_id DESC LIMIT :limit",
                row="brand_id: UUID; last: datetime", takes=PAGE.takes,
            ),
            id="before-rows-are-grouped",
        ),
        pytest.param(
            "keyset-missing",
            Plant(
                "SELECT p.id FROM (SELECT id, created_at FROM campaigns WHERE tenant_id = :tenant_id"
                " ORDER BY created_at DESC, id DESC LIMIT :limit) AS p"
                " WHERE (p.created_at, p.id) < (:after_created_at, :after_id)"
                " ORDER BY p.created_at DESC, p.id DESC",
                takes="limit: int, after_created_at: datetime, after_id: UUID",
            ),
            id="outside-the-limit",
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


@pytest.mark.parametrize(
    ("limit", "takes"),
    [
        ("LIMIT coalesce(:n::bigint, 9223372036854775807)", "n: int | None"),
        ("LIMIT (SELECT count(*) FROM campaigns AS c WHERE c.tenant_id = :tenant_id)", ""),
        ("LIMIT CASE WHEN :n > 0 THEN :n ELSE 1000000000 END", "n: int"),
    ],
)
async def test_a_limit_that_is_too_large_to_bound_anything_is_told(garden: Garden, limit: str, takes: str) -> None:
    sql = f"SELECT id FROM campaigns WHERE tenant_id = :tenant_id ORDER BY created_at DESC, id DESC {limit}"
    assert "unbounded" in await codes(garden, Plant(sql, takes=takes))


@pytest.mark.parametrize("limit", ["LIMIT 10", "LIMIT least(:limit, 100)", "LIMIT coalesce(:limit, 50)"])
async def test_a_limit_that_is_a_number_for_certain_is_well(garden: Garden, limit: str) -> None:
    takes = "" if ":limit" not in limit else "limit: int | None" if "coalesce" in limit else "limit: int"
    plant = Plant(
        f"SELECT id FROM campaigns WHERE tenant_id = :tenant_id ORDER BY created_at DESC, id DESC {limit}", takes=takes
    )
    assert await codes(garden, plant) == set()
