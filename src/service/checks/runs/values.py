"""What a column of a sample row may hold: expressions in SQL, the likeliest first, by the column's type alone.

An expression speaks of its row as `@n` (from 1) and of its tenant as `@tenant`, `@mark` (text) and `@code` (five digits).
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
"""The tenant of rows that all tenants share."""
NEWCOMER = UUID("cccccccc-0000-4000-8000-000000000003")
"""A tenant that has its own row, and no other."""

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
"""Types whose values are made as those of another."""

_ROOT = "floor(sqrt((@n - 1)::double precision))::bigint"
_PARENTS = (f"(1 + {_ROOT})", f"(@n - {_ROOT} * {_ROOT})", "(1 + (@n - 1) / 3)")
"""Which row of its parent a row refers to: the k-th has 2k - 1 children, and the pairs of the first two are unique. None
depends on how many rows there are, and none is after @n, so that it stays true when rows are added."""

_CLOCK = "timestamptz '2024-01-01 00:00:00+00' + (@n - 1) / 3 * interval '1 minute'"
"""Goes up with the rows, three of them at a time."""


class SampleError(OperatorError):
    """No rows that satisfy a constraint could be made."""


@dataclass(frozen=True)
class Column:
    """A column that is given a value. `parent` is the relation and the column that it refers to, `initial` its default."""

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
    """Whether each row of the parent has a row, and one only."""
    fixed: str = ""
    """The one expression that it is given, if it is."""

    @property
    def is_time(self) -> bool:
        return _LIKE.get(self.type_name) == "timestamp"

    @property
    def listed(self) -> Sequence[str]:
        """The only values that a CHECK lets in, the default first; none when no CHECK lists them."""
        found = [each for check in self.checks for each in _LISTED.findall(check) if each[0] == self.name]
        values = dict.fromkeys(value for _, many, one in found for value in _ELEMENT.findall(many or one))
        return sorted(values, key=lambda value: value != self.initial)


@dataclass(frozen=True)
class Table:
    """A table; `tenant` is the column of its tenant, if it has one; `is_single` when there is room for one row (each)."""

    relation: int
    name: str
    columns: Mapping[str, Column]
    is_single: bool

    @property
    def tenant(self) -> str | None:
        return next((each.name for each in self.columns.values() if each.is_tenant), None)

    @property
    def is_of_tenants(self) -> bool:
        """Whether each row is a tenant."""
        return self.tenant == "id"

    @property
    def clock(self) -> str | None:
        """The column that tells when a row was made: its default is the current time; preferably one that an index orders by."""
        clocks = [each for each in self.columns.values() if each.is_time and not each.is_nullable
                  and each.initial in ("now()", "clock_timestamp()", "CURRENT_TIMESTAMP")]  # fmt: skip
        return next((each.name for each in sorted(clocks, key=lambda each: not each.is_indexed)), None)


class Candidate(NamedTuple):
    """An expression, which value of the column's list it is (-1: NULL), and how much variety is lost by taking it."""

    value: int
    text: str
    cost: int


def mark(tenant: UUID) -> str:
    """Eight hexadecimal digits that every text, uuid and bytea of this tenant's sample rows holds, lists aside."""
    return hashlib.md5(str(tenant).encode(), usedforsecurity=False).hexdigest()[:8]


def bound(expression: str, tenant: UUID) -> str:
    """The expression of one tenant; what is left open is @n."""
    digits = mark(tenant)
    code = 10_000 + int(digits, 16) % 80_000
    return expression.replace("@tenant", f"'{tenant}'").replace("@mark", f"'{digits}'").replace("@code", str(code))


def candidates(table: Table, referenced: Mapping[str, str]) -> dict[str, list[Candidate]]:
    """All that may be tried, by column; `referenced` is what a column refers to, as an expression of the parent's @n."""
    found: dict[str, list[Candidate]] = {}
    stride, references = 1, 0
    for column in table.columns.values():
        if column.is_tenant:
            values = ["@tenant"]
        elif column.fixed:
            values = [column.fixed]
        elif column.name in referenced:
            turn = references % len(_PARENTS)
            rows = ("@n",) if column.is_paired else (*_PARENTS[turn:], *_PARENTS[:turn], "@n")
            values = [referenced[column.name].replace("@n", row) for row in rows]
            references += 1
        elif options := _options(column):
            # Each such column gets one digit of the row's number, so that all combinations occur.
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
        # A time column records an event of a row. In most rows the event has not happened yet.
        first = f"{own} <> 0" if column.is_time else f"{own} = 0"
        for mask, cost in ((first, 0), (f"{common} = 0", 1), (f"{common} <> 0", 3)):
            text = f"(CASE WHEN {mask} THEN NULL ELSE {value} END)::{column.declared}"
            yield Candidate(position, text, position + cost)
        yield Candidate(position, f"({value})::{column.declared}", position + 3)
    if column.is_nullable:
        yield Candidate(-1, f"NULL::{column.declared}", 99)


def _hashed(seed: str, parts: int) -> str:
    """A number below `parts` that varies from row to row, in a different way for each seed."""
    return f"(hashint8extended(@n, {zlib.crc32(seed.encode())}) & 65535) % {parts}"


def _values(table: Table, column: Column) -> Sequence[str]:
    seed = f"{table.name}.{column.name}"
    label = column.name.replace("'", "''")
    five = _hashed(seed, 5)
    digest = f"md5('{seed.replace(chr(39), chr(39) * 2)} ' || @n)"
    text = f"'{label} ' || @mark || ' ' || @n"
    identifier = f"(@mark || substr({digest}, 9))::uuid"
    start = column.initial if _NUMBER.fullmatch(column.initial) else "1"
    bounds = dict.fromkeys(number for check in column.checks for number in _NUMBER.findall(check))
    near = [f"{number}::numeric {sign} {five}" for number in bounds for sign in "+-"]
    some_clock = f"{_CLOCK} + {_hashed(seed, 2)} * interval '50 years' + interval '{column.number} seconds'"
    times = [_CLOCK, some_clock] if column.name == table.clock else [some_clock, _CLOCK]
    day = f"date '2024-01-01' + (@n % 700)::integer + {column.number}"
    thing = f"jsonb_build_object('{label}', {text})"
    return {
        # A sentence, a host or user name, a name as in code, a URL, a phone number, a currency, a language, digests.
        "text": [
            text, "@mark || '.' || @n", "'c' || @mark || '_' || @n", "'https://' || @mark || '.example/' || @n",
            "'+1' || (@code * 100000000::bigint + @n)", "(ARRAY['USD', 'EUR', 'INR'])[1 + @n % 3]",
            "(ARRAY['en', 'de', 'fr'])[1 + @n % 3]", f"@mark || substr({digest}, 9)",
            f"@mark || substr({digest}, 9) || {digest}",
        ],
        "uuid": [identifier],
        # As long as a digest and, by its first byte, sealed.
        "bytea": [f"decode('01' || @mark || {digest} || repeat('00', {zeros}), 'hex')" for zeros in (11, 0, 43)],
        "integer": [f"{start} + {five}", _PARENTS[1], "@n", "0", "1", *near],
        "bigint": ["@n", five, "0", *near],
        "numeric": ["@n + 0.25", "@n", "0.5", "0", *near],
        "timestamp": [*times, f"{_CLOCK} - interval '1 hour'"],
        "date": [day, f"{day} + 1000", f"{day} - 10000"],
        "time": ["time '08:00' + @n * interval '7 minutes'"],
        "interval": ["make_interval(days => 1 + (@n % 90)::integer)", "interval '1 hour'"],
        "inet": ["inet '10.0.0.0' + @n % 16000000"],
        "jsonb": [f"CASE WHEN @n % 4 = 0 THEN '{{}}' ELSE {thing} END", thing, f"jsonb_build_array({text})", "'{}'"],
        "text[]": [f"ARRAY[{text}, 'second ' || {text}]"],
        "uuid[]": [f"ARRAY[{identifier}]"],
        "bigint[]": ["ARRAY[@n, @n + 1]"],
        # Beyond any id that a server gives, where app.former_xid() keeps those of earlier epochs.
        "xid8": ["(9223372036854775808 + @n)::text::xid8"],
        "oid": ["16384 + @n"],
    }.get(_LIKE.get(column.type_name, column.type_name), [])  # fmt: skip
