"""Reads dates and timestamps that Python can't represent: infinity, years before 1, years beyond 9999.

The service writes no such values, but somebody may write them by hand. asyncpg's own codecs raise an error for such a value, and
the whole result is lost. The codecs of this module return the first or the last value that Python can represent instead.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_FIRST_MICROSECOND = (_FIRST - _EPOCH) // timedelta(microseconds=1)
_LAST_MICROSECOND = (_LAST - _EPOCH) // timedelta(microseconds=1)
_EPOCH_DAY = date(2000, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal()


async def register(connection: Any) -> None:
    """Register the codecs of this module on an asyncpg connection.

    asyncpg sends several queries for this. They need the same session, so they are sent in one transaction: behind a pooler,
    each transaction may run in another session.
    """
    async with connection.transaction():
        for name, encode, decode in (
            ("timestamptz", _from_moment, _moment),
            ("date", _from_day, _day),
        ):
            await connection.set_type_codec(name, schema="pg_catalog", encoder=encode, decoder=decode, format="tuple")


def _moment(value: tuple[int]) -> datetime:
    """The datetime for a timestamptz in microseconds since 2000. For infinity PostgreSQL sends the largest 64-bit integer."""
    microseconds = value[0]
    if microseconds > _LAST_MICROSECOND:
        return _LAST
    return _FIRST if microseconds < _FIRST_MICROSECOND else _EPOCH + timedelta(microseconds=microseconds)


def _from_moment(moment: datetime) -> tuple[int]:
    return ((moment - _EPOCH) // timedelta(microseconds=1),)


def _day(value: tuple[int]) -> date:
    """The date for a PostgreSQL date in days since 2000. For infinity PostgreSQL sends the largest 32-bit integer."""
    return date.fromordinal(min(max(_EPOCH_DAY + value[0], 1), _LAST_DAY))


def _from_day(day: date) -> tuple[int]:
    return (day.toordinal() - _EPOCH_DAY,)
