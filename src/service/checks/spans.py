"""Finds the place in a file of `sql/` for a position in the SQL text that the server was sent."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from service.checks.findings import Span
from service.statements.lexer import Kind, Lexeme, scan
from service.statements.statement import Statement

_CONDITION = re.compile(r"-- when :(\w+)")


def whole(statement: Statement) -> Span:
    """The name of a statement, in its `-- name:` line. It stands for the whole statement."""
    place = statement.place
    return Span(place.path, place.line, len("-- name: "), len(statement.name))


def at(statement: Statement, key: int, offset: int) -> Span:
    """The lexeme in the file for a byte offset in a variant's text; `whole(statement)` if there is none at that offset."""
    text = statement.variants[key].text
    data = text.encode()
    if not 0 <= offset < len(data):
        return whole(statement)
    wanted = len(data[:offset].decode(errors="ignore"))
    given = {"", *statement.given(key)}
    optional = dict(_conditions(statement))
    start = text.index("*/ ") + len("*/ ")
    sent = (each for each in _starts(text[start:], start))
    for lexeme, line, column in _placed(statement.source):
        if optional.get(line, "") not in given or lexeme.kind in (Kind.SPACE, Kind.COMMENT):
            continue
        if next(sent, wanted) >= wanted:
            return Span(statement.body.path, statement.body.line + line, column, len(lexeme.text))
    return whole(statement)


def of_parameter(statement: Statement, name: str) -> Span:
    """The first occurrence of a parameter; `whole(statement)` if there is none."""
    return _first(statement, lambda lexeme: lexeme.kind is Kind.PARAMETER and lexeme.name == name)


def of_word(statement: Statement, word: str) -> Span:
    """The first occurrence of a word, such as a column's name; `whole(statement)` if there is none."""
    return _first(statement, lambda lexeme: lexeme.text.lower() == word.lower())


def of_line(statement: Statement, line: int) -> Span:
    """A line of the statement's file, such as a line of the statement's header."""
    return Span(statement.place.path, line)


def _first(statement: Statement, is_wanted: Callable[[Lexeme], bool]) -> Span:
    for lexeme, line, column in _placed(statement.source):
        if is_wanted(lexeme):
            return Span(statement.body.path, statement.body.line + line, column, len(lexeme.text))
    return whole(statement)


@functools.lru_cache(maxsize=256)
def _placed(source: str) -> tuple[tuple[Lexeme, int, int], ...]:
    """The lexemes of a statement's source, each with its line and column, counted from 0."""
    found, column = [], 0
    for lexeme in scan(source):
        found.append((lexeme, lexeme.line, column))
        last = lexeme.text.rpartition("\n")[2]
        column = len(last) if "\n" in lexeme.text else column + len(last)
    return tuple(found)


def _conditions(statement: Statement) -> Iterator[tuple[int, str]]:
    for lexeme, _, _ in _placed(statement.source):
        if lexeme.kind is Kind.COMMENT and (match := _CONDITION.match(lexeme.text)):
            yield lexeme.line, match.group(1)


def _starts(text: str, start: int) -> Iterator[int]:
    """The offsets of all lexemes in `text` except white space and comments; `start` is the offset of `text` itself."""
    for lexeme in scan(text):
        if lexeme.kind not in (Kind.SPACE, Kind.COMMENT):
            yield start
        start += len(lexeme.text)
