"""Statements whose results are cached. A method of a repository declares this: `@query(cached=Cached(row="id"))`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from service.cache.cache import Fill, Question, Reading, Rows
from service.cache.watermarks import Stamp, Tag
from service.statements.frames import template
from service.statements.lexer import Kind, scan
from service.statements.statement import Statement, Variant
from service.tables import SHARED
from service.tenancy.binding import Binding

_MARKER = "/* the statement */"
_NUMBERS = 4
"""How many columns stamped.sql puts before those of the statement: epoch, number, shared number, and whether there is a row."""
_NO_EPOCH = -1
_AFTER_FROM = frozenset({"WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "FOR", "UNION", "SELECT", "RETURNING"})


@dataclass(frozen=True)
class Cached:
    """Declares that a statement's results are cached until one of the tables that the statement reads is changed.

    `row` is the name of a parameter with the id of a row of the first tenant table in the outermost FROM. With it, a result
    stays valid if other rows of this table are changed. `lifetime` is the most seconds for which a result is valid. It is for
    results that also depend on the time; these are not stored in Redis.
    """

    row: str | None = None
    lifetime: float | None = None


def tables(statement: Statement) -> tuple[str, ...]:
    """The names, without schema, of the tables that a statement reads. Tables of outer queries precede those of subqueries."""
    words = [
        lexeme.text
        for lexeme in scan(statement.variants[max(statement.variants)].text)
        if lexeme.kind in (Kind.WORD, Kind.SYMBOL)
    ]
    found: dict[str, int] = {}
    depth = 0
    for position, word in enumerate(words[:-1]):
        # In the text, a subquery in the select list comes before the FROM of the outer query. So the tables are sorted by
        # the depth (the number of open parentheses) at which they occur, and those of subqueries come last.
        depth += (word == "(") - (word == ")")
        if word.upper() in ("FROM", "JOIN") and words[position + 1].isidentifier() and words[position + 1].islower():
            schema, dot, table = (*words[position + 1 :], "", "")[:3]
            name = table if dot == "." else schema
            found[name] = min(depth, found.get(name, depth))
    return tuple(sorted(found, key=found.__getitem__))


def _joins_by_comma(statement: Statement) -> bool:
    """Whether a FROM of the statement lists tables with a comma between them. `tables` would find only the first of these."""
    within: set[int] = set()
    depth, before = 0, ""
    for lexeme in scan(statement.variants[max(statement.variants)].text):
        word = lexeme.text.upper()
        if lexeme.kind not in (Kind.WORD, Kind.SYMBOL):
            continue
        if word == ")":
            within.discard(depth)
        depth += (word == "(") - (word == ")")
        if word == "FROM" and before != "DISTINCT":
            within.add(depth)
        elif word in _AFTER_FROM:
            within.discard(depth)
        elif word == "," and depth in within:
            return True
        before = word
    return False


class CachedReads:
    """Reads the rows of one statement through the cache."""

    def __init__(self, statement: Statement, cached: Cached) -> None:
        """Raises StatementError if the statement can't be cached in the way that `cached` declares."""
        if statement.kind == "count" or statement.scope not in ("tenant", "shared"):
            raise statement.error("what counts rows that it touches, or belongs to no tenant, can't be cached")
        if _joins_by_comma(statement):
            raise statement.error("a cached statement has a comma between tables", "write JOIN")
        read_from = tables(statement)
        own = [table for table in read_from if table not in SHARED]
        variants = statement.variants.values()
        if cached.row is not None and not all(cached.row in each.parameters for each in variants):
            raise statement.error(f"cached by the row that ':{cached.row}' names, which the statement does not have")
        if cached.row is not None and not own:
            raise statement.error("cached by a row, and it reads no table of a tenant", "cache it without 'row'")
        self._lifetime = cached.lifetime
        self._is_shared = not SHARED.isdisjoint(read_from)
        self._tags: tuple[Tag, ...] = tuple((table, None) for table in own)
        stamping = "\n".join(template("stamped.sql"))
        self._stamped = {each.text: _stamped(stamping, each.text) for each in variants}
        # The position of the row's id among the values of each variant.
        self._positions = {
            each.text: None if cached.row is None else each.parameters.index(cached.row) for each in variants
        }

    async def read(
        self, reading: Reading, variant: Variant, values: Sequence[object], fill: Fill, *, text: str | None = None
    ) -> Rows:
        """The rows of a variant, from the cache or from `fill`. `text` is what is sent, if it is not the variant's text."""
        tags = self._tags
        # A change that matches a tag invalidates the result. The log identifies rows by UUID. For an id of another type, which
        # PostgreSQL may accept, any change of the table invalidates the result.
        position = self._positions[variant.text]
        if position is not None and isinstance(row := values[position], UUID):
            tags = ((tags[0][0], row), *tags[1:])
        key = tuple(tuple(value) if isinstance(value, list) else value for value in values)
        question = Question(reading.tenant, text or variant.text, key, tags, self._is_shared, self._lifetime)
        return await reading.read(question, fill)

    async def stamped(
        self, binding: Binding, variant: Variant, values: Sequence[object]
    ) -> tuple[tuple[int, int, int] | None, Rows]:
        """Run a variant in the transaction. Returns the commit numbers of its snapshot (see `stamp`), and the rows."""
        records = await binding.connection.fetch(self._stamped[variant.text], values)
        if not records:
            # There are no commit numbers, so the tenant does not exist. Then the statement is run by itself.
            return None, await binding.connection.fetch(variant.text, values)
        epoch, number, shared, *_ = records[0].values()
        return (epoch, number, shared), [_own(record) for record in records if record["#is_row"] is not None]


def stamp(numbers: tuple[int, int, int] | None, read_at: float) -> Stamp:
    """The stamp of a result: epoch, the tenant's commit number, that of shared data. Without them, it is never kept."""
    return Stamp(_NO_EPOCH, 0, 0, read_at) if numbers is None else Stamp(*numbers, read_at)


def _stamped(stamping: str, text: str) -> str:
    """The text of stamped.sql, which also reads the commit numbers, with the statement inserted. The comment with the statement's
    label stays at the beginning of the text.
    """
    label, _, statement = text.partition("*/")
    return f"{label}*/ {stamping.replace(_MARKER, statement)}"


def _own(record: Any) -> Mapping[str, Any]:
    return dict(itertools.islice(record.items(), _NUMBERS, None))
