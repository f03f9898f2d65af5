"""Nothing of a tenant is forgotten: the statements of offboarding against the catalog."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from service.offboarding.tables import SEALED, statements
from service.settings.settings import Settings
from service.tables import SHARED, UNEXPORTED

_COLUMNS = """
SELECT n.nspname, c.relname, array_agg(a.attname::text),
       array_agg(a.attname::text) FILTER (WHERE EXISTS (
           SELECT FROM pg_constraint AS k
            WHERE k.conrelid = c.oid AND k.contype = 'c' AND a.attnum = ANY (k.conkey)
              AND pg_get_constraintdef(k.oid) ~ ('is_sealed\\(' || a.attname || '\\)'))),
       EXISTS (SELECT FROM pg_constraint AS k
                WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid = 'app.tenants'::regclass),
       ARRAY(SELECT f.relname::text FROM pg_constraint AS k JOIN pg_class AS f ON f.oid = k.confrelid
              WHERE k.conrelid = c.oid AND k.contype = 'f')
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('app', 'quarry')
 GROUP BY c.oid, n.nspname, c.relname
HAVING 'tenant_id' = ANY (array_agg(a.attname)) OR c.oid = 'app.tenants'::regclass
"""


async def gaps(settings: Settings) -> list[str]:
    """What the catalog has and offboarding does not, and the other way round."""
    exported, imported, deleted = statements("export"), statements("import"), statements("delete")
    known = {*SHARED, *exported.keys()} | UNEXPORTED.keys()
    found = []
    with psycopg.connect(settings.administration().url) as connection:
        for schema, table, columns, sealed, is_bound, referred in connection.execute(_COLUMNS).fetchall():
            if table not in deleted or not deletes(deleted[table].variants[0].text, table):
                found.append(f"{table} is not deleted")
            if not re.search(rf"\b{table}\b", deleted["statistics"].variants[0].text):
                found.append(f"{table} keeps its statistics")
            if schema != "app" and not is_bound:
                found.append(f"{table} has no foreign key to its tenant")
            if set(sealed or ()) != set(SEALED.get(table, ())):
                found.append(f"{table} has other sealed columns")
            if table in UNEXPORTED:
                continue
            found += [
                f"{shared} that {table} refers to are not exported"
                for shared in SHARED.intersection(referred)
                if not re.search(rf"\b{table}\b", exported[shared].variants[0].text)
            ]
            if table not in exported:
                found.append(f"{table} is not exported")
                continue
            wanted = {c for c in columns if c != "tenant_id" and not c.endswith("_index")}
            if (listed := answered(exported[table].variants[0].text)) != wanted:
                found.append(f"{table} is not exported with {sorted(wanted ^ listed)}")
            if table in imported and (listed := inserted(imported[table].variants[0].text)) != set(columns):
                found.append(f"{table} is not imported with {sorted(set(columns) ^ listed)}")
            known.discard(table)
    found += [f"{name} is not there" for name in known - UNEXPORTED.keys() - SHARED]
    return found


def deletes(text: str, table: str) -> bool:
    return bool(re.search(rf"DELETE FROM (app\.)?{table} WHERE (tenant_id|id) = \$1$", text))


def answered(text: str) -> set[str]:
    """The columns of a SELECT, by the names that they have in the answer."""
    listed = re.search(r"SELECT (.*?)\s+FROM", text, re.DOTALL)
    assert listed
    return {item.split()[-1] for item in listed.group(1).split(",")}


def inserted(text: str) -> set[str]:
    """The columns of an INSERT, which are those of its SELECT in the same order."""
    into = re.search(r"INSERT INTO [\w.]+ \((.*?)\)\s+SELECT (.*?)\s+FROM", text, re.DOTALL)
    assert into
    columns, values = ([item.strip() for item in group.split(",")] for group in into.groups())
    assert [column if column != "tenant_id" else "$1::uuid" for column in columns] == values
    return set(columns)


async def test_no_table_and_no_column_is_forgotten(settings: Settings) -> None:
    assert await gaps(settings) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("CREATE TABLE quarry.notes (tenant_id uuid, id uuid)", "notes is not deleted"),
        ("CREATE TABLE quarry.notes (tenant_id uuid, id uuid)", "notes is not exported"),
        ("CREATE TABLE quarry.notes (tenant_id uuid, id uuid)", "notes keeps its statistics"),
        ("CREATE TABLE quarry.notes (tenant_id uuid, id uuid)", "notes has no foreign key to its tenant"),
        ("ALTER TABLE quarry.users ADD COLUMN nickname text", "users is not exported with ['nickname']"),
        ("ALTER TABLE quarry.users ADD COLUMN nickname text", "users is not imported with ['nickname']"),
        ("ALTER TABLE app.tenants RENAME COLUMN plan TO tier", "tenants is not exported with ['plan', 'tier']"),
        ("ALTER TABLE quarry.api_keys ADD COLUMN pin bytea CHECK (app.is_sealed(pin))", "api_keys has other sealed columns"),
        ("ALTER TABLE quarry.otps ADD COLUMN pin bytea CHECK (app.is_sealed(pin))", "otps has other sealed columns"),
        ("DROP TABLE quarry.sign_in_failures", "sign_in_failures is not there"),
    ],
)  # fmt: skip
async def test_what_is_new_is_missed(settings: Settings, superuser: Any, change: str, said: str) -> None:
    superuser.execute(change)
    superuser.commit()
    assert said in await gaps(settings)


def test_what_is_left_out_has_a_reason() -> None:
    assert all(UNEXPORTED.values())
    assert not UNEXPORTED.keys() & statements("export").keys()


@pytest.mark.skipif(not SHARED, reason="this service has no data that all tenants share")
async def test_a_new_reference_to_shared_data_is_missed(settings: Settings, superuser: Any) -> None:
    shared = min(SHARED)
    superuser.execute(f"ALTER TABLE quarry.users ADD COLUMN shared_id uuid REFERENCES app.{shared} (id)")
    superuser.commit()
    assert f"{shared} that users refers to are not exported" in await gaps(settings)
