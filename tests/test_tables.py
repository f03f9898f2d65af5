"""Tables: every one of the schema has its row, and says why it is left out of what."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import service
from service.tables import DOMAIN, TABLES, Table, bare

SERVICE = Path(service.__file__).parent
_DOMAIN = ("api/", "cli/", "repos/", "accounts/permissions.py", "profiles.py", "tables.py", "work.py")

_ALL = """
SELECT CASE n.nspname WHEN 'app' THEN 'app.' ELSE '' END || c.relname
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('app', 'quarry') AND c.relname !~ '^(_yoyo|yoyo|_migration)'
"""


def test_every_table_of_the_schema_has_its_row_and_no_other(superuser: Any) -> None:
    found = {name for (name,) in superuser.execute(_ALL)}
    assert sorted(found - TABLES.keys()) == [], "give each of these tables its row in src/service/tables.py"
    assert sorted(TABLES.keys() - found) == [], "take these rows from src/service/tables.py: there are no such tables"


@pytest.mark.parametrize("name", TABLES)
def test_what_is_not_recorded_is_not_said_to_be_unshown_too(name: str) -> None:
    table = TABLES[name]
    assert not (table.untracked and (table.unshown or table.unrecorded or table.admits))


def test_a_table_is_recorded_shown_and_exported_unless_its_row_says_why_not() -> None:
    assert Table() == Table(untracked="", unshown="", unexported="", unrecorded={}, admits=False, shared="")


def test_no_module_of_the_engine_spells_a_table_of_the_domain() -> None:
    names = "|".join(bare(name) for name in DOMAIN)
    spelled = re.compile(rf"(?<![\w-])({names})(?![\w-]| of\b)")
    for path in sorted(SERVICE.rglob("*.py")):
        if not str(path.relative_to(SERVICE)).startswith(_DOMAIN):
            found = [each for each in code_texts(path) if spelled.search(each)]
            assert (str(path), set(found)) == (str(path), set())


def code_texts(path: Path) -> Iterator[str]:
    """The texts, names of attributes among them, that a module's code has; its docstrings are for people."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
