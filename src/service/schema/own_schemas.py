"""Applies migrations to the schema that tenants share, and to the own schemas of tenants. Both are built by the same files.

A tenant's own schema contains the tenant tables for this tenant only. The schema `app` exists once, for all tenants. The table
app.schemas records which tenant has which own schema, and app.enter() sets the search_path of the tenant's transactions
accordingly (tenancy/binding.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import psycopg

from service.addresses import Address
from service.errors import OperatorError
from service.schema import migration_files, migrations, provisioning
from service.schema.migration_errors import MigrationError, reported
from service.schema.migration_files import Source
from service.schema.migrations import Status, Verify
from service.settings.forms import RESERVED_SCHEMAS, SCHEMA_NAME
from service.texts import Say

_FOREIGN = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = n.oid)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = n.oid AND relname = '_yoyo_migration')
  FROM pg_catalog.pg_namespace AS n
 WHERE n.nspname = %(name)s
"""


class OwnSchemaFailed(MigrationError):
    """The own schemas of one or more tenants could not be migrated. All other schemas were migrated."""


def own(address: Address, schema: str) -> list[str]:
    """The names of all tenants' own schemas, sorted."""
    with reported(), migrations.connected(address, schema) as connection:
        try:
            rows = connection.execute("SELECT name FROM app.schemas ORDER BY name").fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return []
    return [name for (name,) in rows]


def up(address: Address, schema: str, say: Say, folders: Source = None, *, verify: Verify | None = None) -> list[str]:
    """Apply the pending migrations in all schemas. Returns their ids; for a tenant's own schema they are written `schema/id`.

    If a migration fails in a tenant's own schema, the other schemas are still migrated, and the next call tries the migration
    again. At the end, one OwnSchemaFailed names all schemas that failed. `verify` is used as in migrations.up, for the shared
    schema only.
    """
    files = migration_files.read(folders)
    done = migrations.up(address, schema, say, files, verify=verify)
    failures = []
    for name, found in list(migrations.statuses(address, own(address, schema), files)):
        if all(each.is_settled for each in found):
            continue
        try:
            done += [f"{name}/{id}" for id in migrations.up(address, name, say, files, beside=True)]
        except OperatorError as error:
            failures.append(f"in {name}: {error.message}")
    if failures:
        raise OwnSchemaFailed("; ".join(failures), "the other schemas are migrated; correct that and run it again")
    return done


def down(address: Address, schema: str, chosen: Sequence[str], say: Say, folders: Source = None) -> list[str]:
    """Roll back the migrations `chosen`, first in the tenants' own schemas. Returns their ids, written as in `up`."""
    done, files = [], migration_files.read(folders)
    for name in own(address, schema):
        done += [f"{name}/{id}" for id in migrations.take_back(address, name, chosen, say, files, beside=True)]
    return done + migrations.take_back(address, schema, chosen, say, files)


def status(address: Address, schema: str) -> list[Status]:
    """The result of migrations.status, for all schemas. For a tenant's own schema, the ids are written `schema/id`."""
    shared, *others = migrations.statuses(address, [schema, *own(address, schema)])
    return shared[1] + [
        replace(each, id=f"{name}/{each.id}") for name, found in others for each in found if each.is_of_tenants
    ]


async def build(address: Address, schema: str, name: str, say: Say) -> None:
    """Create the schema `name` with the tenant tables in it. If an earlier attempt was interrupted, complete the schema.

    Raises OperatorError if the name is not allowed, or if the schema is another tenant's or contains tables of something else.
    """
    if not SCHEMA_NAME.match(name) or name in RESERVED_SCHEMAS or name.startswith("pg_") or name == schema:
        raise OperatorError(
            f"'{name}' can't be a schema of a tenant's own",
            "give a lower-case word of letters, digits and _ that is not a schema of Quarry or PostgreSQL",
        )
    if name in own(address, schema):
        raise OperatorError(f"the schema {name} is another tenant's", "choose another name")
    if _is_foreign(address, schema, name):
        raise OperatorError(f"the schema {name} is there and holds something else", "choose another name")
    await provisioning.prepare_schema(address, name)
    await asyncio.to_thread(migrations.up, address, name, say, beside=True)


def _is_foreign(address: Address, schema: str, name: str) -> bool:
    """Whether the schema `name` contains tables or other relations, but none of yoyo, so that migrations did not create it."""
    with reported(), migrations.connected(address, schema) as connection:
        row = connection.execute(_FOREIGN, {"name": name}).fetchone()
    return row is not None and bool(row[0])
