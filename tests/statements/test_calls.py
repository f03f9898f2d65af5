"""What a bound method does: arrange the values, choose the variant, shape the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import NotFound, TenantUnbound
from service.statements import query_files
from service.statements.repository import Repository, query
from service.statements.rows import Row
from service.work import Work


class Thing(Row):
    id: int


SERIES = """-- repository: Things
-- Things are for tests.

-- name: first :one
-- scope: shared
-- The first number above.
SELECT n AS id FROM generate_series(1, 9) AS n WHERE n > :above::int ORDER BY n LIMIT 1;

-- name: perhaps :maybe
-- scope: shared
-- The first number above.
SELECT n AS id FROM generate_series(1, 9) AS n WHERE n > :above::int ORDER BY n LIMIT 1;

-- name: some :many
-- scope: shared
-- Numbers, newest first.
SELECT n AS id FROM generate_series(1, 9) AS n
 WHERE true
   AND n > :above::int                        -- when :above
   AND n BETWEEN :low::int AND :high::int     -- when :low
   AND n <> ALL (:without::int[])             -- when :without
 ORDER BY n DESC LIMIT :limit;

-- name: total :value
-- scope: shared
-- Their sum, none when there are none.
SELECT sum(n)::int FROM generate_series(1, 9) AS n WHERE n > :above::int;

-- name: lock :count
-- scope: shared
-- Touches nothing, and counts.
SELECT n FROM generate_series(1, 9) AS n WHERE n > :above::int;

-- name: mine :value
-- The tenant.
SELECT :tenant_id::uuid;
"""


class Things(Repository, aggregate="things", file=query_files.parse(SERIES, Path("things.sql"))):
    @query
    async def first(self, above: int) -> Thing: ...
    @query
    async def perhaps(self, above: int) -> Thing | None: ...
    @query
    async def some(
        self, above: int | None = None, *, low: int | None = None, high: int | None = None,
        without: list[int] | None = None, limit: int = 3,
    ) -> list[Thing]: ...  # fmt: skip
    @query
    async def total(self, above: int) -> int | None: ...
    @query
    async def lock(self, *, above: int) -> int: ...
    @query
    async def mine(self) -> Any: ...


def series(work: Work) -> Things:
    return Things(work.binding)


async def test_each_kind_answers_in_its_own_way(database: Database) -> None:
    async with Work(database, None) as work:
        things = series(work)
        assert (await things.first(4), await things.perhaps(4)) == (Thing(id=5), Thing(id=5))
        with pytest.raises(NotFound, match="There is no such thing"):
            await things.first(9)
        assert await things.perhaps(9) is None
        assert (await things.some(), await things.some(9)) == ([Thing(id=9), Thing(id=8), Thing(id=7)], [])
        assert (await things.total(7), await things.total(9)) == (17, None)
        assert (await things.lock(above=7), await things.lock(above=9)) == (2, 0)


async def test_what_is_given_chooses_the_variant(database: Database) -> None:
    async with Work(database, None) as work:
        things = series(work)

        async def ids(*args: int, **named: Any) -> list[int]:
            return [thing.id for thing in await things.some(*args, **{"limit": 9, **named})]

        assert await ids() == [9, 8, 7, 6, 5, 4, 3, 2, 1]
        assert await ids(5) == await ids(above=5) == [9, 8, 7, 6]
        assert await ids(0, low=2, high=4) == await ids(low=2, high=4) == [4, 3, 2]
        assert await ids(2, low=2, high=4, without=[3]) == [4]
        assert await ids(without=[]) == await ids(None)
        assert await ids(above=7, without=None) == [9, 8]
        for half in ({"low": 1}, {"high": 1}, {"low": 1, "high": None}):
            with pytest.raises(TypeError, match=r"Things\.some: low, high are given together or not at all"):
                await ids(**half)


async def test_a_wrong_call_is_the_type_error_that_python_would_raise(database: Database) -> None:
    async with Work(database, None) as work:
        things = series(work)
        for args, named, message in (
            ((), {}, "Things.first misses the value 'above'"),
            ((1, 2), {}, "Things.first takes 1 positional values, 2 were given"),
            ((1,), {"above": 2}, "Things.first does not take above"),
            (
                (1,),
                {"below": 2, "beside": 3},
                "Things.first does not take below, beside|Things.first does not take beside, below",
            ),
            ((), {"above": 1, "tenant_id": uuid4()}, "Things.first does not take tenant_id"),
        ):
            with pytest.raises(TypeError, match=message):
                await things.first(*args, **named)
        with pytest.raises(TypeError, match=r"Things\.lock takes 0 positional values, 1 were given"):
            await things.lock(1)


async def test_the_tenant_comes_from_the_binding(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        assert await series(work).mine() == acme.id
    async with Work(database, None) as work:
        with pytest.raises(TenantUnbound, match=r"things\.mine needs a tenant"):
            await series(work).mine()


async def test_every_call_is_observed_by_its_statements_name(database: Database) -> None:
    seen: list[tuple[str, int]] = []
    async with Work(database, None) as work:
        work.connection.observe = lambda name, _, rows: seen.append((name, rows))
        things = series(work)
        await things.some()
        await things.first(1)
        await things.perhaps(9)
    assert seen == [("things.some", 3), ("things.first", 1), ("things.perhaps", 0)]
