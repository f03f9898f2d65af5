"""Splits a migration's file into statements, each with its position, and runs them as `quarry migrate` does."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from service.checks.findings import Span
from service.schema.migration_errors import MigrationError
from service.statements.lexer import Kind, Lexeme, Unterminated, scan

_TRANSACTIONAL = re.compile(r"--\s*transactional\s*:\s*false\s*", re.IGNORECASE)
_BLANK = (Kind.SPACE, Kind.COMMENT)


@dataclass(frozen=True)
class Statement:
    """One statement of a migration, and where it begins: `line` counts from 1, `column` from 0."""

    text: str
    line: int
    column: int

    @property
    def words(self) -> str:
        """The beginning of the statement, in one line."""
        return " ".join(self.text.split())[:72]


@dataclass(frozen=True)
class Script:
    """The file of a migration or of its rollback. `lines` maps each word or quoted identifier to the first line that has it."""

    path: Path
    statements: Sequence[Statement]
    comments: Sequence[Lexeme]
    lines: Mapping[str, int] = field(repr=False)
    is_transactional: bool = True

    @property
    def id(self) -> str:
        """The migration's name."""
        return self.path.stem

    def span(self, statement: Statement) -> Span:
        """The first line of a statement, as a position in the file."""
        return Span(self.path, statement.line, statement.column, len(statement.text.partition("\n")[0]))

    def span_of(self, *names: str | None) -> Span:
        """The line on which a name first occurs: the first one of `names` that is in the file. Line 1 if none of them is."""
        return Span(self.path, next((self.lines[name] for name in names if name and name in self.lines), 1))


class Refused(Exception):
    """The server refused a statement, or the COMMIT after the last statement.

    `statement` is the last one that was sent, None if there was none. `is_unbound` says whether the error is TN001: no tenant
    was bound.
    """

    def __init__(self, statement: Statement | None, error: asyncpg.PostgresError) -> None:
        super().__init__(str(error.args[0]))
        self.statement = statement
        self.is_unbound = is_unbound(error)


def is_unbound(error: asyncpg.PostgresError) -> bool:
    """Whether the error is TN001: a policy was evaluated while no tenant was bound."""
    return bool(error.sqlstate == "TN001")


def read(path: Path) -> Script:
    """Read a file and split it into statements. Raises MigrationError if a string or a comment does not end."""
    text = path.read_text(encoding="utf-8")
    try:
        lexemes = list(scan(text))
    except Unterminated as error:
        raise MigrationError(f"{path.name}:{error.line + 1}: {error}", "correct the file") from error
    lines: dict[str, int] = {}
    for lexeme in lexemes:
        if lexeme.kind in (Kind.WORD, Kind.QUOTED):
            lines.setdefault(lexeme.text.strip('"'), lexeme.line + 1)
    comments = [lexeme for lexeme in lexemes if lexeme.kind is Kind.COMMENT]
    return Script(
        path,
        tuple(_statements(lexemes)),
        comments,
        lines,
        is_transactional=not any(_TRANSACTIONAL.fullmatch(comment.text) for comment in _header(lexemes)),
    )


async def _yes() -> bool:
    return True


async def run(
    connection: Any, script: Script, *, in_transaction: bool = True, is_kept: Callable[[], Awaitable[bool]] = _yes
) -> None:
    """Run all statements, in one transaction unless `in_transaction` is false.

    After the last statement `is_kept` is called: the transaction is committed if it returns True, and rolled back otherwise.
    Raises Refused if a statement fails; then too the transaction is rolled back.
    """
    statement = None
    try:
        if in_transaction:
            await connection.execute("BEGIN")
        for statement in script.statements:
            await connection.execute(statement.text)
        stays = await is_kept()
        if in_transaction:
            await connection.execute("COMMIT" if stays else "ROLLBACK")
    except asyncpg.PostgresError as error:
        if in_transaction:
            await connection.execute("ROLLBACK")
        raise Refused(statement, error) from error


def _header(lexemes: Sequence[Lexeme]) -> Iterator[Lexeme]:
    """The comments before the first statement. yoyo reads its directives, such as `-- transactional: false`, only there."""
    for lexeme in lexemes:
        if lexeme.kind is Kind.COMMENT:
            yield lexeme
        elif lexeme.kind is not Kind.SPACE:
            return


def _statements(lexemes: Sequence[Lexeme]) -> Iterator[Statement]:
    """Split the lexemes into statements, at each semicolon that is neither in parentheses nor in BEGIN ATOMIC … END."""
    open_, blocks, previous = 0, 0, ""
    piece: list[Lexeme] = []
    column = begin = 0
    for lexeme in lexemes:
        word = lexeme.text.lower()
        if piece or lexeme.kind not in _BLANK:
            begin = begin if piece else column
            piece.append(lexeme)
        if lexeme.kind is Kind.SYMBOL:
            open_ += (word == "(") - (word == ")")
        elif lexeme.kind is Kind.WORD:
            blocks += (word, previous) == ("atomic", "begin") or (blocks > 0 and word == "case")
            blocks -= blocks > 0 and word == "end"
        previous = previous if lexeme.kind in _BLANK else word
        column = len(lexeme.text.rpartition("\n")[2]) + (0 if "\n" in lexeme.text else column)
        if word == ";" and not open_ and not blocks:
            yield _statement(piece, begin)
            piece = []
    if piece:
        yield _statement(piece, begin)


def _statement(piece: Sequence[Lexeme], column: int) -> Statement:
    length = max(at for at, lexeme in enumerate(piece, 1) if lexeme.kind not in _BLANK)
    return Statement("".join(lexeme.text for lexeme in piece[:length]), piece[0].line + 1, column)
