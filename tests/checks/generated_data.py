"""A schema of odd corners for generated statements, and small random rows for it: many nulls, many ties, empty tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random
from typing import Any

READER = "quarry_app"
"""Who describes and runs the statements, so that policies bind it."""

SCHEMA = f"""
CREATE SCHEMA gen;
CREATE TABLE gen.person (
  id int PRIMARY KEY, name text NOT NULL, boss int, code int UNIQUE, seen timestamptz, active boolean NOT NULL,
  nick text, opted boolean, UNIQUE (name, seen));
CREATE TABLE gen.item (
  id int PRIMARY KEY, owner int, kind text NOT NULL, price numeric NOT NULL, rate numeric UNIQUE, deleted_at timestamptz);
CREATE UNIQUE INDEX item_live ON gen.item (owner, kind) WHERE deleted_at IS NULL;
CREATE TABLE gen.tag (
  item_id int NOT NULL, label text NOT NULL, weight int, note text, PRIMARY KEY (item_id, label));
CREATE TABLE gen.config (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), note text, level int NOT NULL, top int);
CREATE TABLE gen.secret (
  tenant int NOT NULL, id int NOT NULL, body text, worth int, PRIMARY KEY (tenant, id));
ALTER TABLE gen.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON gen.secret USING (tenant = (SELECT current_setting('gen.tenant')::int));
CREATE VIEW gen.owned AS
  SELECT p.id, p.name, p.boss, i.id AS item_id, i.kind, i.price FROM gen.person AS p LEFT JOIN gen.item AS i ON i.owner = p.id
   WHERE p.active;
CREATE VIEW gen.live AS SELECT id, owner, kind, rate FROM gen.item WHERE rate IS NOT NULL AND deleted_at IS NULL;
GRANT USAGE ON SCHEMA gen TO {READER};
GRANT ALL ON ALL TABLES IN SCHEMA gen TO {READER};
"""

TABLES: dict[str, dict[str, str]] = {
    "person": {
        "id": "int", "name": "text", "boss": "int", "code": "int", "seen": "time", "active": "bool", "nick": "text",
        "opted": "bool",
    },
    "item": {"id": "int", "owner": "int", "kind": "text", "price": "num", "rate": "num", "deleted_at": "time"},
    "tag": {"item_id": "int", "label": "text", "weight": "int", "note": "text"},
    "config": {"only_row": "bool", "note": "text", "level": "int", "top": "int"},
    "secret": {"tenant": "int", "id": "int", "body": "text", "worth": "int"},
    "owned": {"id": "int", "name": "text", "boss": "int", "item_id": "int", "kind": "text", "price": "num"},
    "live": {"id": "int", "owner": "int", "kind": "text", "rate": "num"},
}  # fmt: skip
"""The columns of every table and view, and what they hold."""

KEYS: dict[str, list[tuple[str, ...]]] = {
    "person": [("id",), ("code",), ("name", "seen")],
    "item": [("id",), ("rate",), ("owner", "kind"), ("price",)],
    "tag": [("item_id", "label")],
    "config": [("level",)],
    "secret": [("id",), ("tenant", "id")],
    "owned": [("id",), ("item_id",)],
    "live": [("id",), ("owner", "kind")],
}
"""What a statement may want to fix a row with: not all of it is a key."""

VALUES: dict[str, list[Any]] = {
    "int": [0, 1, 2],
    "text": ["a", "b"],
    "num": ["1", "1.0", "1.00", "2", "0"],
    "time": [datetime(2024, 1, day, tzinfo=UTC).isoformat() for day in (1, 2, 3)],
    "bool": [True, False],
}
"""Few, so that they meet; numbers that are equal and not the same."""

_MORE = {"id": [3, 4, 5], "tenant": [1, 1]}
_REQUIRED = {"id", "name", "active", "kind", "price", "item_id", "label", "only_row", "level", "tenant"}
_UNIQUE = {
    "person": [("id",), ("code",), ("name", "seen")],
    "item": [("id",), ("rate",)],
    "tag": [("item_id", "label")],
    "config": [("only_row",)],
    "secret": [("tenant", "id")],
}


def rows(chance: Random, table: str) -> list[dict[str, Any]]:
    """Up to five rows that the constraints of a table let in."""
    sparse = {name: 0.6 if name == "deleted_at" else chance.choice((0.1, 0.2, 0.6)) for name in TABLES[table]}
    found: list[dict[str, Any]] = []
    # Of those drawn, some clash with others.
    for _ in range(chance.choice((0, 3, 6, 9, 9, 9))):
        row = {
            name: None
            if name not in _REQUIRED and chance.random() < sparse[name]
            else chance.choice([*VALUES[type], *_MORE.get(name, [])])
            for name, type in TABLES[table].items()
        }
        row |= {"only_row": True} if table == "config" else {}
        if len(found) < 5 and not any(_clash(table, row, other) for other in found):
            found.append(row)
    return found


def _clash(table: str, row: dict[str, Any], other: dict[str, Any]) -> bool:
    keys = list(_UNIQUE[table])
    if table == "item" and row["deleted_at"] is None is other["deleted_at"]:
        keys.append(("owner", "kind"))
    return any(all(_same(row[each], other[each]) for each in key) for key in keys)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str) and one[:1].isdigit() and len(one) < 5:
        return other is not None and float(one) == float(other)
    return one is not None and one == other


async def fill(connection: Any, chance: Random) -> None:
    """Put a dataset into the empty schema."""
    for table in _UNIQUE:
        await connection.execute(
            f"INSERT INTO gen.{table} SELECT * FROM jsonb_populate_recordset(NULL::gen.{table}, $1::text::jsonb)",
            json.dumps(rows(chance, table)),
        )


def arguments(chance: Random, parameters: list[str], given: frozenset[int]) -> list[Any]:
    """Values for a statement's parameters; those given are never None, though elements of an array may be."""
    values: list[Any] = []
    for number, type in enumerate(parameters, 1):
        if number not in given and chance.random() < 0.25:
            values.append(None)
        elif type == "int[]":
            values.append([chance.choice([*VALUES["int"], None]) for _ in range(chance.choice((0, 0, 1, 2)))])
        else:
            values.append(chance.choice(VALUES[type]))
    return values
