"""Unique keys do not depend on the operating system's idea of how texts are sorted."""

from __future__ import annotations

from typing import Any

from service.settings.settings import Settings

NAMES = {("app.niches", "name")}
"""Shown in lists in people's order, which is a language's; not an identifier."""
_UNIQUE = """
SELECT DISTINCT i.indrelid::regclass::text, a.attname
  FROM pg_index AS i
  JOIN pg_class AS c ON c.oid = i.indrelid
  JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
  JOIN pg_collation AS l ON l.oid = a.attcollation
 WHERE i.indisunique
   AND c.relnamespace IN ('app'::regnamespace, 'quarry'::regnamespace)
   AND c.relname !~ '^_'
   AND l.collname <> 'C'
"""


def test_unique_keys_of_identifiers_are_compared_byte_by_byte(settings: Settings, superuser: Any) -> None:
    assert set(superuser.execute(_UNIQUE).fetchall()) == NAMES
