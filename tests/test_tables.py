"""Tables: every one of the schema has its row, and says why it is left out of what."""

from __future__ import annotations

from typing import Any

import pytest

from service.tables import TABLES, Table

_ALL = """
SELECT CASE n.nspname WHEN 'app' THEN 'app.' ELSE '' END || c.relname
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('app', 'quarry') AND c.relname !~ '^(_yoyo|yoyo|_migration)'
"""


def test_every_table_of_the_schema_has_its_row_and_no_other(superuser: Any) -> None:
    assert {name for (name,) in superuser.execute(_ALL)} == TABLES.keys()


@pytest.mark.parametrize("name", TABLES)
def test_what_is_not_recorded_is_not_said_to_be_unshown_too(name: str) -> None:
    table = TABLES[name]
    assert not (table.untracked and (table.unshown or table.unrecorded or table.admits))


def test_a_table_is_recorded_shown_and_exported_unless_its_row_says_why_not() -> None:
    assert Table() == Table(untracked="", unshown="", unexported="", unrecorded={}, admits=False, is_shared=False)
