"""Converts SQL texts and query plans to HTML.

The text of a statement gets coloured syntax and marked optional lines. A plan becomes a tree of boxes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from service.checks.review.facts import Step
from service.checks.review.markup import Content, Markup, element, escaped
from service.statements.lexer import Kind, Lexeme, scan

_CLASSES = {
    Kind.COMMENT: "c",
    Kind.STRING: "s",
    Kind.QUOTED: "q",
    Kind.NUMBER: "n",
    Kind.PARAMETER: "p",
    Kind.POSITIONAL: "p",
}


def text(source: str, first: int, tables: Collection[str]) -> Markup:
    """The HTML of a statement's SQL text, unchanged from its file, with line numbers.

    `first` is the line of the file on which the text begins. `tables` contains the names of the tables and schemas to colour.
    """
    lines: list[list[Content]] = [[]]
    optional: set[int] = set()
    before = ("", "")
    for lexeme in scan(source):
        for position, piece in enumerate(lexeme.text.split("\n")):
            if position:
                lines.append([])
            lines[-1].append(_piece(lexeme, piece, before, tables))
        if lexeme.kind is Kind.COMMENT and lexeme.text.startswith("-- when :"):
            optional.add(len(lines) - 1)
        before = (before[1], lexeme.text)
    return element(
        "pre",
        element(
            "code",
            [
                element(
                    "span", element("i", str(first + at)), line, "\n", class_="l when" if at in optional else "l"
                )
                for at, line in enumerate(lines)
            ],
        ),
        class_="sql", tabindex="0",
    )  # fmt: skip


def _piece(lexeme: Lexeme, piece: str, before: tuple[str, str], tables: Collection[str]) -> Content:
    kind = _CLASSES.get(lexeme.kind)
    if lexeme.kind is Kind.WORD:
        # After a dot, `piece` is a table only if the word before the dot is in `tables` too (`app.heads`); else it is a column.
        if piece in tables and (before[1] != "." or before[0] in tables):
            kind = "t"
        elif piece.isupper():
            kind = "k"
    if kind is None or not piece:
        return piece
    return element("span", piece, class_=kind)


def plan(step: Step) -> Markup:
    """The HTML of a plan whose top node is `step`: nested lists, in which each node is a box."""
    return element("div", element("ul", _node(step), class_="plan"), class_="box", tabindex="0")


def _node(step: Step) -> Markup:
    head: list[Content] = [element("b", step.title)]
    if step.on:
        head += [" on ", element("code", step.on, class_="t")]
    if step.index:
        head += [" through ", element("code", step.index, class_="x")]
    details = [
        element("div", element("span", label, class_="label"), element("code", _lines(words)), class_="detail")
        for label, words in step.details
    ]
    role = element("span", step.role, class_="role") if step.role else None
    inner = element("ul", [_node(each) for each in step.steps]) if step.steps else None
    return element("li", element("div", role, element("p", head), details, class_="node"), inner)


def _lines(words: tuple[str, ...]) -> Iterator[Content]:
    for position, word in enumerate(words):
        yield element("br") if position else None
        yield coloured(word)


def coloured(expression: str) -> Markup:
    """The HTML of an SQL expression in which the parameters (`:name`) are coloured."""
    return escaped(
        [
            element("span", each.text, class_="p") if each.kind is Kind.PARAMETER else each.text
            for each in scan(expression)
        ]
    )
