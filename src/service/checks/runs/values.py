"""Makes the candidates for each column of sample rows: SQL expressions that the search (search.py) tries, the likeliest first.

Candidates depend only on the catalog. In an expression `@n` stands for the number of the row (from 1) and `@tenant` for the id
of its tenant. `@mark` (a text) and `@code` (a number of five digits) are derived from this id; they show in a value to which
tenant the value belongs.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from service.errors import OperatorError

NOBODY = UUID(int=0)
"""The id that is used in place of a tenant's id to make rows that belong to no tenant."""
NEWCOMER = UUID("cccccccc-0000-4000-8000-000000000003")
"""The id of a tenant that has a row in the table of tenants, but no sample rows in other tables."""

_LISTED = re.compile(
    r"(?<!\w)\(?\"?(\w+)\"?(?:\)::[a-z ]+)? = (?:ANY \(+ARRAY\[(.*?)\]|('(?:[^']|'')*'(?:::[a-z ]+)?))", re.DOTALL
)
_ELEMENT = re.compile(r"'(?:[^']|'')*'(?:::[a-z ]+)?|-?\d+")
_NUMBER = re.compile(r"-?\d+")

_LIKE = {
    "character varying": "text", "character": "text", "character varying[]": "text[]", "smallint": "integer",
    "real": "numeric", "double precision": "numeric", "integer[]": "bigint[]", "json": "jsonb",
    "timestamp with time zone": "timestamp", "timestamp without time zone": "timestamp",
    "time without time zone": "time", "time with time zone": "time",
}  # fmt: skip
"""Maps an SQL type to another type whose candidates it uses."""

_ROOT = "floor(sqrt((@n - 1)::double precision))::bigint"
_PARENTS = (f"(1 + {_ROOT})", f"(@n - {_ROOT} * {_ROOT})", "(1 + (@n - 1) / 3)")
"""Row @n refers to a parent row by a foreign key; these are expressions for the number of the parent row. With the first one,
2k - 1 rows refer to parent row k. If one foreign key uses the first and another the second, no two rows have the same pair of
parents. No expression depends on how many rows there are, and none exceeds @n, so references stay valid when rows are added."""

_LAST_RESORTS = ("(1 + @n % 2)", "(2 - @n % 2)")
"""For two foreign keys that may never refer to the same row."""

_CLOCK = "timestamptz '2024-01-01 00:00:00+00' + (@n - 1) / 3 * interval '1 minute'"
"""An expression for a time that is the same in three successive rows, and a minute later in the next three."""


class SampleError(OperatorError):
    """Raised if no sample rows can be made that satisfy a constraint, or no value can be found for a column or parameter."""


@dataclass(frozen=True)
class Column:
    """A column that gets a value in sample rows. Generated columns do not.

    `parent` is the OID of the table and the name of the column that the column refers to by a foreign key, None without one.
    `initial` is the text of its default, '' if it has none. `checks` are the texts of the CHECK constraints that mention it.
    """

    number: int
    name: str
    declared: str
    type_name: str
    is_nullable: bool
    is_tenant: bool
    is_indexed: bool
    initial: str
    checks: Sequence[str]
    parent: tuple[int, str] | None
    is_paired: bool = False
    """Whether exactly one row refers to each row of the parent table."""
    literal: str = ""
    """An expression for a type of which no values are made here."""
    labels: Sequence[str] = ()
    """The labels of an enum."""
    fixed: str = ""
    """The SQL expression that the column always gets; '' if candidates are tried."""
    is_from_sequence: bool = False
    """Whether its values come from a sequence: an identity or serial column."""

    @property
    def is_time(self) -> bool:
        return _LIKE.get(self.type_name) == "timestamp"

    @property
    def listed(self) -> Sequence[str]:
        """The SQL literals to which a CHECK restricts the column, the default first; empty if no CHECK lists values."""
        if self.labels:
            return [f"'{label.replace(chr(39), chr(39) * 2)}'" for label in self.labels]
        found = [each for check in self.checks for each in _LISTED.findall(check) if each[0] == self.name]
        values = dict.fromkeys(value for _, many, one in found for value in _ELEMENT.findall(many or one))
        return sorted(values, key=lambda value: value != self.initial)


@dataclass(frozen=True)
class Table:
    """A table that gets sample rows. `relation` is its OID; `columns` maps the names of its columns to the columns.

    `is_single` says whether it can hold only one row or, if it has a tenant column (`tenant`), only one row per tenant.
    """

    relation: int
    name: str
    columns: Mapping[str, Column]
    is_single: bool

    @property
    def tenant(self) -> str | None:
        return next((each.name for each in self.columns.values() if each.is_tenant), None)

    @property
    def is_of_tenants(self) -> bool:
        """Whether the table is app.tenants, in which each row describes a tenant."""
        return self.tenant == "id"

    @property
    def clock(self) -> str | None:
        """The name of the column with the time at which a row was created: a NOT NULL column whose default is the current time.

        If there are several, an indexed one is preferred. None if there is none.
        """
        clocks = [each for each in self.columns.values() if each.is_time and not each.is_nullable
                  and each.initial in ("now()", "clock_timestamp()", "CURRENT_TIMESTAMP")]  # fmt: skip
        return next((each.name for each in sorted(clocks, key=lambda each: not each.is_indexed)), None)


class Candidate(NamedTuple):
    """An SQL expression (`text`) that may be tried for a column.

    A column has a list of expressions for values that are not NULL. For a nullable column, each of them can give several
    candidates, which are NULL in different rows. `value` is the position of the expression in the list, or -1 for a candidate
    that is always NULL. Candidates with a lower `cost` are tried first; a higher cost means less variety in the rows.
    """

    value: int
    text: str
    cost: int


def mark(tenant: UUID) -> str:
    """Eight hexadecimal digits that identify a tenant's sample rows.

    Most text, uuid and bytea values of these rows contain these digits. Values from a fixed list, phone numbers and the
    tenant's id do not.
    """
    return hashlib.md5(str(tenant).encode(), usedforsecurity=False).hexdigest()[:8]


def bound(expression: str, tenant: UUID) -> str:
    """The expression with `@tenant`, `@mark` and `@code` replaced by the values of this tenant. `@n` is not replaced."""
    digits = mark(tenant)
    code = 10_000 + int(digits, 16) % 80_000
    return expression.replace("@tenant", f"'{tenant}'").replace("@mark", f"'{digits}'").replace("@code", str(code))


def candidates(table: Table, referenced: Mapping[str, str]) -> dict[str, list[Candidate]]:
    """Maps the name of each column of a table to the candidates of this column.

    `referenced` maps the name of each column that refers to another row to the expression of the column referred to. In this
    expression, @n stands for the number of the row referred to.
    """
    found: dict[str, list[Candidate]] = {}
    stride, references = 1, 0
    for column in table.columns.values():
        if column.is_tenant:
            values = ["@tenant"]
        elif column.fixed:
            values = [column.fixed]
        elif column.is_from_sequence:
            # The sequence begins with low numbers, and a statement that inserts draws from it.
            values = ["12000 + @n" if column.type_name == "smallint" else "@code * 20200::bigint + @n"]
        elif column.name in referenced:
            turn = references % len(_PARENTS)
            rows = ("@n",) if column.is_paired else (*_PARENTS[turn:], *_PARENTS[:turn], "@n", *_LAST_RESORTS)
            values = [referenced[column.name].replace("@n", row) for row in rows]
            references += 1
        elif options := _options(column):
            # A column with a list of values takes them in turn. Each such column changes its value more slowly than the one
            # before it, so that all combinations of their values occur.
            cycle = f"(ARRAY[{', '.join(options)}])[1 + (@n - 1) / {stride} % {len(options)}]"
            values, stride = [cycle, *options], stride * len(options)
        else:
            values = list(_values(table, column))
        if not values:
            raise SampleError(f"{table.name}.{column.name}: no sample values for the type {column.type_name}")
        found[column.name] = list(_masked(table, column, values))
    return found


def _options(column: Column) -> Sequence[str]:
    if column.type_name == "boolean":
        return ("true", "false") if column.initial == "true" else ("false", "true")
    return column.listed


def _masked(table: Table, column: Column, values: Sequence[str]) -> Iterator[Candidate]:
    for position, value in enumerate(values):
        if not column.is_nullable or table.is_single:
            yield Candidate(position, f"({value})::{column.declared}", position)
            continue
        own, common = (_hashed(seed, 3) for seed in (f"{table.name}.{column.name}", table.name))
        # A nullable time column is assumed to record an event, such as a deletion, that has not happened yet in most rows.
        first = f"{own} <> 0" if column.is_time else f"{own} = 0"
        for mask, cost in ((first, 0), (f"{common} = 0", 1), (f"{common} <> 0", 3)):
            text = f"(CASE WHEN {mask} THEN NULL ELSE {value} END)::{column.declared}"
            yield Candidate(position, text, position + cost)
        yield Candidate(position, f"({value})::{column.declared}", position + 3)
    if column.is_nullable:
        yield Candidate(-1, f"NULL::{column.declared}", 99)


def _hashed(seed: str, parts: int) -> str:
    """An SQL expression for a number from 0 to `parts - 1` that varies from row to row, and for each `seed` in another way."""
    return f"(hashint8extended(@n, {zlib.crc32(seed.encode())}) & 65535) % {parts}"


def _narrow_numbers(column: Column) -> Sequence[str]:
    """Candidates for a numeric type with fewer than five integer digits; none for other types."""
    digits = re.fullmatch(r"numeric\((\d+),(\d+)\)", column.declared)
    precision, scale = map(int, digits.groups()) if digits else (99, 0)
    return [f"@n % {10**precision} / {10**scale}.0", "1"] if precision - scale < 5 else []


def _short_texts(column: Column) -> Sequence[str]:
    """Candidates for varchar(n) and char(n) with n up to 12: the row number in base 26, with A to Z; none for other types."""
    length = re.fullmatch(r"character(?: varying)?\((\d+)\)", column.declared)
    if length is None or int(length[1]) > 12:
        return []
    places = range(min(int(length[1]), 4) - 1, -1, -1)
    return [" || ".join(f"chr((65 + @n / {26**place} % 26)::integer)" for place in places)]


def _values(table: Table, column: Column) -> Sequence[str]:
    seed = f"{table.name}.{column.name}"
    label = column.name.replace("'", "''")
    five = _hashed(seed, 5)
    digest = f"md5('{seed.replace(chr(39), chr(39) * 2)} ' || @n)"
    text = f"'{label} ' || @mark || ' ' || @n"
    # Two rows have it, unless a unique key keeps them apart: what is called one row on no ground shows two.
    pair = f"'{label} ' || @mark || ' ' || (@n + 1) / 2"
    identifier = f"(@mark || substr({digest}, 9))::uuid"
    start = column.initial if _NUMBER.fullmatch(column.initial) else "1"
    bounds = dict.fromkeys(number for check in column.checks for number in _NUMBER.findall(check))
    near = [f"{number}::numeric {sign} {five}" for number in bounds for sign in "+-"]
    some_clock = f"{_CLOCK} + {_hashed(seed, 2)} * interval '50 years' + interval '{column.number} seconds'"
    times = [_CLOCK, some_clock] if column.name == table.clock else [some_clock, _CLOCK]
    day = f"date '2024-01-01' + (@n % 700)::integer + {column.number}"
    thing = f"jsonb_build_object('{label}', {text})"
    return {
        # These are, in this order: words, a host or user name, an identifier, a URL, a phone number, a currency, a language, and
        # two digests of 32 and 64 hexadecimal digits.
        "text": [
            *_short_texts(column), pair, text, "@mark || '.' || @n", "'c' || @mark || '_' || @n",
            "'https://' || @mark || '.example/' || @n",
            "'+1' || (@code * 100000000::bigint + @n)", "(ARRAY['USD', 'EUR', 'INR'])[1 + @n % 3]",
            "(ARRAY['en', 'de', 'fr'])[1 + @n % 3]", f"@mark || substr({digest}, 9)",
            f"@mark || substr({digest}, 9) || {digest}",
        ],
        "uuid": [identifier],
        # The first byte, 01, marks a sealed value. The first candidate is 32 bytes long, like a SHA-256 digest.
        "bytea": [f"decode('01' || @mark || {digest} || repeat('00', {zeros}), 'hex')" for zeros in (11, 0, 43)],
        "integer": [f"{start} + {five}", _PARENTS[1], "@n", "0", "1", *near],
        "bigint": ["@n", five, "0", *near],
        "numeric": [*_narrow_numbers(column), "@n + 0.25", "@n", "0.5", "0", *near],
        "timestamp": [*times, f"{_CLOCK} - interval '1 hour'"],
        "date": [day, f"{day} + 1000", f"{day} - 10000"],
        "time": ["time '08:00' + @n * interval '7 minutes'"],
        "interval": ["make_interval(days => 1 + (@n % 90)::integer)", "interval '1 hour'"],
        "inet": ["inet '10.0.0.0' + @n % 16000000"],
        "jsonb": [f"CASE WHEN @n % 4 = 0 THEN '{{}}' ELSE {thing} END", thing, f"jsonb_build_array({text})", "'{}'"],
        "text[]": [f"ARRAY[{text}, 'second ' || {text}]"],
        "uuid[]": [f"ARRAY[{identifier}]"],
        "bigint[]": ["ARRAY[@n, @n + 1]"],
        # These ids are higher than any transaction id that a server assigns. app.former_xid() uses this range for transaction
        # ids of earlier epochs.
        "xid8": ["(9223372036854775808 + @n)::text::xid8"],
        "oid": ["16384 + @n"],
    }.get(_LIKE.get(column.type_name, column.type_name), [column.literal] if column.literal else [])  # fmt: skip
