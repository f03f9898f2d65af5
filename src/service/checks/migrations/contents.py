"""What tables contain, column by column: whether a migration and its rollback leave all values as they were."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_LEFT_OUT = frozenset({"version", "updated_at", "xid"})
"""Columns that triggers write at each change."""
_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) AS name,
       (SELECT array_agg(k.attname::text ORDER BY k.attnum)
          FROM pg_catalog.pg_index AS i
          JOIN pg_catalog.pg_attribute AS k ON k.attrelid = c.oid AND k.attnum = ANY (i.indkey::int2[])
         WHERE i.indrelid = c.oid AND i.indisprimary) AS key
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r'
   AND n.nspname !~ '^pg_'
   AND n.nspname <> 'information_schema'
   AND c.relname NOT IN ('_yoyo_log', '_yoyo_migration', '_yoyo_version', 'yoyo_lock', '_migration_checksums', 'changes',
                         'commits', 'heads', 'installation')
"""

Contents = Mapping[str, Mapping[str, Mapping[str, object]]]
"""Maps a table to its rows by key, and each row to the values of its columns."""


async def read(connection: Any) -> Contents:
    """Read the contents of all tables of the service, which have few rows.

    The connection must be a superuser's, whom no policy restricts.
    """
    found = {}
    for table in await connection.fetch(_TABLES):
        key = " || '/' || ".join(f't."{each}"::text' for each in table["key"] or ()) or "t::text"
        rows = await connection.fetch(f"SELECT {key} AS key, to_jsonb(t)::text AS row FROM {table['name']} AS t")
        found[table["name"]] = {row["key"]: json.loads(row["row"]) for row in rows}
    return found


def lost(before: Contents, after: Contents) -> list[str]:
    """What is not there any more, or not as it was, in words: rows of tables, else values of columns."""
    found = []
    for table, rows in sorted(before.items()):
        left = after.get(table, {})
        if rows.keys() - left.keys():
            found.append(f"rows of {table}")
        columns = {
            column for key, row in rows.items() for column, value in row.items()
            if key in left and column not in _LEFT_OUT and left[key].get(column) != value
        }  # fmt: skip
        found += [f"values of {table}.{column}" for column in sorted(columns)]
    return found
