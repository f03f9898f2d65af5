"""Random statements, each from its seed: joins, sub-selects, groups, windows, set operations, expressions in WITH, changes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from checks.generated_data import KEYS, TABLES
from checks.generated_terms import CASTS, TYPES, Rows, Scope, Terms

_AGGREGATES = {
    "int": ["max({int})", "min({int})", "count(*)", "count({text})", "sum({int})", "count(DISTINCT {int})"],
    "text": ["max({text})", "string_agg({text}, ',')", "min({text})", "string_agg(DISTINCT {text}, '')"],
    "num": ["sum({num})", "avg({int})", "max({num})"],
    "time": ["max({time})", "min({time})"],
    "bool": ["bool_and({bool})", "bool_or({bool})", "every({bool})"],
}
_WINDOWS = {
    "int": ["row_number() {w}::int", "rank() {w}::int", "lag({int}) {w}", "lead({int}, 1, 0) {w}", "ntile({int}) {w}",
            "count({int}) {w}::int", "sum({int}) {w}::int", "first_value({int}) {w}", "max({int}) {w}"],
    "text": ["last_value({text}) {w}", "nth_value({text}, 2) {w}", "max({text}) {w}"],
    "num": ["sum({num}) {w}", "percent_rank() {w}::numeric"],
    "time": ["lag({time}) {w}"],
    "bool": ["bool_or({bool}) {w}"],
}  # fmt: skip
_FRAMES = [
    "", "", "ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING", "ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING",
    "ROWS BETWEEN CURRENT ROW AND CURRENT ROW EXCLUDE CURRENT ROW", "ROWS UNBOUNDED PRECEDING",
]  # fmt: skip
_JOINS = ["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]
_PARAMETER = re.compile(r"\$(\d+)")
_OPERATIONS = ["UNION", "UNION ALL", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"]


@dataclass(frozen=True)
class Statement:
    """A statement, and where it has a LIMIT the same without it, with its `keys` sort keys as first columns."""

    text: str
    parameters: list[str]
    given: frozenset[int]
    unlimited: str = ""
    keys: int = 0


class Maker(Terms):
    """Writes queries. `_expressions` are those of WITH that may be read."""

    def __init__(self, chance: Random) -> None:
        super().__init__(chance)
        self._expressions: list[tuple[str, list[str]]] = []
        self._depth = 0

    def types(self) -> list[str]:
        return [self.chance.choice(TYPES) for _ in range(self.chance.randint(1, 4))]

    def inner(self, types: list[str], scope: Scope) -> str:
        return self.query(types, Scope(scope.columns[-8:]))

    def scalar(self, type: str, scope: Scope, depth: int) -> str:
        if depth <= 0 or self._depth > 2 or self.odds(0.2):
            return f"(SELECT {self.atom(type, scope)}{self.chance.choice(['', '', ' WHERE ' + self.condition(scope, 0)])})"
        if self.odds(0.5):
            rows, text = self.table()
            mine = Scope([*scope.columns, *rows.columns], [rows])
            return f"(SELECT {self.aggregate(type, mine)} FROM {text}{self.where(mine)})"
        end = self.chance.choice(["", " LIMIT 1", " LIMIT 1"])
        query = self.query([type], Scope(scope.columns[-8:]))
        return f"({query})" if query.endswith(")") and " LIMIT " in query[-10:] else f"({query}{end})"

    def table(self) -> tuple[Rows, str]:
        name = self.chance.choice(list(TABLES))
        alias = self.name("t")
        columns = {column: (f"{alias}.{column}", type) for column, type in TABLES[name].items()}
        return Rows(alias, [*columns.values()], [[columns[each] for each in key] for key in KEYS[name]]), f"gen.{name} {alias}"

    def source(self, lateral: Scope) -> tuple[Rows, str]:
        """Something to read from; `lateral` is what stands before it."""
        kind, alias = self.chance.random(), self.name("s")
        if self._expressions and kind < 0.35:
            name, types = self.chance.choice(self._expressions)
            return self._named(alias, types, name)
        if kind < 0.65 or self._depth > 2:
            return self.table()
        if kind < 0.85:
            types = self.types()
            if self.odds(0.4):
                return self._named(alias, types, f"LATERAL ({self.query(types, lateral)})")
            return self._named(alias, types, f"({self.query(types, Scope([]))})")
        types = self.types()[:2]
        values = [", ".join(self.atom(each, lateral) for each in types) for _ in range(self.chance.choice((1, 1, 2)))]
        return self.chance.choice([
            lambda: self._named(alias, types, f"LATERAL (VALUES {', '.join(f'({each})' for each in values)})"),
            lambda: self._named(alias, ["text"], f"lower({self.term('text', lateral, 1)})"),
            lambda: self._named(alias, ["int"], f"abs({self.term('int', lateral, 1)})"),
            lambda: self._named(alias, ["int"], f"generate_series(1, {self.atom('int', lateral)})"),
            lambda: self._named(alias, ["int", "int"], f"unnest({self.array(lateral, 0)}) WITH ORDINALITY"),
            lambda: self._named(alias, ["int", "int"], f"ROWS FROM (generate_series(1, 2), abs({self.atom('int', lateral)}))"),
        ])()  # fmt: skip

    def _named(self, alias: str, types: list[str], text: str) -> tuple[Rows, str]:
        columns = [(f"{alias}.c{n}", type) for n, type in enumerate(types)]
        names = ", ".join(f"c{n}" for n in range(len(types)))
        return Rows(alias, columns, [[each] for each in columns]), f"{text} {alias} ({names})"

    def joined(self, outer: Scope, size: int) -> tuple[list[Rows], str]:
        """A tree of joins of so many sources; `outer` is what stands before it."""
        if size <= 1:
            rows, text = self.source(outer)
            return [rows], text
        left, kind = self.chance.randint(1, size - 1), self.chance.choice(_JOINS)
        some, one = self.joined(outer, left)
        # What stands before may be named only where each of its rows is there.
        before = [each for rows in some for each in rows.columns] if kind in ("JOIN", "LEFT JOIN") else []
        more, other = self.joined(Scope([*outer.columns, *before]), size - left)
        mine = Scope([each for rows in [*some, *more] for each in rows.columns], [*some, *more])
        if kind == "JOIN" and self.odds(0.2):
            return [*some, *more], f"({one} CROSS JOIN {other})"
        if size == 2 and self.odds(0.3) and (merged := self._using(some[0], more[0], kind, one, other)):
            return merged
        condition = self.fix(more, mine) if self.odds(0.7) else self.condition(mine, 1)
        extra = f" AND {self.condition(mine, 1)}" if self.odds(0.2) else ""
        if kind == "FULL JOIN":
            # The server can't do it by every condition.
            condition, extra = self.meet(some, more) if self.odds(0.8) else "true", ""
        return [*some, *more], f"({one} {kind} {other} ON {condition}{extra})"

    def _using(self, left: Rows, right: Rows, kind: str, one: str, other: str) -> tuple[list[Rows], str] | None:
        """A join by a column of both, under a name of its own that hides theirs."""
        names = [sql.partition(".")[2] for sql, _ in left.columns]
        types = {sql.partition(".")[2]: type for sql, type in right.columns}
        common = [name for name, (_, type) in zip(names, left.columns, strict=True) if types.get(name) == type]
        if not common:
            return None
        by = self.chance.choice(common)
        shown = [(by, types[by])]
        shown += [(name, type) for name, (_, type) in zip(names, left.columns, strict=True) if name != by]
        shown += [(name, type) for name, type in types.items() if name != by]
        merged, text = self._named(self.name("j"), [type for _, type in shown], f"({one} {kind} {other} USING ({by}))")
        return [merged], text

    def fix(self, rows: list[Rows], scope: Scope) -> str:
        """Equalities with columns that may be keys."""
        chosen = self.chance.choice(rows)
        if not chosen.keys:
            return self.condition(scope, 1)
        parts = []
        for sql, type in self.chance.choice(chosen.keys):
            others = Scope([each for rows in scope.rows if rows is not chosen for each in rows.columns])
            values = [self.literal(type), self.parameter(type), self.column(type, others) or self.term(type, scope, 1)]
            value = self.chance.choice(values)
            parts.append(f"{sql} = {value}" if self.odds(0.8) else f"{value} = {sql}")
        return " AND ".join(parts)

    def meet(self, some: list[Rows], more: list[Rows]) -> str:
        """A column of either side is the same."""
        pairs = [
            f"{one} = {other}"
            for left in some for right in more for one, type in left.columns for other, each in right.columns if type == each
        ]  # fmt: skip
        return self.chance.choice(pairs) if pairs else "true"

    def where(self, scope: Scope) -> str:
        parts = []
        for rows in scope.rows:
            if self.odds(0.6 / len(scope.rows)):
                parts.append(self.fix([rows], scope))
            if any("deleted_at" in sql for sql, _ in rows.columns) and self.odds(0.5):
                parts.append(f"{rows.alias}.deleted_at IS NULL")
        if self.odds(0.3):
            parts.append(self.condition(scope))
        if self.odds(0.03) and (one := self.column("int", scope)):
            parts.append(f"{one} = 1 + floor(random() * 3)::int")
        return f" WHERE {' AND '.join(parts)}" if parts else ""

    def aggregate(self, type: str, scope: Scope) -> str:
        # Of what is around a query alone, it would be an aggregate there.
        own = Scope([each for rows in scope.rows for each in rows.columns], scope.rows)
        text = self.chance.choice(_AGGREGATES[type])
        call = text.format(**{each: self.term(each, own, 1) for each in _AGGREGATES if f"{{{each}}}" in text})
        if self.odds(0.25):
            call += f" FILTER (WHERE {self.condition(own, 1)})"
        return f"({call})::int" if type == "int" else call

    def window(self, type: str, scope: Scope) -> str:
        text = self.chance.choice(_WINDOWS[type])
        frame = self.chance.choice(_FRAMES)
        over = f"OVER (ORDER BY {self.atom('int', scope)} {frame})"
        return text.format(w=over, **{each: self.term(each, scope, 1) for each in _WINDOWS if f"{{{each}}}" in text})

    def query(self, types: list[str], outer: Scope) -> str:
        """A query of columns of these types."""
        self._depth += 1
        try:
            if self._depth < 3 and self.odds(0.12):
                operation = self.chance.choice(_OPERATIONS)
                return f"{self.query(types, outer)} {operation} ({self.query(types, outer)})"
            text, _, scope = self.select(types, outer)
            if scope is not None and self.odds(0.15):
                text += f" ORDER BY 1 LIMIT {self.chance.choice((1, 1, 2))}"
            return f"({text})" if " LIMIT " in text[-9:] else text
        finally:
            self._depth -= 1

    def select(self, types: list[str], outer: Scope) -> tuple[str, list[str], Scope | None]:
        """A SELECT with its columns, and what ORDER BY may name beside them."""
        if self.odds(0.06):
            columns = [self.term(each, outer) for each in types]
            return f"SELECT {', '.join(columns)}", columns, outer
        sources, texts, before = [], [], outer
        for _ in range(self.chance.choice((1, 1, 1, 2))):
            rows, text = self.joined(before, self.chance.choice((1, 1, 2, 2, 3)) if self._depth < 3 else 1)
            sources += rows
            texts.append(text)
            before = Scope([*before.columns, *(column for each in rows for column in each.columns)])
        scope = Scope(before.columns, sources)
        end = f" FROM {', '.join(texts)}{self.where(scope)}"
        match self.chance.randrange(10):
            case 0 | 1:
                return self._grouped(types, scope, end)
            case 2:
                columns = [self.aggregate(each, scope) for each in types]
                return f"SELECT {', '.join(columns)}{end}", columns, None
            case 3:
                columns = [self.window(each, scope) if self.odds(0.6) else self.term(each, scope) for each in types]
            case 4 if "int" in types:
                columns = [self._series(scope) if each == "int" else self.term(each, scope) for each in types]
            case _:
                columns = [self.term(each, scope) for each in types]
        distinct = ""
        if self.odds(0.12):
            is_whole = self.odds(0.6) or columns[0].isdigit()
            distinct = "DISTINCT " if is_whole else f"DISTINCT ON ({columns[0]}) "
        return f"SELECT {distinct}{', '.join(columns)}{end}", columns, None if distinct == "DISTINCT " else scope

    def _series(self, scope: Scope) -> str:
        return self.chance.choice([
            lambda: f"generate_series(1, {self.atom('int', scope)})", lambda: f"unnest({self.array(scope, 0)})",
            lambda: "generate_series(1, 2)", lambda: self.atom("int", scope),
        ])()  # fmt: skip

    def _grouped(self, types: list[str], scope: Scope, end: str) -> tuple[str, list[str], Scope | None]:
        picked = [self.chance.choice(TYPES) for _ in range(self.chance.choice((1, 1, 2)))]
        keys = [(self.column(each, scope) or self.term(each, scope, 1), each) for each in picked]
        if self.odds(0.3):
            keys[0] = (self.special(keys[0][1], scope, 0), keys[0][1])
        # A number or a parameter alone would name a column, or be another parameter in the list.
        keys = [(f"({sql} || '')" if type == "text" else f"coalesce({sql})", type) if "." not in sql else (sql, type)
                for sql, type in keys]  # fmt: skip
        names = ", ".join(sql for sql, _ in keys)
        sets = self.chance.choice(["{}", "{}", "{}", "ROLLUP ({})", "CUBE ({})", "GROUPING SETS (({}), ())"])
        mine = Scope(keys)
        columns = [
            self.aggregate(each, scope) if self.odds(0.5) else self.term(each, mine, 1) for each in types
        ]  # fmt: skip
        having = f" HAVING {self.aggregate('int', scope)} > {self.literal('int')}" if self.odds(0.2) else ""
        return f"SELECT {', '.join(columns)}{end} GROUP BY {sets.format(names)}{having}", columns, mine

    def change(self) -> tuple[str, list[str]]:
        """An INSERT, UPDATE or DELETE with what it returns."""
        name = self.chance.choice(["person", "item", "tag", "config", "secret", "live"])
        columns = {column: (f"x.{column}", type) for column, type in TABLES[name].items()}
        target = Rows("x", [*columns.values()], [[columns[each] for each in key] for key in KEYS[name]])
        types = self.types()
        if self.odds(0.35):
            return self._insert(name, target, types), types
        rows, text = self.source(Scope([])) if self.odds(0.4) else (None, "")
        scope = Scope([*(rows.columns if rows else []), *target.columns], [target, *([rows] if rows else [])])
        end = f"{self.where(scope)} RETURNING {', '.join(self.term(each, scope) for each in types)}"
        if self.odds(0.4):
            return f"DELETE FROM gen.{name} AS x{f' USING {text}' if rows else ''}{end}", types
        column, type = self.chance.choice(list(TABLES[name].items()))
        value = f"NULL::{CASTS.get(type, type)}" if self.odds(0.3) else self.term(type, scope)
        return f"UPDATE gen.{name} AS x SET {column} = {value}{f' FROM {text}' if rows else ''}{end}", types

    def _insert(self, name: str, target: Rows, types: list[str]) -> str:
        every = TABLES[name]
        if self.odds(0.4):
            rows = [", ".join(self.literal(each) if self.odds(0.8) else self.atom(each, Scope([])) for each in every.values()) for _ in range(self.chance.choice((1, 1, 2)))]
            text = f"VALUES {', '.join(f'({each})' for each in rows)}"
        else:
            text = self.query(list(every.values()), Scope([]))
        conflict = ""
        if self.odds(0.4):
            key, column = KEYS[name][-1 if name in ("secret", "tag") else 0][0], self.chance.choice(list(every))
            key = {"secret": "tenant, id", "tag": "item_id, label", "config": "only_row"}.get(name, key)
            conflict = f" ON CONFLICT ({key}) DO UPDATE SET {column} = excluded.{column}"
            conflict = " ON CONFLICT DO NOTHING" if self.odds(0.4) else conflict
        returned = ", ".join(self.term(each, Scope(target.columns)) for each in types)
        return f"INSERT INTO gen.{name} AS x ({', '.join(every)}) {text}{conflict} RETURNING {returned}"

    def expressions(self) -> str:
        """A WITH, or nothing."""
        texts = []
        for _ in range(self.chance.choice((0, 0, 1, 1, 2))):
            name, kind = self.name("w"), self.chance.random()
            if kind < 0.35:
                body, types = self.change()
            elif kind < 0.55:
                types = ["int", *self.types()]
                start = ", ".join(self.term(each, Scope([])) for each in types)
                own, alias = f"{name}", self.name("r")
                back = Scope([(f"{alias}.c{n}", each) for n, each in enumerate(types)])
                step = ", ".join(self.term(each, back, 1) for each in types[1:])
                all_ = self.chance.choice([" ALL", ""])
                body = f"SELECT {start} UNION{all_} SELECT {alias}.c0 + 1, {step} FROM {own} {alias} WHERE {alias}.c0 < 3"
            else:
                types = self.types()
                body = self.query(types, Scope([]))
            names = ", ".join(f"c{n}" for n in range(len(types)))
            texts.append(f"{name} ({names}) AS {self.chance.choice(['', '', '', 'MATERIALIZED ', 'NOT MATERIALIZED '])}({body})")
            self._expressions.append((name, types))
        return f"WITH RECURSIVE {', '.join(texts)} " if texts else ""


def statement(seed: str) -> Statement:
    """The statement of a seed."""
    maker = Maker(Random(seed))
    start, kind = maker.expressions(), maker.chance.random()
    unlimited, keys, types = "", 0, maker.types()
    if kind < 0.2:
        text = maker.change()[0]
    elif kind < 0.4 and maker._expressions:
        # What is there, or else something in its stead.
        name, types = maker.chance.choice(maker._expressions)
        shown = ", ".join(f"c{n}" for n in range(len(types)))
        text = f"SELECT {shown} FROM {name} UNION ALL {maker.query(types, Scope([]))}"
        rows, table = maker.source(Scope([]))
        scope = Scope(rows.columns, [rows])
        other = ", ".join(maker.term(each, scope) for each in types)
        where = maker.where(scope) or " WHERE true"
        if maker.odds(0.7):
            text = f"SELECT {shown} FROM {name} UNION ALL SELECT {other} FROM {table}{where} AND NOT EXISTS (SELECT FROM {name})"
    elif kind < 0.7:
        text, unlimited, keys = _ordered(maker, types)
    else:
        text = maker.query(types, Scope([]))
    return _numbered(maker, start + text, start + unlimited if unlimited else "", keys)


def _numbered(maker: Maker, text: str, unlimited: str, keys: int) -> Statement:
    """Number the parameters that are left from 1: expressions may have been dropped."""
    used = list(dict.fromkeys(int(each) for each in _PARAMETER.findall(text)))
    places = {old: new for new, old in enumerate(used, 1)}
    text, unlimited = (
        _PARAMETER.sub(lambda found: f"${places.get(int(found.group(1)), 0)}", each) for each in (text, unlimited)
    )
    given = frozenset(places[each] for each in maker.given & places.keys())
    return Statement(text, [maker.parameters[each - 1] for each in used], given, unlimited, keys)


def _ordered(maker: Maker, types: list[str]) -> tuple[str, str, int]:
    text, columns, scope = maker.select(types, Scope([]))
    keys = [maker.chance.choice(columns)]
    if scope is not None:
        wanted = [maker.chance.choice(rows.keys) for rows in scope.rows if rows.keys and maker.odds(0.7)]
        keys = [sql for key in wanted for sql, _ in key] or [*keys, *(sql for sql, _ in scope.columns[-1:])]
    begin = len("SELECT ")
    if text.startswith("SELECT DISTINCT ON"):
        keys = [columns[0], *keys]
        begin = text.index(f"({columns[0]}) ") + len(columns[0]) + 3
    elif text.startswith("SELECT DISTINCT "):
        begin = len("SELECT DISTINCT ")
    # A constant would name a column.
    keys = [each if "." in each or "(" in each else f"coalesce({each})" for each in keys]
    order = ", ".join(f"{each}{maker.chance.choice(['', ' DESC', ' NULLS FIRST'])}" for each in keys)
    limit = maker.chance.choice([" LIMIT 1", " LIMIT 2", " LIMIT 3 OFFSET 1", " FETCH FIRST 1 ROW WITH TIES"])
    wider = f"{text[:begin]}{', '.join(keys)}, {text[begin:]} ORDER BY {order}"
    return f"{text} ORDER BY {order}{limit}", wider, len(keys)
