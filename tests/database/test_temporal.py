"""Dates and moments that SQL can write and Python can't hold."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from service.database.database import Database

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("infinity", LAST), ("-infinity", FIRST), ("0044-03-15 12:00:00+00 BC", FIRST), ("20000-01-01 00:00:00+00", LAST),
        ("9999-12-31 23:59:59.999999+00", LAST), ("0001-01-01 00:00:00+00", FIRST),
        ("2026-02-03 04:05:06.000007+01", datetime(2026, 2, 3, 3, 5, 6, 7, tzinfo=UTC)),
    ],
)  # fmt: skip
async def test_a_moment_is_read_as_the_nearest_that_there_is(database: Database, text: str, moment: datetime) -> None:
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT $1::text::timestamptz", (text,)) == moment
        assert await connection.fetchval("SELECT $1::timestamptz", (moment,)) == moment


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("infinity", date.max), ("-infinity", date.min), ("0044-03-15 BC", date.min), ("20000-01-01", date.max),
        ("2026-02-03", date(2026, 2, 3)), ("0001-01-01", date.min), ("9999-12-31", date.max),
    ],
)  # fmt: skip
async def test_a_date_is_read_as_the_nearest_that_there_is(database: Database, text: str, day: date) -> None:
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT $1::text::date", (text,)) == day
        assert await connection.fetchval("SELECT $1::date", (day,)) == day
