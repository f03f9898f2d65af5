"""Random statements, each from its seed: queries by keys, changes and what they return, expressions in WITH."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from checks.generated_data import KEYS, TABLES
from checks.generated_queries import Queries
from checks.generated_terms import CASTS, Rows, Scope

_PARAMETER = re.compile(r"\$(\d+)")


@dataclass(frozen=True)
class Statement:
    """A statement, and where it has a LIMIT the same without it, with its `keys` sort keys as first columns."""

    text: str
    parameters: list[str]
    given: frozenset[int]
    unlimited: str = ""
    keys: int = 0


class Maker(Queries):
    """Writes statements."""

    def lookup(self) -> str:
        """A query of few tables, of which the keys are fixed and little else."""
        self._is_lookup = True
        if self.odds(0.2):
            rows, text = self.table()
            function, alias = self.chance.choice(["abs", "abs", "lower"]), self.name("s")
            type = "text" if function == "lower" else "int"
            other, more = self._named(
                alias, [type], f"{function}({self.column(type, Scope(rows.columns)) or self.literal(type)})"
            )
            sources, text = [rows, other], f"{text}, {more}"
        else:
            sources, text = self.joined(Scope([]), self.chance.choice((1, 2, 2, 3)))
        scope = Scope([each for rows in sources for each in rows.columns], sources)
        parts = [self.fix([rows], scope) for rows in sources if rows.keys and self.odds(0.5)]
        end = f" FROM {text}{' WHERE ' + ' AND '.join(parts) if parts else ''}"
        shown = [self.chance.choice(scope.columns) for _ in range(2)]
        if self.odds(0.35):
            keys = [f"({sql})::text" if self.odds(0.3) else sql for sql, _ in shown[self.chance.choice((0, 1)) :]]
            return f"SELECT {', '.join(keys)}, count(*){end} GROUP BY {', '.join(keys)}"
        return f"SELECT {', '.join(sql for sql, _ in shown)}{end}"

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
        if self.odds(0.4):
            condition = self.rejecting(f"x.{column}", self.atom(type, scope))
            end = f" WHERE {condition} RETURNING {', '.join(self.term(each, scope) for each in types)}, x.{column}"
            types.append(type)
        value = f"NULL::{CASTS.get(type, type)}" if self.odds(0.3) else self.term(type, scope)
        return f"UPDATE gen.{name} AS x SET {column} = {value}{f' FROM {text}' if rows else ''}{end}", types

    def _insert(self, name: str, target: Rows, types: list[str]) -> str:
        every = TABLES[name]
        if self.odds(0.4):
            rows = [
                ", ".join(
                    self.literal(each) if self.odds(0.8) else self.atom(each, Scope([])) for each in every.values()
                )
                for _ in range(self.chance.choice((1, 1, 2)))
            ]
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
        for _ in range(self.chance.choice((0, 0, 0, 0, 1, 1, 2))):
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
                body = (
                    f"SELECT {start} UNION{all_} SELECT {alias}.c0 + 1, {step} FROM {own} {alias} WHERE {alias}.c0 < 3"
                )
            else:
                types = self.types()
                body = self.query(types, Scope([]))
            names = ", ".join(f"c{n}" for n in range(len(types)))
            texts.append(
                f"{name} ({names}) AS {self.chance.choice(['', '', '', 'MATERIALIZED ', 'NOT MATERIALIZED '])}({body})"
            )
            self._expressions.append((name, types))
        return f"WITH RECURSIVE {', '.join(texts)} " if texts else ""


def statement(seed: str) -> Statement:
    """The statement of a seed."""
    maker = Maker(Random(seed))
    start, kind = maker.expressions(), maker.chance.random()
    unlimited, keys = "", 0
    if kind < 0.15:
        text = maker.change()[0]
    elif kind < 0.3 and maker._expressions:
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
    elif kind < 0.5:
        text, unlimited, keys = _ordered(maker)
    elif kind < 0.8:
        text = maker.lookup()
    elif kind < 0.95:
        text = maker.select(None, Scope([]))[0]
    else:
        text = maker.query(maker.types(), Scope([]))
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


def _ordered(maker: Maker) -> tuple[str, str, int]:
    text, columns, scope = maker.select(None, Scope([]))
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
