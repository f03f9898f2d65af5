"""Parses the text form of PostgreSQL's query trees into nodes. Nodes of PostgreSQL 15 get the names that later versions use.

The format is defined by the functions of PostgreSQL that write and read it, in src/backend/nodes/outfuncs.c and read.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class UnknownNode(Exception):
    """Raised for a node that the checks do not know. They do not guess its meaning, because a guess would not be a proof."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"the checks don't know PostgreSQL's node {kind}")


class Command(IntEnum):
    """PostgreSQL's enum `CmdType`: the command of a query."""

    SELECT = 1
    UPDATE = 2
    INSERT = 3
    DELETE = 4
    MERGE = 5


class Source(IntEnum):
    """PostgreSQL's enum `RTEKind`: the kind of an entry of a query's range table.

    The range table is the numbered list of all tables, subqueries, joins and functions that the query uses.
    """

    RELATION = 0
    SUBQUERY = 1
    JOIN = 2
    FUNCTION = 3
    VALUES = 5
    CTE = 6
    RESULT = 8
    GROUP = 9


class Join(IntEnum):
    """PostgreSQL's enum `JoinType`: the kind of a join."""

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
    """A node of a query tree, written `{KIND :field value …}` in its text form.

    `node["field"]` is the value of a field, or None if the field is absent or null.
    """

    kind: str
    fields: Mapping[str, Any]

    def __getitem__(self, field: str) -> Any:
        return self.fields.get(field)

    def list(self, field: str) -> list[Any]:
        """The value of a field that holds a list; an empty list if the field is absent or null."""
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
"""Maps the name that a kind of node has in PostgreSQL 15 to the name that it has in later versions."""

_KNOWN = frozenset(
    """
    QUERY RANGETBLENTRY RTEPERMISSIONINFO ALIAS FROMEXPR JOINEXPR RANGETBLREF RANGETBLFUNCTION COMMONTABLEEXPR
    SETOPERATIONSTMT TARGETENTRY SORTGROUPCLAUSE GROUPINGSET WINDOWCLAUSE ROWMARKCLAUSE WITHCHECKOPTION ONCONFLICTEXPR
    INFERENCEELEM VAR CONST PARAM AGGREF GROUPINGFUNC WINDOWFUNC SUBSCRIPTINGREF FUNCEXPR NAMEDARGEXPR OPEXPR
    DISTINCTEXPR NULLIFEXPR SCALARARRAYOPEXPR BOOLEXPR SUBLINK FIELDSELECT RELABELTYPE COERCEVIAIO ARRAYCOERCEEXPR
    CONVERTROWTYPEEXPR COLLATEEXPR CASEEXPR CASEWHEN CASETESTEXPR ARRAYEXPR ROWEXPR ROWCOMPAREEXPR COALESCEEXPR
    MINMAXEXPR SQLVALUEFUNCTION NULLTEST BOOLEANTEST COERCETODOMAIN COERCETODOMAINVALUE SETTODEFAULT RETURNINGEXPR
    MERGEACTION MERGESUPPORTFUNC NEXTVALUEEXPR CTESEARCHCLAUSE CTECYCLECLAUSE
    JSONCONSTRUCTOREXPR JSONRETURNING JSONFORMAT JSONVALUEEXPR JSONEXPR JSONBEHAVIOR JSONISPREDICATE
    """.split()  # noqa: SIM905 - a hundred quotes would hide the words
)

_TOKEN = re.compile(r'[(){}\[\]]|"(?:\\.|[^"\\])*"|(?:\\.|[^\s(){}\[\]\\])+', re.DOTALL)
_INTEGER = re.compile(r"-?\d+")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_WORDS = {"<>": None, "true": True, "false": False}


def parse(text: str) -> Any:
    """Parse the text form of a tree into nodes, lists, numbers, texts, bytes, booleans and None.

    Raises UnknownNode for an unknown kind of node.
    """
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
    if tokens[at] in ("i", "o", "b", "x"):  # a list of integers, oids, members of a set, or transaction ids
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
        # A constant's field `constvalue` has two values, the length and the bytes. All other fields have at most one value.
        fields[name] = values[0] if len(values) == 1 else values or None
    return Node(kind, fields), at + 1


def walk(value: Any) -> Iterator[Node]:
    """Yields all nodes in a node or list at any depth, a node itself included. Each node comes before the nodes inside it."""
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
    """Like `walk`, but leaves out QUERY nodes and the nodes inside them."""
    if isinstance(value, list):
        for each in value:
            yield from within(each)
    elif isinstance(value, Node) and value.kind != "QUERY":
        yield value
        for each in value.fields.values():
            if isinstance(each, Node | list):
                yield from within(each)


def references(value: Any, depth: int = 0) -> Iterator[Node]:
    """The VAR nodes (references to columns) in a node or list that refer to columns of one particular query.

    With `depth` 0 it is the query that contains `value`, with 1 the query around that query, and so on.
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

    With `anywhere`, it does not matter to which entry of the range table a column belongs: only the column's number is compared.
    """
    if isinstance(one, Node) and isinstance(other, Node):
        ignored = _PLACE | {"varno"} if anywhere else _PLACE
        names = {name for name in (*one.fields, *other.fields) if name not in ignored}
        return one.kind == other.kind and all(same(one[name], other[name], anywhere=anywhere) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(*each, anywhere=anywhere) for each in zip(one, other, strict=True))
    return bool(one == other)


def conjuncts(condition: Any) -> list[Node]:
    """The parts of a condition that are joined with AND; for a list of conditions, the parts of each; for None, no parts."""
    if condition is None:
        return []
    if isinstance(condition, list):
        return [part for each in condition for part in conjuncts(each)]
    if condition.kind == "BOOLEXPR" and condition["boolop"] == "and":
        return conjuncts(condition["args"])
    return [condition]


def arguments(call: Node) -> list[Node]:
    """The arguments of an operator or function. For an argument that is given by name (`f(x => 1)`) this is only the value."""
    return [each["arg"] if each.kind == "NAMEDARGEXPR" else each for each in call.list("args")]


def location(value: Any) -> int:
    """The byte offset in the statement's text at which an expression begins; -1 if no part of it comes from this text."""
    places = [each["location"] for each in walk(value) if isinstance(each["location"], int) and each["location"] >= 0]
    return min(places, default=-1)


def is_exists(expression: Node) -> bool:
    """Whether an expression is `EXISTS (…)`."""
    return expression.kind == "SUBLINK" and expression["subLinkType"] == Link.EXISTS


def variables(value: Any) -> Iterator[Node]:
    """All variables (VAR nodes) in an expression or list, also those that refer to columns of other queries."""
    return (each for each in walk(value) if each.kind == "VAR")
