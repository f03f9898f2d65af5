"""`sql/schema.sql`, the rules that migration files follow, and the names that the catalog has."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import Any

import pytest

from arranging import dumps
from arranging.table_blocks import with_blocks
from conftest import MAJOR
from service import files
from service.database.translation import field_of
from service.embedded.server import Server
from service.schema import migration_files

CHECKED_IN = Path(__file__).parents[2] / "sql" / "schema.sql"
HEADER = """-- The schema as the migrations leave it, for reading: migrations alone do not show what a table is today.
-- Written by `make schema`; tests/schema/test_schema.py fails when it differs from the migrations. Nothing runs this file.

"""
WITHOUT_FIELD = {
    "brand_niches_tenant_id_brand_id_niche_id_key": "attaching a niche twice is attaching it once",
    "influencer_niches_tenant_id_influencer_id_niche_id_key": "the same for influencers",
    "campaign_influencers_tenant_id_campaign_id_influencer_id_key": "PUT replaces the row that is there",
    "otps_phone_index_check": "the service makes the hash; the caller's field is phone",
    "idempotency_keys_tenant_id_caller_id_key_key": "a key that is taken is an answer of idempotency_keys.claim",
}
"""Constraints whose name leads to no column, and why no caller misses it."""

FILES = [path for folder in migration_files.sources() for path in sorted(folder.glob("*.sql"))]
FORWARD = [path for path in FILES if not path.name.endswith(".rollback.sql")]


@pytest.mark.skipif(MAJOR != 18, reason="pg_dump of another version words things otherwise")
def test_schema_file_is_what_the_migrations_make(server: Server, superuser: Any) -> None:
    dumped = HEADER + dumps.schema(server, superuser.info.dbname)
    if os.environ.get("UPDATE_SCHEMA"):
        CHECKED_IN.write_text(dumped, encoding="utf-8")
    assert CHECKED_IN.read_text(encoding="utf-8") == dumped, "run `make schema`"


QUERIES = sorted(files.sql("queries").glob("*.sql"))


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.name)
def test_query_file_shows_its_tables_as_the_migrations_make_them(superuser: Any, path: Path) -> None:
    shown = with_blocks(path, superuser, [each.stem for each in QUERIES])
    if os.environ.get("UPDATE_SCHEMA"):
        path.write_text(shown, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == shown, "run `make schema`"


def test_schema_file_names_every_table(superuser: Any) -> None:
    text = CHECKED_IN.read_text(encoding="utf-8")
    tables = superuser.execute(
        "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('app', 'quarry') AND tablename !~ '^_|yoyo'"
    ).fetchall()
    assert tables
    assert [name for (name,) in tables if f"CREATE TABLE {name} (" not in text] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_migration_file_is_numbered_named_and_limits_its_waiting(path: Path) -> None:
    assert re.fullmatch(r"\d{4}\.[a-z]+(-[a-z0-9]+)+(\.rollback)?\.sql", path.name)
    lines = path.read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if line and not line.startswith("--")]
    # Outside a transaction SET LOCAL would have no effect.
    setting = "SET" if "-- transactional: false" in lines else "SET LOCAL"
    assert re.fullmatch(rf"{setting} lock_timeout = '\d+s';", code[0])


@pytest.mark.parametrize("path", FORWARD, ids=lambda path: path.name)
def test_migration_begins_with_a_sentence_and_has_a_way_back(path: Path) -> None:
    sentence, depends, *further = path.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"-- [A-Z].*\.", sentence)
    assert depends.startswith("-- depends:")
    has_none = any(line.startswith("-- accepts: way-back-missing because ") for line in further)
    assert path.with_suffix(".rollback.sql").exists() is not has_none


def test_no_two_migrations_share_a_name() -> None:
    assert len({path.name for path in FORWARD}) == len(FORWARD)


CONSTRAINTS = """
SELECT c.conrelid::regclass::text, t.relname, c.conname, c.contype, obj_description(c.oid, 'pg_constraint'),
       (SELECT array_agg(a.attname::text) FROM pg_attribute AS a WHERE a.attrelid = t.oid AND a.attnum > 0)
  FROM pg_constraint AS c
  JOIN pg_class AS t ON t.oid = c.conrelid
 WHERE c.connamespace::regnamespace::text IN ('app', 'quarry') AND t.relname !~ '^_|^yoyo' AND c.contype IN ('c', 'f', 'p', 'u')
"""
INDEXES = """
SELECT i.indrelid::regclass::text, t.relname, x.relname, CASE WHEN i.indisunique THEN 'u' ELSE 'i' END,
       obj_description(x.oid, 'pg_class'),
       (SELECT array_agg(a.attname::text) FROM pg_attribute AS a WHERE a.attrelid = t.oid AND a.attnum > 0)
  FROM pg_index AS i
  JOIN pg_class AS t ON t.oid = i.indrelid
  JOIN pg_class AS x ON x.oid = i.indexrelid
 WHERE t.relnamespace::regnamespace::text IN ('app', 'quarry') AND t.relname !~ '^_|^yoyo'
   AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = x.oid AND c.contype IN ('p', 'u'))
"""
SUFFIX = {"p": "pkey", "u": "key", "f": "fkey", "c": "check", "i": "idx"}


@pytest.fixture
def named(superuser: Any) -> list[Any]:
    """Constraints and indexes: table, its bare name, name, kind, comment, columns of the table."""
    found = superuser.execute(CONSTRAINTS).fetchall() + superuser.execute(INDEXES).fetchall()
    assert len(found) > 80
    return found


def is_conventional(table: str, name: str, kind: str, columns: list[str]) -> bool:
    """`<table>_<columns…>_<suffix>`; a primary key has no columns in its name, and `_index` of a column may go."""
    if kind == "p":
        return name == f"{table}_pkey"
    words = [*columns, *(column.removesuffix("_index") for column in columns)]
    middles = ("_".join(pick) for count in (1, 2, 3) for pick in itertools.permutations(set(words), count))
    return name in (f"{table}_{middle}_{SUFFIX[kind]}" for middle in middles)


def test_constraints_and_indexes_are_named_by_the_convention(named: list[Any]) -> None:
    assert [name for _, table, name, kind, _, columns in named if not is_conventional(table, name, kind, columns)] == []


def test_constraints_and_indexes_say_what_they_are_for(named: list[Any]) -> None:
    assert [f"{table} {name}" for table, _, name, _, comment, _ in named if not comment] == []


def test_constraint_that_a_caller_may_break_leads_to_a_field(named: list[Any]) -> None:
    wrong = {
        name for _, table, name, kind, _, columns in named if kind in "cuf" and field_of(name, table) not in columns
    }
    assert wrong == WITHOUT_FIELD.keys()
