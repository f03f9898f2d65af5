"""Writes everyday statements over the three tables of a random schema."""

from __future__ import annotations

from random import Random

from checks.everyday_schema import Column, Schema, Table
from checks.planting import Plant

UNBOUNDED_HEADER = "-- unbounded: few in a test"
GROWS_TENANT_HEADER = "-- grows: tenant"


def fields(columns: list[Column]) -> str:
    """The fields of a row model with these columns."""
    return "; ".join(f"{each.name}: {each.hint}" for each in columns)


def listed(table: Table, columns: list[Column]) -> str:
    """The columns as a SELECT lists them."""
    return ", ".join(f"{table.alias}.{each.name}" for each in columns)


class Writer:
    """The tables by the letters of their aliases: `b` has the parent `a` and the child `c`. `shown` are some columns of `b`."""

    def __init__(self, schema: Schema) -> None:
        self.a, self.b, self.c = schema.tables
        chance = Random(f"columns {schema.seed}")
        filtered = ("id", self.b.due.name, self.parent.name)
        self.shown = [self.b.key, *chance.sample([each for each in self.b.columns if each.name not in filtered], 4)]
        self.paged = [
            *self.shown,
            *(each for each in self.b.columns if each.name == "created_at" and each not in self.shown),
        ]
        self.id = f"id: {self.b.key.python}"

    def select(self, end: str, kind: str, takes: str, header: str = "", columns: list[Column] | None = None) -> Plant:
        """A SELECT of columns of `b`."""
        chosen = columns or self.shown
        sql = f"SELECT {listed(self.b, chosen)} FROM {self.b.source} WHERE {self.b.bound}{end}"
        return Plant(sql, kind, fields(chosen), takes, header=header)

    def joined(self, other: Table, kind: str = "JOIN") -> str:
        """`b` with its parent, or a child with `b`."""
        if other is self.a:
            return f"{self.b.source} {kind} {other.source} ON {other.bound} AND {other.alias}.id = b.{self.parent.name}"
        return f"{self.b.source} {kind} {other.source} ON {other.bound} AND {other.alias}.{self.child.name} = b.id"

    @property
    def parent(self) -> Column:
        """The column of `b` that refers to its parent."""
        assert self.b.parent_key
        return self.b.parent_key

    @property
    def child(self) -> Column:
        """The column of `c` that refers to `b`."""
        assert self.c.parent_key
        return self.c.parent_key
