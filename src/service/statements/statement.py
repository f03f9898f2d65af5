"""Compiles named statements. A statement may have optional lines (`-- when :parameter`). For every combination of these lines,
the text to send and the order of its parameters are made in advance, so that a call does not assemble SQL from strings.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from service.errors import OperatorError
from service.statements.lexer import Kind, Lexeme, Unterminated, scan

ResultKind = Literal["one", "maybe", "many", "value", "count"]
Scope = Literal["tenant", "shared", "platform", "owner"]
KINDS: tuple[ResultKind, ...] = get_args(ResultKind)
SCOPES: tuple[Scope, ...] = get_args(Scope)
MAX_CONDITIONS = 6
TENANT_PARAMETER = "tenant_id"
"""The parameter with the tenant's id. Its value always comes from the binding, never from the code that calls the statement."""

_CONDITION = re.compile(r"^-- when :([A-Za-z_][A-Za-z0-9_]*)\s*$")
_CONDITION_LIKE = re.compile(r"^--\s*(when\b|\w{2,6}\s+:\w+\s*$)", re.IGNORECASE)
"""Matches `-- when :parameter`, and comments that may be mistyped forms of it: they begin with `when`, or consist of a short word
and a parameter."""


class StatementError(OperatorError):
    """A mistake in a SQL file. The message begins with file and line: `campaigns.sql:12: …`. Lines count from 1."""

    def __init__(self, path: Path, line: int, message: str, remedy: str = "") -> None:
        super().__init__(f"{path}:{line}: {message}", remedy)
        self.path, self.line = path, line


@dataclass(frozen=True)
class FilePlace:
    """A line of a file, counted from 1: where a statement's header or its SQL text begins."""

    path: Path
    line: int

    def label(self, name: str) -> str:
        """The label by which logs and metrics name a statement: the file's name and the statement's name, `campaigns.page`."""
        return f"{self.path.stem}.{name}"

    def error(self, offset: int, message: str, remedy: str = "") -> StatementError:
        """A StatementError that names the file, and the line `offset` lines below this one. It is returned, not raised."""
        return StatementError(self.path, self.line + offset, message, remedy)


@dataclass(frozen=True)
class Note:
    """A line of a statement's header (but not name or scope): `-- grows: …`, or an exception to a rule, with its reason.

    `key` is the word before the colon. `subject` is the column, relation, function or SQLSTATE that the exception is about, ''
    if it is about the whole statement. For `-- grows:`, `subject` is the word after the colon. `line` counts from 1.
    """

    key: str
    subject: str
    reason: str
    line: int


@dataclass(frozen=True)
class Variant:
    """The text that is sent for one combination of a statement's optional lines. `parameters` are the names of `$1`, `$2` …."""

    text: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """A named statement.

    `conditions` are the parameters that are named by `-- when :parameter`. `variants` maps bit masks to texts: if bit i of a mask
    is set, the text includes the lines of condition i. `groups` maps a condition to the parameters that occur only in its lines.
    `place` is the place of the statement's `-- name:` line. `source` is the SQL text as in the file, which begins at `body`.
    """

    name: str
    kind: ResultKind
    scope: Scope
    doc: str
    place: FilePlace
    parameters: tuple[str, ...]
    conditions: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    variants: Mapping[int, Variant]
    body: FilePlace
    source: str
    notes: tuple[Note, ...] = ()

    @property
    def label(self) -> str:
        """The name of the statement in the metrics and in the log of the PostgreSQL server, such as `campaigns.page`."""
        return self.place.label(self.name)

    def given(self, key: int) -> tuple[str, ...]:
        """The conditions whose lines are included in the variant with this key (a bit mask)."""
        return tuple(name for bit, name in enumerate(self.conditions) if key >> bit & 1)

    def key(self, names: Container[str]) -> int:
        """The key (a bit mask) of the variant that includes the lines of the conditions in `names` and no others."""
        return sum(1 << bit for bit, name in enumerate(self.conditions) if name in names)

    def error(self, message: str, remedy: str = "") -> StatementError:
        """A StatementError that names the file and the line of this statement. It is returned, not raised."""
        return self.place.error(0, message, remedy)


@dataclass(frozen=True)
class _Line:
    """The lexemes of one line, and the line break before the line. `condition` is the parameter of the line's `-- when`, None if
    the line is not optional. `number` counts from 0.
    """

    number: int
    lexemes: tuple[Lexeme, ...]
    condition: str | None


def compile_statement(
    text: str,
    *,
    name: str,
    kind: ResultKind,
    scope: Scope,
    doc: str,
    head: FilePlace,
    body: FilePlace,
    notes: tuple[Note, ...] = (),
) -> Statement:
    """Compile the SQL `text` of one statement. `head` is the place of its `-- name:` line, and `text` begins at `body`.

    Raises StatementError if the text breaks a rule of sql/README.md.
    """
    lines = _lines(text, body)
    conditions = tuple(dict.fromkeys(line.condition for line in lines if line.condition))
    if len(conditions) > MAX_CONDITIONS:
        raise head.error(
            0, f"{len(conditions)} conditions; a statement has at most {MAX_CONDITIONS}",
            "put parameters that are given together under one '-- when', or write another statement",
        )  # fmt: skip
    _check_conditions(lines, scope, body)
    parameters, groups = _parameters(lines, conditions, scope, head, body)
    label = f"/* {head.label(name)} */ "
    variants = {}
    for chosen in itertools.product((False, True), repeat=len(conditions)):
        given = {condition for condition, is_given in zip(conditions, chosen, strict=True) if is_given}
        key = sum(1 << position for position, is_given in enumerate(chosen) if is_given)
        variants[key] = _variant(label, [line for line in lines if line.condition is None or line.condition in given])
    return Statement(
        name, kind, scope, doc, head, parameters, conditions, groups, variants, body, text.rstrip(), notes
    )  # fmt: skip


def _lines(text: str, body: FilePlace) -> list[_Line]:
    try:
        lexemes = list(scan(text))
    except Unterminated as error:
        raise body.error(error.line, str(error)) from error
    by_line: dict[int, list[Lexeme]] = {}
    crossed: set[int] = set()
    for lexeme in _without_semicolon(lexemes, body):
        breaks = lexeme.text.count("\n")
        # White space with a line break belongs to the line after it. So if an optional line is left out, the line break before it
        # is left out, too.
        at = lexeme.line + breaks if lexeme.kind is Kind.SPACE else lexeme.line
        by_line.setdefault(at, []).append(lexeme)
        if lexeme.kind is not Kind.SPACE and breaks:
            crossed.update(range(lexeme.line, lexeme.line + breaks + 1))
    lines = [_Line(number, tuple(found), _condition(number, found, body)) for number, found in by_line.items()]
    for line in lines:
        if line.condition and line.number in crossed:
            raise body.error(line.number, "an optional line can't be part of a string or comment that spans lines")
    return lines


def _without_semicolon(lexemes: list[Lexeme], body: FilePlace) -> list[Lexeme]:
    """The lexemes of the statement, without the semicolon and anything after it, and without white space at both ends.

    Only comments may follow the semicolon.
    """
    ends = [position for position, lexeme in enumerate(lexemes) if lexeme.text == ";"]
    last = ends[0] if ends else len(lexemes)
    for lexeme in lexemes[last + 1 :]:
        if lexeme.kind not in (Kind.SPACE, Kind.COMMENT):
            raise body.error(lexeme.line, "a second statement under one name", "give it a '-- name:' line of its own")
        if lexeme.line == lexemes[last].line and _CONDITION_LIKE.match(lexeme.text):
            raise body.error(
                lexeme.line, f"'{lexeme.text}' stands after the statement's end",
                "write the semicolon on the next line",
            )  # fmt: skip
    kept = lexemes[:last]
    while kept and kept[-1].kind is Kind.SPACE:
        kept.pop()
    while kept and kept[0].kind is Kind.SPACE:
        kept.pop(0)
    if not any(lexeme.kind is not Kind.COMMENT for lexeme in kept):
        raise body.error(0, "no statement under this name")
    return kept


def _condition(number: int, lexemes: Sequence[Lexeme], body: FilePlace) -> str | None:
    for lexeme in lexemes:
        if lexeme.kind is Kind.COMMENT and _CONDITION_LIKE.match(lexeme.text):
            match = _CONDITION.match(lexeme.text)
            if not match:
                raise body.error(number, f"'{lexeme.text}' is not a condition", "write '-- when :parameter'")
            return match.group(1)
    return None


def _check_conditions(lines: Sequence[_Line], scope: Scope, body: FilePlace) -> None:
    """Check each optional line. It has to follow WHERE and, in the scope `tenant`, the condition on the tenant. It has to begin
    with AND, close the parentheses that it opens, and have no OR outside parentheses.
    """
    words: set[str] = set()
    tenant_named = scope != "tenant"
    for line in lines:
        solid = [lexeme for lexeme in line.lexemes if lexeme.kind not in (Kind.SPACE, Kind.COMMENT)]
        if line.condition:
            if not solid or solid[0].text.upper() != "AND":
                raise body.error(line.number, "an optional line begins with AND")
            if "WHERE" not in words or not tenant_named:
                raise body.error(line.number, "an optional line stands in a WHERE, after the tenant predicate")
            depths = list(itertools.accumulate({"(": 1, ")": -1}.get(lexeme.text, 0) for lexeme in solid))
            if depths[-1] or min(depths) < 0:
                raise body.error(line.number, "an optional line closes the parentheses that it opens")
            if any(depth == 0 and lexeme.text.upper() == "OR" for depth, lexeme in zip(depths, solid, strict=True)):
                # With such an OR, rows would not have to meet the conditions before it, such as the one on the tenant.
                raise body.error(line.number, "an OR in an optional line stands in parentheses")
            if line.condition == TENANT_PARAMETER:
                raise body.error(line.number, f":{TENANT_PARAMETER} is always given and is no condition")
        words.update(lexeme.text.upper() for lexeme in solid if lexeme.kind is Kind.WORD)
        tenant_named = tenant_named or any(
            lexeme.kind is Kind.PARAMETER and lexeme.name == TENANT_PARAMETER for lexeme in solid
        )


def _parameters(
    lines: Sequence[_Line], conditions: tuple[str, ...], scope: Scope, head: FilePlace, body: FilePlace
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    under: dict[str, set[str | None]] = {}
    for line in lines:
        for before, lexeme in itertools.pairwise([Lexeme(Kind.SPACE, "", line.number), *line.lexemes]):
            if lexeme.kind is Kind.POSITIONAL:
                raise body.error(lexeme.line, f"{lexeme.text} has no name", "write parameters as :name")
            if lexeme.kind is Kind.PARAMETER:
                if before.kind is Kind.WORD or before.text == "$":  # PostgreSQL reads LIMIT$1 as one word
                    message = f"{lexeme.text} touches the '{before.text}' before it"
                    raise body.error(lexeme.line, message, "put a space between")
                under.setdefault(lexeme.name, set()).add(line.condition)
    if scope == "tenant" and None not in under.get(TENANT_PARAMETER, ()):
        raise head.error(
            0, f"the statement does not name its tenant (:{TENANT_PARAMETER})",
            "add 'tenant_id = :tenant_id', or declare '-- scope: shared' or '-- scope: platform'",
        )  # fmt: skip
    if scope in ("shared", "platform") and TENANT_PARAMETER in under:
        raise head.error(0, f":{TENANT_PARAMETER} belongs to tenant scope; a {scope} statement has no tenant")
    groups: dict[str, list[str]] = {condition: [] for condition in conditions}
    for parameter, places in under.items():
        if None in places:
            continue
        if len(places) > 1:
            raise head.error(0, f":{parameter} stands under several conditions and nowhere else")
        groups[str(next(iter(places)))].append(parameter)
    for condition in conditions:
        if condition not in under:
            raise head.error(
                0, f"'-- when :{condition}' names no parameter of the statement",
                suggest(condition, list(under)),
            )  # fmt: skip
    return tuple(under), {condition: tuple(names) for condition, names in groups.items()}


def _variant(label: str, lines: Sequence[_Line]) -> Variant:
    numbers: dict[str, int] = {}
    pieces = [label]
    for line in lines:
        for lexeme in line.lexemes:
            if lexeme.kind is Kind.PARAMETER:
                pieces.append(f"${numbers.setdefault(lexeme.name, len(numbers) + 1)}")
            else:
                pieces.append(lexeme.text)
    return Variant("".join(pieces), tuple(numbers))


def suggest(word: str, known: Sequence[str]) -> str:
    """The remedy in an error message about an unknown word: the word of `known` that is most similar, or all of `known`."""
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}"
