"""Random queries: joins of all kinds, sub-selects, groups, windows, set operations."""

from __future__ import annotations

import re
from random import Random

from checks.generated_data import KEYS, TABLES
from checks.generated_terms import TYPES, Rows, Scope, Terms

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
_OPERATIONS = ["UNION", "UNION ALL", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"]


class Queries(Terms):
    """Writes queries. `_expressions` are those of WITH that may be read."""

    def __init__(self, chance: Random) -> None:
        super().__init__(chance)
        self._expressions: list[tuple[str, list[str]]] = []
        # Most of them are small: what little a large one answers refutes little.
        self._depth = 2 if self.odds(0.7) else 0
        self._is_lookup = False

    def types(self) -> list[str]:
        return [self.chance.choice(TYPES) for _ in range(self.chance.randint(1, 4))]

    def inner(self, types: list[str], scope: Scope) -> str:
        return self.query(types, Scope(scope.columns[-8:]))

    def scalar(self, type: str, scope: Scope, depth: int) -> str:
        if depth <= 0 or self._depth > 2 or self.odds(0.2):
            return (
                f"(SELECT {self.atom(type, scope)}{self.chance.choice(['', '', ' WHERE ' + self.condition(scope, 0)])})"
            )
        if self.odds(0.5):
            rows, text = self.table()
            mine = Scope([*scope.columns, *rows.columns], [rows])
            return f"(SELECT {self.aggregate(type, mine)} FROM {text}{self.where(mine)})"
        end = self.chance.choice(["", " LIMIT 1", " LIMIT 1"])
        query = self.query([type], Scope(scope.columns[-8:]))
        return f"({query})" if query.endswith(")") and " LIMIT " in query[-10:] else f"({query}{end})"

    def table(self) -> tuple[Rows, str]:
        name = self.chance.choice([*TABLES, "config"])
        alias = self.name("t")
        columns = {column: (f"{alias}.{column}", type) for column, type in TABLES[name].items()}
        return Rows(
            alias, [*columns.values()], [[columns[each] for each in key] for key in KEYS[name]]
        ), f"gen.{name} {alias}"

    def source(self, lateral: Scope) -> tuple[Rows, str]:
        """Something to read from; `lateral` is what stands before it."""
        kind, alias = self.chance.random(), self.name("s")
        if self._is_lookup and self.odds(0.3):
            types = self.types()
            values = ", ".join(self.literal(each) for each in types)
            return self._named(alias, types, self.chance.choice([f"(SELECT {values})", f"(VALUES ({values}))"]))
        if self._expressions and kind < 0.35:
            name, types = self.chance.choice(self._expressions)
            return self._named(alias, types, name)
        if kind < 0.7 or self._depth > 3:
            return self.table()
        if kind < 0.85:
            types = self.types()
            if self.odds(0.2):
                return self._named(alias, types, f"(SELECT {', '.join(self.atom(each, Scope([])) for each in types)})")
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
        if size == 2 and self.odds(0.35) and (merged := self._using(some[0], more[0], one, other)):
            return merged
        condition = self.fix(more, mine) if self.odds(0.7) else self.condition(mine, 1)
        extra = f" AND {self.condition(mine, 1)}" if self.odds(0.6 if self._is_lookup else 0.2) else ""
        if kind == "FULL JOIN":
            # The server can't do it by every condition.
            condition, extra = self.meet(some, more) if self.odds(0.8) else "true", ""
        return [*some, *more], f"({one} {kind} {other} ON {condition}{extra})"

    def _using(self, left: Rows, right: Rows, one: str, other: str) -> tuple[list[Rows], str] | None:
        """A join by a column of both, under a name of its own that hides theirs."""
        if "LATERAL" in other:
            return None
        kind = self.chance.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
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
        # The one that is made of two is the one to look at.
        merged.columns += merged.columns[:1] * 3
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
            if self.odds(0.9 / len(scope.rows) if self._depth > 2 else 0.4):
                parts.append(self.fix([rows], scope))
            if any("deleted_at" in sql for sql, _ in rows.columns) and self.odds(0.4):
                parts.append(f"{rows.alias}.deleted_at IS NULL")
            column, type = self.chance.choice(rows.columns)
            if self.odds(0.25):
                parts.append(self.rejecting(column, self.atom(type, scope)))
        if self.odds(0.2):
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

    def select(self, types: list[str] | None, outer: Scope) -> tuple[str, list[str], Scope | None]:
        """A SELECT with its columns, and what ORDER BY may name beside them; without types of what its conditions speak."""
        if types is not None and self.odds(0.06):
            columns = [self.term(each, outer) for each in types]
            return f"SELECT {', '.join(columns)}", columns, outer
        sources, texts, before = [], [], outer
        for _ in range(self.chance.choice((1, 1, 1, 2))):
            rows, text = self.joined(before, self.chance.choice((1, 1, 2, 2, 3 if self._depth < 3 else 2)))
            sources += rows
            texts.append(text)
            before = Scope([*before.columns, *(column for each in rows for column in each.columns)])
        scope = Scope(before.columns, sources)
        end = f" FROM {', '.join(texts)}{self.where(scope)}"
        scope.liked = [each for rows in sources for each in rows.columns if re.search(rf"{re.escape(each[0])}\b", end)]
        if types is None:
            some = [*scope.liked, *scope.liked, *(each for rows in sources for each in rows.columns)]
            types = [self.chance.choice(some)[1] for _ in range(self.chance.randint(1, 4))]
            types += ["int", "int"] if self.odds(0.1) else []
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
        picked = [self.chance.choice(scope.liked)[1] if scope.liked and self.odds(0.6) else each for each in picked]
        keys = [(self.column(each, scope) or self.term(each, scope, 1), each) for each in picked]
        if self.odds(0.2):
            keys[0] = (self.special(keys[0][1], scope, 0), keys[0][1])
        elif self.odds(0.3):
            keys[0] = (f"({keys[0][0]})::text", "text")
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
