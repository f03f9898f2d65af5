"""Parses the text form of PostgreSQL's query trees into nodes. The differences between the versions 15 to 18 are removed.

Source of the grammar: `nodeToString` in the server's src/backend/nodes/outfuncs.c, and its reader in read.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class UnknownNode(Exception):
    """Raised for a node whose meaning the checks do not know. They do not guess it, because a guess would not be a proof."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"the checks don't know PostgreSQL's node {kind}")


class Command(IntEnum):
    """PostgreSQL's enum `CmdType`: the command of a query."""

    SELECT = 1
    UPDATE = 2
    INSERT = 3
    DELETE = 4


class Source(IntEnum):
    """PostgreSQL's enum `RTEKind`: the kind of an entry of a query's range table."""

    RELATION = 0
    SUBQUERY = 1
    JOIN = 2
    FUNCTION = 3
    VALUES = 5
    CTE = 6
    RESULT = 8
    GROUP = 9


class Join(IntEnum):
    """PostgreSQL's enum `JoinType`."""

    INNER = 0
    LEFT = 1
    FULL = 2
    RIGHT = 3


class Link(IntEnum):
    """PostgreSQL's enum `SubLinkType`: the kind of a sub-select in an expression."""

    EXISTS = 0
    ALL = 1
    ANY = 2
    ROW_COMPARE = 3
    SCALAR = 4
    MULTIPLE = 5
    ARRAY = 6


@dataclass(frozen=True, eq=False)
class Node:
    """A node of the tree; its text form is `{KIND :field value …}`. `node["field"]` is None if the field is absent or null."""

    kind: str
    fields: Mapping[str, Any]

    def __getitem__(self, field: str) -> Any:
        return self.fields.get(field)

    def list(self, field: str) -> list[Any]:
        """A field that holds a list; the empty list if the field is absent or null."""
        value = self.fields.get(field)
        return value if isinstance(value, list) else []


_RENAMED = {
    "RTE": "RANGETBLENTRY",
    "CASE": "CASEEXPR",
    "WHEN": "CASEWHEN",
    "ARRAY": "ARRAYEXPR",
    "ROW": "ROWEXPR",
    "ROWCOMPARE": "ROWCOMPAREEXPR",
    "COALESCE": "COALESCEEXPR",
    "MINMAX": "MINMAXEXPR",
    "COLLATE": "COLLATEEXPR",
}
"""Names of nodes in PostgreSQL 15, and their names in later versions."""

_KNOWN = frozenset(
    """
    QUERY RANGETBLENTRY RTEPERMISSIONINFO ALIAS FROMEXPR JOINEXPR RANGETBLREF RANGETBLFUNCTION COMMONTABLEEXPR
    SETOPERATIONSTMT TARGETENTRY SORTGROUPCLAUSE GROUPINGSET WINDOWCLAUSE ROWMARKCLAUSE WITHCHECKOPTION ONCONFLICTEXPR
    INFERENCEELEM VAR CONST PARAM AGGREF GROUPINGFUNC WINDOWFUNC SUBSCRIPTINGREF FUNCEXPR NAMEDARGEXPR OPEXPR
    DISTINCTEXPR NULLIFEXPR SCALARARRAYOPEXPR BOOLEXPR SUBLINK FIELDSELECT RELABELTYPE COERCEVIAIO ARRAYCOERCEEXPR
    CONVERTROWTYPEEXPR COLLATEEXPR CASEEXPR CASEWHEN CASETESTEXPR ARRAYEXPR ROWEXPR ROWCOMPAREEXPR COALESCEEXPR
    MINMAXEXPR SQLVALUEFUNCTION NULLTEST BOOLEANTEST COERCETODOMAIN COERCETODOMAINVALUE SETTODEFAULT RETURNINGEXPR
    """.split()  # noqa: SIM905 - a hundred quotes would hide the words
)

_TOKEN = re.compile(r'[(){}\[\]]|"(?:\\.|[^"\\])*"|(?:\\.|[^\s(){}\[\]\\])+', re.DOTALL)
_INTEGER = re.compile(r"-?\d+")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_WORDS = {"<>": None, "true": True, "false": False}


def parse(text: str) -> Any:
    """Parse the output of `nodeToString`: nodes, lists, numbers, words, bytes. Raises UnknownNode for an unknown kind of node."""
    tokens = _TOKEN.findall(text)
    value, _ = _value(tokens, 0)
    return value


def _value(tokens: list[str], at: int) -> tuple[Any, int]:
    word = tokens[at]
    if word == "{":
        return _node(tokens, at + 1)
    if word == "(":
        return _list(tokens, at + 1)
    if word == "[":
        end = tokens.index("]", at)
        return bytes(int(each) & 255 for each in tokens[at + 1 : end]), end + 1
    if word in _WORDS:
        return _WORDS[word], at + 1
    if _INTEGER.fullmatch(word):
        return int(word), at + 1
    return _ESCAPE.sub(r"\1", word[1:-1] if word[0] == '"' else word), at + 1


def _list(tokens: list[str], at: int) -> tuple[Any, int]:
    if tokens[at] in ("i", "o", "b", "x"):  # numbers: integers, oids, a bitmapset, transaction ids
        end = tokens.index(")", at)
        return [int(each) for each in tokens[at + 1 : end]], end + 1
    found = []
    while tokens[at] != ")":
        value, at = _value(tokens, at)
        found.append(value)
    return found, at + 1


def _node(tokens: list[str], at: int) -> tuple[Node, int]:
    kind = _RENAMED.get(tokens[at], tokens[at])
    if kind not in _KNOWN:
        raise UnknownNode(kind)
    fields: dict[str, Any] = {}
    at += 1
    while tokens[at] != "}":
        name, at = tokens[at][1:], at + 1
        values = []
        while tokens[at] != "}" and not (tokens[at][0] == ":" and len(tokens[at]) > 1):
            value, at = _value(tokens, at)
            values.append(value)
        # The value of a constant has two parts, its length and its bytes. All other fields have one value.
        fields[name] = values[0] if len(values) == 1 else values or None
    return Node(kind, fields), at + 1


def walk(value: Any) -> Iterator[Node]:
    """All nodes in a node or list, in every depth. Each node comes before the nodes inside it."""
    if isinstance(value, Node):
        yield value
        for each in value.fields.values():
            if isinstance(each, Node | list):
                yield from walk(each)
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, Node | list):
                yield from walk(each)


def within(value: Any) -> Iterator[Node]:
    """The nodes in a node or list, except QUERY nodes and the nodes inside them."""
    if isinstance(value, list):
        for each in value:
            yield from within(each)
    elif isinstance(value, Node) and value.kind != "QUERY":
        yield value
        for each in value.fields.values():
            if isinstance(each, Node | list):
                yield from within(each)


def references(value: Any, depth: int = 0) -> Iterator[Node]:
    """The VAR nodes in a node or list that refer to columns of one query.

    With `depth` 0 this is the query that contains the value, with 1 the query around that one, and so on.
    """
    if isinstance(value, list):
        for each in value:
            yield from references(each, depth)
    elif isinstance(value, Node):
        if value.kind == "VAR" and value["varlevelsup"] == depth:
            yield value
        inner = depth + 1 if value.kind == "QUERY" else depth
        for each in value.fields.values():
            if isinstance(each, Node | list):
                yield from references(each, inner)


_PLACE = frozenset({"location", "varnosyn", "varattnosyn", "varnullingrels", "stmt_location", "stmt_len"})


def same(one: Any, other: Any, *, anywhere: bool = False) -> bool:
    """Whether two expressions are equal. Fields that depend on where an expression stands in the query (`_PLACE`) are ignored.

    With `anywhere`, variables of different entries of the range table also count as equal if they have the same column number.
    """
    if isinstance(one, Node) and isinstance(other, Node):
        ignored = _PLACE | {"varno"} if anywhere else _PLACE
        names = {name for name in (*one.fields, *other.fields) if name not in ignored}
        return one.kind == other.kind and all(same(one[name], other[name], anywhere=anywhere) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(*each, anywhere=anywhere) for each in zip(one, other, strict=True))
    return bool(one == other)


def conjuncts(condition: Any) -> list[Node]:
    """The parts of a condition that are joined with AND. For a list of conditions, the parts of all of them."""
    if condition is None:
        return []
    if isinstance(condition, list):
        return [part for each in condition for part in conjuncts(each)]
    if condition.kind == "BOOLEXPR" and condition["boolop"] == "and":
        return conjuncts(condition["args"])
    return [condition]


def arguments(call: Node) -> list[Node]:
    """The arguments of an operator or function."""
    return [each["arg"] if each.kind == "NAMEDARGEXPR" else each for each in call.list("args")]


def location(value: Any) -> int:
    """The byte offset in the statement's text at which an expression begins; -1 if PostgreSQL has added the expression."""
    places = [each["location"] for each in walk(value) if isinstance(each["location"], int) and each["location"] >= 0]
    return min(places, default=-1)
