"""Every function of the server that is said to answer a value is called with all that is odd."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random

import pytest

from checks.proofs import Prover
from service.checks.proofs import functions
from service.checks.proofs.catalog import Function

_ARRAYS = ["'{}'::int[]", "'{NULL}'::int[]", "'{1,2}'::int[]", "'[5:5]={7}'::int[]", "'{{1},{NULL}}'::int[]"]
_TIMES = ["-infinity", "infinity", "epoch", "2024-02-29 23:59:59.999999"]
_NUMBERS = ["NaN", "0", "-0", "-1.50", "1e30", "Infinity", "-Infinity"]
_TEXTS = ["", " ", "%", "\\\\", "x", "null", "NaN", "day", "hex", "Ä€\U0001f600", "[", "UTC"]

ODD = {
    "boolean": ["true", "false"],
    "smallint": ["0", "-32768", "32767"],
    "integer": ["0", "1", "-1", "-2147483648", "2147483647"],
    "bigint": ["0", "-9223372036854775808", "9223372036854775807"],
    "numeric": _NUMBERS,
    "real": [*_NUMBERS, "1e-45"],
    "double precision": [*_NUMBERS, "5e-324"],
    "text": _TEXTS,
    "character varying": _TEXTS,
    "character": _TEXTS,
    "name": ["", "UTF8"],
    "uuid": ["00000000-0000-0000-0000-000000000000"],
    "bytea": ["", "\\x00ff"],
    "date": ["-infinity", "infinity", "4713-01-01 BC", "2024-02-29"],
    "time without time zone": ["00:00", "24:00"],
    "timestamp with time zone": _TIMES,
    "timestamp without time zone": _TIMES,
    "interval": ["0", "-1 month", "1 day", "178000000 years"],
    "inet": ["0.0.0.0/0", "::1", "10.0.0.1/8"],
    "cidr": ["0.0.0.0/0", "::/0"],
    "jsonb": ["null", "{}", "[]", '""', "0", "[null]", '{"a": null}', '"x"', "true"],
    "oid": ["0", "4294967295"],
    "xid": ["0", "4294967295"],
    "xid8": ["0", "18446744073709551615"],
    "tsvector": ["", "'a':1 'b'"],
    "tsquery": ["", "'a' & !'b'"],
    "regconfig": ["simple", "english"],
    "text[]": ["{}", "{NULL}", "{a,b}", "{{a},{b}}"],
    "uuid[]": ["{}", "{NULL}"],
    "integer[]": ["{}", "{NULL}", "{1,2}"],
    '"char"': ["", "a"],
    "json": ["null", "{}", "[]", '{"a": null}'],
    "regclass": ["pg_temp.counted"],
}
PLAIN = {"integer": "1", "double precision": "0", "text": "'UTC'"}
POLYMORPHIC = {
    **dict.fromkeys(("anyarray", "anycompatiblearray"), _ARRAYS),
    **{each: ["0", "-1"] for each in ("anyelement", "anynonarray", "anycompatible", "anycompatiblenonarray")},
}

_ANSWERS_NULL = """
CREATE FUNCTION pg_temp.answers_null(call text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE found boolean;
BEGIN
  EXECUTE 'SELECT coalesce(bool_or(r IS NULL), false) FROM (SELECT ' || call || ' AS r LIMIT 3) AS s' INTO found;
  RETURN found;
EXCEPTION WHEN OTHERS THEN RETURN NULL;
END $$
"""


def odd(type: str) -> list[str]:
    """Expressions of a type, none of them null."""
    return POLYMORPHIC.get(type) or [f"$_${each}$_$::{type}" for each in ODD[type]]


def kinds(function: Function) -> list[str]:
    """The types of its arguments, without their names."""
    every = {*ODD, *POLYMORPHIC}
    named = [each.partition(" DEFAULT ")[0] for each in function.arguments.replace("VARIADIC ", "").split(", ")]
    named = [each for each in named if not each.startswith("OUT ")]
    named = named if function.arguments else []
    return [each if each in every else each.partition(" ")[2] if " " in each else each for each in named]


def calls(function: Function, most: int) -> Iterator[str]:
    """Calls of it with odd arguments, no more than so many."""
    every = list(itertools.product(*(odd(each) for each in kinds(function))))
    # Few odd values make a time: one call has plain ones.
    plain = tuple(PLAIN.get(each) or odd(each)[0] for each in kinds(function))
    for arguments in [plain, *Random(function.oid).sample(every, min(most, len(every)))]:
        *first, last = arguments or ("",)
        last = f"VARIADIC {last}" if "VARIADIC" in function.arguments else last
        yield f'pg_catalog."{function.name}"({", ".join([*first, last])})'


async def nulls(prover: Prover, called: list[str]) -> tuple[list[str], set[str]]:
    """Which of the calls answer null, and which answer at all."""
    connection = prover.connection
    async with connection.transaction():
        await connection.execute("RESET ROLE; SET LOCAL statement_timeout = '120s'")
        await connection.execute(f"CREATE TEMPORARY SEQUENCE counted; {_ANSWERS_NULL}")
        rows = await connection.fetch(
            "SELECT call, pg_temp.answers_null(call) AS is_null FROM unnest($1::text[]) AS call", called
        )
        await connection.execute("DROP FUNCTION pg_temp.answers_null; DROP SEQUENCE pg_temp.counted")
    return [row["call"] for row in rows if row["is_null"]], {row["call"] for row in rows if row["is_null"] is not None}


async def test_no_total_function_answers_null(prover: Prover) -> None:
    total = [each for each in prover.catalog.functions.values() if functions.is_total(each, prover.catalog)]
    assert len(total) > 300
    called = {each.oid: set(calls(each, 2_000)) for each in total}
    found, answered = await nulls(prover, [call for each in called.values() for call in each])
    assert not found
    # None of them refused all that it was given.
    assert [each.name for each in total if not called[each.oid] & answered] == []


async def test_no_function_that_is_never_null_minds_nulls(prover: Prover) -> None:
    never = [each for each in prover.catalog.functions.values() if functions.is_never_null(each)]
    called = []
    for each in never:
        types = ["int", "text"] if "VARIADIC" in each.arguments else kinds(each)
        values = {
            f"{', '.join(f'NULL::{type}' for type in types)}",
            "'a', NULL" if "VARIADIC" in each.arguments else "",
        }
        called += [f'pg_catalog."{each.name}"({value})' for value in values]
    found, answered = await nulls(prover, called)
    assert {each.name for each in never} == functions.NEVER_NULL
    assert not found
    assert len(answered) >= len(never)


def aggregated(function: Function, most: int) -> Iterator[str]:
    """Sub-selects that aggregate one and two odd values."""
    types = kinds(function)
    rest = "".join(f", {odd(each)[0]}" for each in types[1:])
    for values in itertools.islice(itertools.combinations_with_replacement(odd(types[0]), 2), most):
        rows = ", ".join(f"({value})" for value in values)
        yield f'(SELECT pg_catalog."{function.name}"(v{rest}) FROM (VALUES {rows}) AS s (v))'


async def test_aggregates_of_values_are_values(prover: Prover) -> None:
    known = [
        each for each in prover.catalog.functions.values()
        if each.schema == "pg_catalog" and each.kind == "a" and each.name in functions.KEEPING
        and set(kinds(each)) <= {*ODD, *POLYMORPHIC}
    ]  # fmt: skip
    assert {each.name for each in known} == functions.KEEPING
    found, answered = await nulls(prover, [call for each in known for call in aggregated(each, 40)])
    assert not found
    assert len(answered) > 500


@pytest.mark.parametrize("name", sorted(functions.COLLECTING))
async def test_what_collects_is_a_value_of_nulls_too(prover: Prover, name: str) -> None:
    pair = "'k', " if "object" in name else ""
    found, answered = await nulls(prover, [f"(SELECT {name}({pair}NULL::int) FROM (VALUES (1)) AS s)"])
    assert not found
    assert len(answered) == 1


_NOTHING = "(VALUES (NULL::int)) AS t (v)"


@pytest.mark.parametrize("name", sorted(functions.RANKS))
async def test_a_rank_is_a_value_in_an_empty_frame(prover: Prover, name: str) -> None:
    frame = "OVER (ORDER BY v ROWS BETWEEN 2 FOLLOWING AND 3 FOLLOWING)"
    found, answered = await nulls(
        prover, [f"(SELECT {name}({'v' if name == 'count' else ''}) {frame} FROM {_NOTHING})"]
    )
    assert not found
    assert len(answered) == 1
