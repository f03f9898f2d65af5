"""Rows as bytes for Redis: whatever a cached row holds comes back as it was, and nothing else is mistaken for one."""

from __future__ import annotations

import contextlib
import datetime as dt
import pickle
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID, uuid4

import pytest
from asyncpg.pgproto import pgproto
from hypothesis import example, given
from hypothesis import strategies as some

from arranging.caching import CACHED
from arranging.factories import Factory
from service.cache.packing import pack, unpack
from service.database.database import Database
from service.work import Work

OF_TYPE = {
    "bool": some.booleans(),
    "int4": some.integers(-(2**31), 2**31 - 1),
    "int8": some.integers(-(2**63), 2**63 - 1),
    "float8": some.floats(allow_nan=False),
    "text": some.text(),
    "jsonb": some.text(),
    "bytea": some.binary(),
    "uuid": some.uuids().map(lambda id: pgproto.UUID(bytes(id.bytes))),
    "date": some.dates(),
    "timestamptz": some.datetimes(timezones=some.just(dt.UTC)),
    "interval": some.timedeltas(),
    "inet": some.ip_addresses(),
}
"""What asyncpg makes of each of PostgreSQL's types; jsonb arrives as text."""
VALUES = some.none() | some.one_of(*OF_TYPE.values())
ROWS = some.lists(some.lists(VALUES, max_size=6), max_size=4)
PACKED = pack([["Summer", 7, None], [UUID(int=7), b"\x00sealed", dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC)]])


def kinds(value: Any) -> Any:
    """The types of it all, lists taken apart: True is 1, and a datetime may pass for a date."""
    return [kinds(each) for each in value] if isinstance(value, list) else type(value)


@given(ROWS)
def test_rows_come_back_as_they_were_value_and_type(rows: list[list[object]]) -> None:
    found = unpack(pack(rows))
    assert (found, kinds(found)) == (rows, kinds(rows))


async def test_every_column_of_a_cached_statement_is_of_a_type_that_is_packed(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id, read_only=True) as work:
        for label, method in CACHED.items():
            for variant in method.statement.variants.values():
                prepared = await work.connection.raw.prepare(variant.text)
                of = {attribute.name: attribute.type.name for attribute in prepared.get_attributes()}
                assert set(of.values()) <= OF_TYPE.keys(), (label, of)


async def test_what_the_driver_answers_for_each_type_comes_back_as_it_was(database: Database) -> None:
    address = IPv6Address("2001:db8::1")
    now = dt.datetime.now(dt.UTC)
    of_type = {
        "bool": True, "int4": -1, "int8": 2**62, "float8": 0.1, "text": "Zoë \U0001f600 \\u0000 {'u'}",
        "jsonb": '{"u": "x"}', "bytea": b"\x00\xff", "uuid": uuid4(), "date": now.date(), "timestamptz": now,
        "interval": dt.timedelta(days=-1, microseconds=1), "inet": address,
    }  # fmt: skip
    assert of_type.keys() == OF_TYPE.keys()
    columns = ", ".join(f"${n}::{name}" for n, name in enumerate(of_type, 1))
    async with database.connection() as connection:
        record = await connection.fetchrow(f"SELECT {columns}, NULL::uuid", list(of_type.values()))
    assert record is not None
    found = unpack(pack(list(record.values())))
    assert found == list(record.values()) == [*of_type.values(), None]


def test_an_id_comes_back_as_the_driver_makes_them() -> None:
    found = unpack(pack(UUID(int=7)))
    assert (found, type(found)) == (UUID(int=7), pgproto.UUID)


def test_a_tuple_comes_back_as_a_list_and_packs_like_one() -> None:
    assert unpack(pack((1, ("a",)))) == [1, ["a"]]
    assert pack((1, ("a",))) == pack([1, ["a"]])


@given(some.lists(VALUES), some.lists(VALUES))
@example([True], [1])
@example([dt.date(2026, 1, 1)], ["2026-01-01"])
@example([IPv4Address("1.1.1.1")], ["1.1.1.1"])
@example([b"a"], ["a"])
def test_different_values_are_different_bytes(one: list[object], other: list[object]) -> None:
    # Names in Redis are made of them.
    assert (pack(one) == pack(other)) == ((one, kinds(one)) == (other, kinds(other)) and str(one) == str(other))


@pytest.mark.parametrize(
    "value", [Decimal(1), {1}, object(), dt.time(1), 1j, bytearray(b"a")], ids=lambda value: type(value).__name__
)
def test_what_would_not_come_back_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=f"{type(value).__name__} is not packed"):
        pack([value])


@pytest.mark.parametrize("length", range(len(PACKED)))
def test_what_was_cut_off_is_no_value(length: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the decoder's own sentence
        unpack(PACKED[:length])


def is_plain_or_none(data: bytes) -> bool:
    """Whether these bytes are a value that can be packed, or said to be none; anything else is raised."""
    with contextlib.suppress(ValueError):
        pack(unpack(data))
    return True


@given(some.binary())
@example(b"\xff\xfe")
@example(b"9" * 5000)
def test_any_bytes_are_a_plain_value_or_no_value(data: bytes) -> None:
    assert is_plain_or_none(data)


@given(some.integers(0, len(PACKED) - 1), some.integers(0, 255))
def test_damaged_bytes_are_a_plain_value_or_no_value(at: int, byte: int) -> None:
    assert is_plain_or_none(PACKED[:at] + bytes([byte]) + PACKED[at + 1 :])


@pytest.mark.parametrize("data", [
    b"", b"{}", b'{"x": 1}', b'{"u": 5}', b'{"u": "5"}', b'{"u": null}', b'{"b": "a"}', b'{"b": 1}',
    b'{"d": "2026-13-01"}', b'{"t": 5}', b'{"s": [1e300]}', b'{"s": "123"}', b'{"s": [1,2,3,4,5,6,7,8]}',
    b'{"i": "1.1"}', b'{"i": [1]}', b'{"u": "00000000000000000000000000000007", "b": ""}', b"[" * 100_000,
    pickle.dumps(["a"]), b"\x80",
])  # fmt: skip
def test_what_is_of_another_make_is_no_value(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the decoder's own sentence
        unpack(data)
