"""Reads the files of named statements, `sql/queries/<aggregate>.sql`. How to write them is described in `sql/README.md`."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service import files
from service.statements.statement import (
    KINDS,
    SCOPES,
    FilePlace,
    Note,
    Scope,
    Statement,
    StatementError,
    compile_statement,
    suggest,
)

_NAME = re.compile(r"^-- name:(.*)$")
_NAME_VALUE = re.compile(r"^\s+([a-z][a-z0-9_]*)\s+:([a-z]+)\s*$")
_HEADER = re.compile(r"^-- ([a-z][a-z_-]*):(?:\s+(.*))?$")
GROWTH = ("const", "page", "tenant")
"""The values of the header `-- grows:`. They say how many more rows a statement touches if the tenant has more rows: `const`
none, `page` at most one page, `tenant` in proportion to the tenant's rows."""
_REASONED = ("one", "unbounded", "unordered", "crosses", "unrun")
_SUBJECTS = {
    "null": "a column",
    "notnull": "a column",
    "values": "a column",
    "unindexed": "a relation",
    "calls": "a function",
    "unnamed": "a relation",
    "fails": "an SQLSTATE",
    "filter": "a parameter",
    "planned": "a parameter",
}


@dataclass(frozen=True)
class QueryFile:
    """A parsed file. `repository` is the name of the class whose methods run the statements; `statements` maps their names to
    them, in the order of the file.
    """

    path: Path
    repository: str
    statements: Mapping[str, Statement]


@functools.cache
def of_aggregate(aggregate: str) -> QueryFile:
    """The statements of `sql/queries/<aggregate>.sql`. Raises StatementError."""
    return read(files.sql("queries", f"{aggregate}.sql"))


def read(path: Path) -> QueryFile:
    """Parse a file of named statements. Raises StatementError with the file and line of the mistake, and with a remedy."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StatementError(path, 1, f"the file can't be read: {error}") from error
    return parse(text, path)


def parse(text: str, path: Path) -> QueryFile:
    """Parse the text of a query file. `path` is for error messages and labels: `page` in campaigns.sql is `campaigns.page`."""
    lines = text.split("\n")
    heads = [number for number, line in enumerate(lines) if _NAME.match(line)]
    repository = _file_header(lines[: heads[0] if heads else len(lines)], path)
    statements: dict[str, Statement] = {}
    for start, end in itertools.pairwise([*heads, len(lines)]):
        statement = _statement(lines[start:end], FilePlace(path, start + 1))
        if statement.name in statements:
            first = statements[statement.name].place.line
            raise statement.error(
                f"the name '{statement.name}' is used twice, first at line {first}", "give one of them another name"
            )
        statements[statement.name] = statement
    if not statements:
        raise StatementError(path, 1, "the file has no statement", "begin one with '-- name: find :one'")
    return QueryFile(path, repository, statements)


def _file_header(lines: Sequence[str], path: Path) -> str:
    """Check the lines before the first statement, and return the name of the repository. A file has to begin with the line
    `-- repository: Name` and a comment that says what the aggregate is.
    """
    match = _HEADER.match(lines[0]) if lines else None
    if match and match.group(1) != "repository":
        raise StatementError(path, 1, f"unknown header key '{match.group(1)}'", "the first line is '-- repository: …'")
    has_sentence = len(lines) > 1 and lines[1].startswith("-- ") and lines[1][3:].strip()
    if not match or not match.group(2) or not has_sentence:
        raise StatementError(
            path, 1, "the file opens with two comment lines: its repository, and what the aggregate is",
            "write '-- repository: Campaigns' and a sentence below it",
        )  # fmt: skip
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("--"):
            raise StatementError(path, number, "a statement without a name", "begin it with '-- name: find :one'")
    return match.group(2).strip()


def _statement(lines: Sequence[str], head: FilePlace) -> Statement:
    """Parse one statement. `lines` begin with its `-- name:` line, whose place is `head`, and end before the next `-- name:`."""
    match = _NAME_VALUE.match(lines[0].removeprefix("-- name:"))
    if not match:
        raise head.error(0, "a name line reads '-- name: find_by_email :maybe'", f"kinds are {', '.join(KINDS)}")
    name = match.group(1)
    kind = next((known for known in KINDS if known == match.group(2)), None)
    if kind is None:
        raise head.error(0, f"unknown result kind ':{match.group(2)}'", suggest(match.group(2), KINDS))
    scopes: list[Scope] = []
    doc: list[str] = []
    notes: list[Note] = []
    offset = 1
    while offset < len(lines) and lines[offset].startswith("--"):
        header = _HEADER.match(lines[offset])
        if header is None:
            doc.append(lines[offset][2:].strip())
        elif header.group(1) == "scope":
            scopes.append(_scope(header.group(2) or "", head, offset))
            if len(scopes) > 1:
                raise head.error(offset, f"'{name}' has two scopes")
        else:
            notes.append(_note(header.group(1), (header.group(2) or "").strip(), head, offset))
        offset += 1
    if not any(doc):
        raise head.error(0, f"'{name}' has no sentence that says what it does", "write it above the statement")
    return compile_statement(
        "\n".join(lines[offset:]), name=name, kind=kind, scope=scopes[0] if scopes else "tenant", doc=" ".join(doc),
        head=head, body=FilePlace(head.path, head.line + offset), notes=tuple(notes),
    )  # fmt: skip


def _scope(text: str, head: FilePlace, offset: int) -> Scope:
    for scope in SCOPES:
        if scope == text.strip():
            return scope
    raise head.error(offset, f"unknown scope '{text.strip()}'", suggest(text.strip(), SCOPES))


def _note(key: str, text: str, head: FilePlace, offset: int) -> Note:
    """Parse a header line: `-- grows: growth`, `-- key: reason`, or `-- key: subject because reason`."""
    line = head.line + offset
    if key == "grows":
        if text not in GROWTH:
            raise head.error(offset, f"unknown growth '{text}'", suggest(text, GROWTH))
        return Note(key, text, "", line)
    if key in _REASONED:
        if not text:
            raise head.error(offset, f"'{key}' has no reason", f"write '-- {key}: why that is well'")
        return Note(key, "", text, line)
    if key in _SUBJECTS:
        subject, because, reason = text.partition(" because ")
        if not because or not subject.strip() or not reason.strip():
            raise head.error(
                offset, f"'{key}' names {_SUBJECTS[key]} and a reason",
                f"write '-- {key}: {_SUBJECTS[key].split()[-1]} because …'",
            )  # fmt: skip
        return Note(key, subject.strip(), reason.strip(), line)
    known = ("name", "scope", "grows", *_REASONED, *_SUBJECTS)
    raise head.error(offset, f"unknown header key '{key}'", suggest(key, known))
