"""The tables beside their statements: a comment at the head of each query file, written from the catalog."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_OPENING = (
    "-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it."
)
_CLOSING = "-- End of the tables."
_BLOCK = re.compile(rf"\n{re.escape(_OPENING)}\n(--.*\n)*?{re.escape(_CLOSING)}\n")
_NAMED = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:app\.)?([a-z_]+)\b(?!\()")
_TABLES = """
SELECT c.oid, CASE n.nspname WHEN 'app' THEN 'app.' ELSE '' END || c.relname AS name
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('app', 'quarry') AND c.relname !~ '^(_|yoyo)'
 ORDER BY c.relname
"""
_COLUMNS = """
SELECT a.attname,
       replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz')
           || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
           || CASE a.attgenerated WHEN 's' THEN ' GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid, true) || ') STORED'
              ELSE coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid, true), '') END,
       CASE WHEN has_column_privilege('quarry_app', a.attrelid, a.attnum, 'INSERT') THEN ' +i' ELSE '' END
           || CASE WHEN has_column_privilege('quarry_app', a.attrelid, a.attnum, 'UPDATE') THEN ' +u' ELSE '' END
  FROM pg_attribute AS a
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
"""
_CONSTRAINTS = """
SELECT pg_get_constraintdef(oid, true)
  FROM pg_constraint
 WHERE conrelid = %s AND contype IN ('p', 'u', 'f', 'c', 'x')
 ORDER BY position(contype::text IN 'pufcx'), conname
"""
_INDEXES = """
SELECT pg_get_indexdef(i.indexrelid, 0, true)
  FROM pg_index AS i
 WHERE i.indrelid = %s
   AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
 ORDER BY 1
"""
_TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgrelid = %s AND NOT tgisinternal ORDER BY tgname"


def with_blocks(path: Path, connection: Any, owned: Sequence[str]) -> str:
    """The file with the tables that it names, except those that have a file of their own (`owned` are all files' names)."""
    text = _BLOCK.sub("\n", path.read_text(encoding="utf-8"))
    lines = text.split("\n")
    named = {path.stem, *_NAMED.findall(text)}
    block = [
        line
        for oid, name in sorted(connection.execute(_TABLES).fetchall(), key=lambda each: _order(each[1], path.stem))
        if (bare := name.removeprefix("app.")) in named and (bare == path.stem or bare not in owned)
        for line in _table(connection, oid, name)
    ]
    if not block:
        return text
    # Below the file's two header lines; what somebody has written after them stays.
    end = 2
    return "\n".join([*lines[:end], _OPENING, *(f"-- {line}".rstrip() for line in block), _CLOSING, *lines[end:]])


def _table(connection: Any, oid: int, name: str) -> Iterator[str]:
    columns = connection.execute(_COLUMNS, [oid]).fetchall()
    width = max(len(column) for column, _, _ in columns)
    yield ""
    yield name
    for column, definition, written in columns:
        yield f"  {column:{width}}  {_short(definition)}{written}"
    for (constraint,) in connection.execute(_CONSTRAINTS, [oid]):
        yield f"  {_short(constraint)}"
    for (definition,) in connection.execute(_INDEXES, [oid]):
        kind = "UNIQUE INDEX" if "UNIQUE" in definition else "INDEX"
        yield f"  {kind} {_short(definition.partition(' USING ')[2].removeprefix('btree '))}"
    triggers = [name for (name,) in connection.execute(_TRIGGERS, [oid])]
    if triggers:
        yield f"  triggers: {', '.join(triggers)}"


def _order(name: str, own: str) -> tuple[bool, str]:
    """The file's own table first."""
    return name.removeprefix("app.") != own, name


def _short(definition: str) -> str:
    """Without what goes without saying: the tenants' schema, and that a text is one."""
    return definition.replace("quarry.", "").replace("::text", "")
