"""Converts positions in the text that is sent to positions in the file that a reviewer reads."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from service.checks.findings import Span
from service.statements.lexer import Kind, Lexeme, scan
from service.statements.statement import Statement

_CONDITION = re.compile(r"-- when :(\w+)")


def whole(statement: Statement) -> Span:
    """Where a statement begins in its file: its name."""
    place = statement.place
    return Span(place.path, place.line, len("-- name: "), len(statement.name))


def at(statement: Statement, key: int, offset: int) -> Span:
    """The lexeme that begins at a byte of the text of a variant; the whole statement where there is none."""
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
    """Where a parameter first stands."""
    return _first(statement, lambda lexeme: lexeme.kind is Kind.PARAMETER and lexeme.name == name)


def of_word(statement: Statement, word: str) -> Span:
    """Where a word, such as a column's name, first stands; the whole statement where it doesn't."""
    return _first(statement, lambda lexeme: lexeme.text.lower() == word.lower())


def of_line(statement: Statement, line: int) -> Span:
    """A line of the statement's file, such as one of its header."""
    return Span(statement.place.path, line)


def _first(statement: Statement, is_wanted: Callable[[Lexeme], bool]) -> Span:
    for lexeme, line, column in _placed(statement.source):
        if is_wanted(lexeme):
            return Span(statement.body.path, statement.body.line + line, column, len(lexeme.text))
    return whole(statement)


@functools.lru_cache(maxsize=256)
def _placed(source: str) -> tuple[tuple[Lexeme, int, int], ...]:
    """The lexemes of a source with their lines and columns, from 0."""
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
    """Where each lexeme of a text begins that is neither space nor comment."""
    for lexeme in scan(text):
        if lexeme.kind not in (Kind.SPACE, Kind.COMMENT):
            yield start
        start += len(lexeme.text)
