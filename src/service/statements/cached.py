"""Statements whose results are cached. A method of a repository declares this: `@query(cached=Cached(row="id"))`."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID

from service import files
from service.cache.cache import Question, Reading, Rows
from service.cache.watermarks import Stamp, Tag
from service.statements.lexer import Kind, scan
from service.statements.statement import Statement
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


def cached_reader(
    statement: Statement, cached: Cached
) -> Callable[[Reading, Binding, str, Sequence[object]], Awaitable[Rows]]:
    """Return a function that reads the statement's rows through the cache.

    The function takes the cache, the binding, the text of a variant and its values. Raises StatementError if the statement can't
    be cached in the way that `cached` declares.
    """
    if statement.kind == "count" or statement.scope not in ("tenant", "shared"):
        raise statement.error("what counts rows that it touches, or belongs to no tenant, can't be cached")
    if _joins_by_comma(statement):
        raise statement.error("a cached statement has a comma between tables", "write JOIN")
    read_from = tables(statement)
    is_shared = not SHARED.isdisjoint(read_from)
    own = [table for table in read_from if table not in SHARED]
    if cached.row is not None and not all(cached.row in each.parameters for each in statement.variants.values()):
        raise statement.error(f"cached by the row that ':{cached.row}' names, which the statement does not have")
    if cached.row is not None and not own:
        raise statement.error("cached by a row, and it reads no table of a tenant", "cache it without 'row'")
    positions = {
        variant.text: None if cached.row is None else variant.parameters.index(cached.row)
        for variant in statement.variants.values()
    }
    template = files.sql("templates", "stamped.sql").read_text(encoding="utf-8")
    template = "\n".join(line for line in template.splitlines() if not line.startswith("--"))
    stamped = {text: _stamped(template, text) for text in positions}
    tables_of: tuple[Tag, ...] = tuple((table, None) for table in own)

    async def read(reading: Reading, binding: Binding, text: str, values: Sequence[object]) -> Rows:
        position = positions[text]
        tags = tables_of
        # A change that matches a tag invalidates the result. The log identifies rows by UUID. For an id of another type, which
        # PostgreSQL may accept, any change of the table invalidates the result.
        if position is not None and isinstance(row := values[position], UUID):
            tags = ((own[0], row), *tables_of[1:])
        key = tuple(tuple(value) if isinstance(value, list) else value for value in values)
        question = Question(reading.tenant, text, key, tags, is_shared, cached.lifetime)

        async def fill() -> tuple[Stamp, Rows]:
            asked_at = monotonic()
            records = await binding.connection.fetch(stamped[text], values)
            if binding.connection.observe is not None:
                binding.connection.observe(statement.label, monotonic() - asked_at, len(records))
            read_at = reading.read_at(asked_at)
            if not records:
                # There are no commit numbers, so the tenant does not exist. Then the statement is run by itself, and _NO_EPOCH
                # keeps its result from being cached.
                return Stamp(_NO_EPOCH, 0, 0, read_at), await binding.connection.fetch(text, values)
            epoch, number, shared, *_ = records[0].values()
            return Stamp(epoch, number, shared, read_at), [
                _own(record) for record in records if record["#is_row"] is not None
            ]

        return await reading.read(question, fill)

    return read


def _stamped(template: str, text: str) -> str:
    """The text of stamped.sql, which also reads the commit numbers, with the statement inserted. The comment with the statement's
    label stays at the beginning of the text.
    """
    label, _, statement = text.partition("*/")
    return f"{label}*/ {template.replace(_MARKER, statement)}"


def _own(record: Any) -> Mapping[str, Any]:
    return dict(itertools.islice(record.items(), _NUMBERS, None))
