"""Cached statements whose answers would outlive a change."""

from __future__ import annotations

from typing import Any

import pytest

from checks.planting import Plant

FIND = Plant(
    "SELECT b.id FROM brands AS b JOIN brand_niches AS n ON n.tenant_id = b.tenant_id AND n.brand_id = b.id "
    "WHERE b.tenant_id = :tenant_id AND n.tenant_id = :tenant_id AND b.id = :id ORDER BY b.id, n.id LIMIT 10",
    row="id: UUID",
    takes="id: UUID",
    cached="(cached=Cached())",
)
VIEW = (
    "CREATE VIEW quarry.shown WITH (security_invoker) AS SELECT * FROM brand_niches;"
    "GRANT SELECT ON quarry.shown TO quarry_app"
)
FUNCTION = (
    "CREATE FUNCTION quarry.counted() RETURNS bigint LANGUAGE sql STABLE SET search_path = quarry"
    " AS 'SELECT count(*) FROM brand_niches';"
    "GRANT EXECUTE ON FUNCTION quarry.counted() TO quarry_app;"
    "CREATE FUNCTION quarry.either(a text, b text) RETURNS boolean LANGUAGE sql STABLE SET search_path = quarry"
    " AS 'SELECT count(*) > 0 FROM brand_niches'; GRANT EXECUTE ON FUNCTION quarry.either TO quarry_app;"
    "CREATE OPERATOR quarry.## (LEFTARG = text, RIGHTARG = text, FUNCTION = quarry.either)"
)


ONE = Plant(
    "SELECT id FROM brands WHERE tenant_id = :tenant_id AND id = :id",
    "one",
    takes="id: UUID",
    cached="(cached=Cached(row='id'))",
)
"""A cached result that ends with one row."""


async def told(judge: Any, planted: Plant, healthy: Plant, ddl: str = "") -> str:
    """What is said of a statement whose cached results would outlive a change."""
    found = [
        each.finding.message for each in await judge(planted, healthy, ddl=ddl) if each.finding.code == "cache-misses"
    ]
    return str(found[0])


async def test_a_table_that_the_cache_does_not_know_of_is_told(judge: Any) -> None:
    said = await told(judge, FIND.where("JOIN brand_niches", "JOIN shown"), FIND, VIEW)
    assert said == "it reads brand_niches, and a change there would leave its cached answer as it is"


async def test_a_table_or_column_whose_changes_are_not_recorded_is_told(judge: Any) -> None:
    otps = Plant(
        "SELECT id FROM otps WHERE tenant_id = :tenant_id AND id = :id",
        "one",
        takes="id: UUID",
        cached="(cached=Cached())",
    )
    assert await told(judge, otps, ONE) == "it reads otps, whose changes are not recorded"
    epoch = Plant(
        "SELECT b.id, i.epoch FROM brands AS b CROSS JOIN app.installation AS i WHERE b.tenant_id = :tenant_id AND b.id = :id",
        "one",
        row="id: UUID; epoch: int",
        takes="id: UUID",
        cached="(cached=Cached())",
    )
    assert await told(judge, epoch, ONE) == "it reads installation, whose changes are not recorded"
    sessions = ONE.where("id FROM brands", "id, last_seen_at FROM sessions").but(row="id: UUID; last_seen_at: datetime")
    assert await told(judge, sessions, ONE) == "it reads sessions.last_seen_at, whose changes are not recorded"
    assert "cache-misses" not in {
        each.finding.code for each in await judge(sessions.but(cached="(cached=Cached(row='id', lifetime=1.0))"), ONE)
    }


@pytest.mark.parametrize(
    "planted",
    [
        pytest.param(
            ONE.where("AND id = :id", "AND owner_id = :owner_id")
            .where("FROM brands", "FROM campaigns")
            .but(takes="owner_id: UUID", cached="(cached=Cached(row='owner_id'))"),
            id="another-column",
        ),
        pytest.param(ONE.where("id = :id", "id > :id"), id="not-equal"),
        pytest.param(
            FIND.but(cached="(cached=Cached(row='id'))").where(
                "brands AS b JOIN brand_niches AS n", "brand_niches AS n JOIN brands AS b"
            ),
            id="not-the-outermost-table",
        ),
        pytest.param(
            ONE.where(
                "AND id = :id",
                "AND id = :id AND EXISTS (SELECT FROM brands AS o WHERE o.tenant_id = :tenant_id AND o.is_active)",
            ),
            id="the-table-twice",
        ),
    ],
)
async def test_a_result_that_ends_with_one_row_but_may_be_of_others_is_told(judge: Any, planted: Plant) -> None:
    assert "which may be of other rows too" in await told(judge, planted, ONE)


@pytest.mark.parametrize("condition", ["quarry.counted() > 0", "b.username OPERATOR(quarry.##) b.username"])
async def test_a_function_of_our_own_in_a_cached_statement_is_told(judge: Any, condition: str) -> None:
    planted = FIND.where("b.id = :id", f"b.id = :id AND {condition}")
    assert "() runs in it, and what that reads is not known to the cache" in await told(judge, planted, FIND, FUNCTION)


async def test_the_same_without_a_cache_is_nobodys_business(judge: Any) -> None:
    assert await judge(FIND.where("JOIN brand_niches", "JOIN brand_niches").but(cached="")) == []
