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
    "GRANT EXECUTE ON FUNCTION quarry.counted() TO quarry_app"
)


@pytest.mark.parametrize(
    ("planted", "ddl"),
    [
        pytest.param(FIND.where("JOIN brand_niches", "join brand_niches"), "", id="a-word-in-small-letters"),
        pytest.param(FIND.where("JOIN brand_niches", "JOIN shown"), VIEW, id="a-view"),
    ],
)
async def test_a_table_that_the_cache_does_not_know_of_is_told(judge: Any, planted: Plant, ddl: str) -> None:
    found = {each.finding.code: each.finding.message for each in await judge(planted, FIND, ddl=ddl)}
    assert found["cache-misses"] == "it reads brand_niches, and a change there would leave its cached answer as it is"


async def test_a_function_of_our_own_in_a_cached_statement_is_told(judge: Any) -> None:
    planted = FIND.where("b.id = :id", "b.id = :id AND quarry.counted() > 0")
    found = await judge(planted, FIND, ddl=FUNCTION)
    assert "cache-misses" in {each.finding.code for each in found}


async def test_the_same_without_a_cache_is_nobodys_business(judge: Any) -> None:
    assert await judge(FIND.where("JOIN brand_niches", "join brand_niches").but(cached="")) == []
