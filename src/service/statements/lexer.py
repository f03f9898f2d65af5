"""Cuts SQL text into lexemes as PostgreSQL's own scanner does, and also recognises `:name` parameters.

The rules are those of the chapter "Lexical Structure" in the PostgreSQL documentation, with standard_conforming_strings = on. The
rule for `:name` is that of psql: a colon followed by a name is a parameter, unless it belongs to `::`, `:=` or an array slice.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass


class Kind(enum.Enum):
    """The kinds of lexemes."""

    SPACE = "space"
    COMMENT = "comment"
    STRING = "string"
    QUOTED = "quoted identifier"
    WORD = "word"
    NUMBER = "number"
    PARAMETER = "parameter"
    POSITIONAL = "positional parameter"
    SYMBOL = "symbol"


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A piece of the SQL text. Joining the `text` of all lexemes gives the SQL text again. `line` counts from 0."""

    kind: Kind
    text: str
    line: int

    @property
    def name(self) -> str:
        """The name of a parameter, without the colon. Only for lexemes of the kind PARAMETER."""
        return self.text[1:]


class Unterminated(ValueError):
    """A string, quoted identifier or comment does not end. `line` is the line in which it begins, counted from 0."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(f"{what} does not end")
        self.line = line


_START = "A-Za-z_\x80-\U0010ffff"
_SPACE = re.compile(r"[ \t\n\r\f\v]+")
_LINE_COMMENT = re.compile(r"--[^\n\r]*")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_DOLLAR = re.compile(rf"\$(?:[{_START}][{_START}0-9]*)?\$")
_PREFIX = re.compile(r"(?:[eE]|[bB]|[xX]|[nN]|[uU]&)'")
_QUOTED_PREFIX = re.compile(r'[uU]&"')
_WORD = re.compile(rf"[{_START}][{_START}0-9$]*")
_NUMBER = re.compile(
    r"0[xX](?:_?[0-9A-Fa-f])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+"
    r"|(?:[0-9](?:_?[0-9])*(?:\.(?!\.)(?:[0-9](?:_?[0-9])*)?)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9](?:_?[0-9])*)?"
)
_POSITIONAL = re.compile(r"\$[0-9]+")
_PARAMETER = re.compile(rf":[{_START}][{_START}0-9]*")
# In the three patterns below, a doubled quote does not end the string. Each text can match in one way only, so a match that fails
# takes linear time, too.
_ESCAPED_BODY = re.compile(r"(?:[^'\\]|\\.|'')*'(?!')", re.DOTALL)
_PLAIN_BODY = re.compile(r"(?:[^']|'')*'(?!')")
_QUOTED_BODY = re.compile(r'(?:[^"]|"")*"(?!")')
_CONTINUED = re.compile(r"[ \t\f\v]*(?:--[^\n\r]*)?[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*'")


def scan(text: str) -> Iterator[Lexeme]:
    """Cut `text` into lexemes. Raises Unterminated."""
    position, line, brackets = 0, 0, 0
    adjacent = False  # whether an operand ends just before this position: then a colon inside brackets belongs to an array slice
    while position < len(text):
        kind, end = _lexeme(text, position, line, slicing=brackets > 0 and adjacent)
        piece = text[position:end]
        yield Lexeme(kind, piece, line)
        if kind is Kind.SYMBOL:
            brackets += (piece == "[") - (piece == "]")
        adjacent = kind not in (Kind.SPACE, Kind.COMMENT, Kind.SYMBOL) or piece in ("]", ")")
        line += piece.count("\n")
        position = end


def _lexeme(text: str, at: int, line: int, *, slicing: bool) -> tuple[Kind, int]:
    """The kind of the lexeme that begins at `at`, and the position of its end. With `slicing`, a colon here is no parameter."""
    char = text[at]
    if match := _SPACE.match(text, at):
        return Kind.SPACE, match.end()
    if text.startswith("--", at):
        match = _LINE_COMMENT.match(text, at)
        return Kind.COMMENT, match.end() if match else at
    if text.startswith("/*", at):
        return Kind.COMMENT, _comment_end(text, at, line)
    if char == "'":
        return Kind.STRING, _string_end(text, at + 1, line, escaped=False)
    if match := _PREFIX.match(text, at):
        return Kind.STRING, _string_end(text, match.end(), line, escaped=char in "eE")
    if char == '"' or (match := _QUOTED_PREFIX.match(text, at)):
        body = _QUOTED_BODY.match(text, at + (1 if char == '"' else 3))
        if not body:
            raise Unterminated("quoted identifier", line)
        return Kind.QUOTED, body.end()
    if match := _DOLLAR.match(text, at):
        end = text.find(match.group(), match.end())
        if end < 0:
            raise Unterminated(f"string {match.group()}", line)
        return Kind.STRING, end + len(match.group())
    if match := _WORD.match(text, at):
        return Kind.WORD, match.end()
    if match := _NUMBER.match(text, at):
        return Kind.NUMBER, match.end()
    if match := _POSITIONAL.match(text, at):
        return Kind.POSITIONAL, match.end()
    if text.startswith(("::", ":=", ".."), at):
        return Kind.SYMBOL, at + 2
    if not slicing and (match := _PARAMETER.match(text, at)):
        return Kind.PARAMETER, match.end()
    return Kind.SYMBOL, at + 1


def _comment_end(text: str, at: int, line: int) -> int:
    """The position of the end of the block comment that begins at `at`. It may contain other block comments."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, at):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    raise Unterminated("comment", line)


def _string_end(text: str, at: int, line: int, *, escaped: bool) -> int:
    """The position of the end of a string whose text begins at `at`. Two strings with only white space and comments between
    them, including a line break, are one string in SQL.
    """
    body = _ESCAPED_BODY if escaped else _PLAIN_BODY
    while match := body.match(text, at):
        again = _CONTINUED.match(text, match.end())
        if not again:
            return match.end()
        at = again.end()
    raise Unterminated("string", line)
