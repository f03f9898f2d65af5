"""Random expressions and conditions over whatever is in scope."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

TYPES = ("int", "int", "int", "text", "text", "num", "time", "bool", "bool")
_SQL = {
    "int": "int",
    "text": "text",
    "num": "text::numeric",
    "time": "text::timestamptz",
    "bool": "bool",
    "int[]": "int[]",
}
CASTS = {"num": "numeric", "time": "timestamptz", "bool": "boolean"}
_LITERALS = {
    "int": ["0", "1", "1", "2", "3"],
    "text": ["text 'a'", "text 'a'", "text 'b'", "text 'A'", "text ''"],
    "num": ["numeric '1.0'", "numeric '1.00'", "numeric '2'", "numeric '0.0'"],
    "time": [f"timestamptz '2024-01-0{day} 00:00Z'" for day in (1, 2, 3)],
    "bool": ["bool 't'", "bool 'f'"],
}
_STRICT = {
    "int": ["({} + {})", "({} - {})", "({} * {})"],
    "text": ["({} || {})"],
    "num": ["({} + {})", "({} - {})"],
    "bool": ["({} = {})", "({} AND {})", "({} OR {})"],
}
_COMPARISONS = ["=", "=", "=", "=", "<>", "<", "<=", ">", ">="]

Column = tuple[str, str]
"""An expression that stands for a column, and its type."""


@dataclass
class Rows:
    """Something in a FROM: its alias, its columns, and columns that may tell its rows apart."""

    alias: str
    columns: list[Column]
    keys: list[list[Column]] = field(default_factory=list)


@dataclass
class Scope:
    """What an expression may name; `rows` are this query's own, of `liked` columns its conditions speak."""

    columns: list[Column]
    rows: list[Rows] = field(default_factory=list)
    liked: list[Column] = field(default_factory=list)


class Terms:
    """Writes expressions. Parameters are numbered as they come."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.parameters: list[str] = []
        self.given: set[int] = set()
        self._names = 0

    def name(self, prefix: str) -> str:
        """A name that nothing else has."""
        self._names += 1
        return f"{prefix}{self._names}"

    def odds(self, of: float) -> bool:
        """True as often as asked for."""
        return self.chance.random() < of

    def parameter(self, type: str) -> str:
        """A new parameter, perhaps of those never null."""
        self.parameters.append(type)
        if self.odds(0.5):
            self.given.add(len(self.parameters))
        return f"${len(self.parameters)}::{_SQL[type]}"

    def literal(self, type: str) -> str:
        return self.chance.choice(_LITERALS[type])

    def column(self, type: str, scope: Scope) -> str | None:
        """One of the columns of a type; those of this query are the last and the likeliest."""
        liked = [sql for sql, each in scope.liked if each == type]
        if liked and self.odds(0.6):
            return self.chance.choice(liked)
        fitting = [sql for sql, each in scope.columns if each == type]
        return self.chance.choice(fitting[-6:] if self.odds(0.8) else fitting) if fitting else None

    def atom(self, type: str, scope: Scope) -> str:
        if self.odds(0.75) and (column := self.column(type, scope)):
            return column
        kind = self.chance.random()
        if kind < 0.65:
            return self.literal(type)
        return self.parameter(type) if kind < 0.85 else f"NULL::{CASTS.get(type, type)}"

    def term(self, type: str, scope: Scope, depth: int = 2) -> str:
        """An expression of a type."""
        if depth <= 0 or self.odds(0.6):
            return self.atom(type, scope)
        one, other = self.term(type, scope, depth - 1), self.term(type, scope, depth - 1)
        match self.chance.randrange(12):
            case 0 | 1:
                return f"coalesce({one}, {other})"
            case 2:
                return f"nullif({one}, {other})"
            case 3:
                return f"{self.chance.choice(['greatest', 'least'])}({one}, {other})"
            case 4:
                end = f" ELSE {other}" if self.odds(0.6) else ""
                return f"CASE WHEN {self.condition(scope, depth - 1)} THEN {one}{end} END"
            case 5:
                value = self.atom("int", scope)
                return f"CASE {value} WHEN {self.literal('int')} THEN {one} ELSE {other} END"
            case 6 | 7:
                return self.chance.choice(_STRICT.get(type, ["least({}, {})"])).format(one, other)
            case 8 | 9:
                return self.scalar(type, scope, depth - 1)
            case _:
                return self.special(type, scope, depth - 1)

    def special(self, type: str, scope: Scope, depth: int) -> str:
        """What only one type has."""
        number, text = self.term("int", scope, depth), self.term("text", scope, depth)
        choices = {
            "int": [
                f"length({text})", f"cardinality({self.array(scope, depth)})", f"({self.array(scope, depth)})[1]",
                f"array_length({self.array(scope, depth)}, 1)", f"scale({self.term('num', scope, depth)})", f"abs({number})",
                f"(jsonb_build_array({number}) -> 0)::int", f"to_jsonb({number})::int",
                f"extract(day FROM {self.term('time', scope, depth)})::int", f"({text} COLLATE \"C\" < 'b')::int",
            ],
            "text": [
                f"lower({text})", f"upper({text})", f"concat({text}, {number})", f"left({text}, {number})", f"({number})::text",
                f"substring({text} FROM 'a')", f"substr({text}, 1)", f"({self.term('num', scope, depth)})::text",
                f"jsonb_build_object('a', {text}) ->> 'a'", f"concat(VARIADIC {self.array(scope, depth)})",
                f"jsonb_typeof(to_jsonb({number}))", f"to_char({number}, 'FM9')", f"concat_ws(',', {text}, {number})",
            ],
            "num": [f"({number})::numeric", f"round({self.term('num', scope, depth)})", f"abs({number})::numeric"],
            "time": [f"date_trunc('day', {self.term('time', scope, depth)})", "now()", "CURRENT_TIMESTAMP"],
            "bool": [self.condition(scope, depth), f"({self.condition(scope, depth)}) IS TRUE", f"({text} IS NULL)",
                f"{number} IN ({self.atom('int', scope)}, {self.atom('int', scope)})"],
        }  # fmt: skip
        return self.chance.choice(choices[type])

    def rejecting(self, one: str, other: str) -> str:
        """A condition on two expressions that says something of nulls, or seems to."""
        return self.chance.choice([
            f"{one} IS NOT NULL", f"{one} IS NOT NULL AND {other} IS NOT NULL", f"({one} IS NOT NULL OR {other} IS NOT NULL)",
            f"NOT ({one} IS NULL)", f"({one}, {other}) IS NOT NULL", f"NOT ({one} = ANY (ARRAY[{other}]))",
            f"NOT ({one} IN (SELECT {other} WHERE false))", f"{one} = {one}", f"({one} <> {one}) IS NOT TRUE",
            f"({one} = {one}) IS NOT UNKNOWN", f"coalesce({one}, {other}) IS NOT NULL", f"{one} IS DISTINCT FROM {other}",
        ])  # fmt: skip

    def array(self, scope: Scope, depth: int) -> str:
        match self.chance.randrange(5):
            case 0:
                return f"ARRAY[{self.atom('int', scope)}, {self.atom('int', scope)}]"
            case 1:
                return self.parameter("int[]")
            case 2:
                return self.chance.choice(["'{}'::int[]", "'{1,2}'::int[]", "'{NULL}'::int[]", "NULL::int[]"])
            case 3 if depth > 0:
                return f"ARRAY({self.inner(['int'], scope)})"
            case _:
                return f"ARRAY[{self.atom('int', scope)}]"

    def condition(self, scope: Scope, depth: int = 2) -> str:
        """Anything that is true, false or unknown."""
        if depth > 0 and self.odds(0.3):
            word = self.chance.choice(["AND", "AND", "OR", "NOT"])
            first = self.condition(scope, depth - 1)
            return f"NOT ({first})" if word == "NOT" else f"({first} {word} {self.condition(scope, depth - 1)})"
        type = self.chance.choice(TYPES)
        one, other = self.term(type, scope, depth - 1), self.term(type, scope, depth - 1)
        negated = self.chance.choice(["", "NOT "])
        match self.chance.randrange(18):
            case 16 | 17:
                return self.rejecting(one, other)
            case 0 | 1 | 2:
                return f"{one} IS {self.chance.choice(['NOT ', 'NOT ', ''])}NULL"
            case 3:
                return f"{one} IS {negated}DISTINCT FROM {other}"
            case 4:
                return f"{negated}({self.term('int', scope, depth - 1)} = ANY ({self.array(scope, depth)}))"
            case 5:
                number = self.term("int", scope, depth - 1)
                return f"{negated}({number} {self.chance.choice(['<> ALL', '= ALL', '< ANY'])} ({self.array(scope, depth)}))"
            case 6:
                return f"{one} {negated}IN ({other}, {self.atom(type, scope)})"
            case 7:
                test = self.chance.choice(["TRUE", "FALSE", "UNKNOWN"])
                return f"({self.condition(scope, depth - 1)}) IS {negated}{test}"
            case 8 if depth > 0:
                return f"{negated}EXISTS ({self.inner([type], scope)})"
            case 9 if depth > 0:
                return f"{one} {negated}IN ({self.inner([type], scope)})"
            case 10 if scope.rows:
                return f"{self.chance.choice(scope.rows).alias} IS {negated}NULL"
            case 11:
                return f"({one}, {self.atom('int', scope)}) = ({other}, {self.atom('int', scope)})"
            case 12:
                return self.atom("bool", scope)
            case _:
                return f"{one} {self.chance.choice(_COMPARISONS)} {other}"

    def scalar(self, type: str, scope: Scope, depth: int) -> str:
        raise NotImplementedError

    def inner(self, types: list[str], scope: Scope) -> str:
        raise NotImplementedError
