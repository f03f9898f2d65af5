"""Rows of two tenants in every tenant table, made from the catalog alone, for the tests that try to cross the line."""

from __future__ import annotations

import asyncio
import graphlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from service.addresses import Address
from service.embedded.server import Server
from service.schema import migrations, own_schemas, provisioning

Values = dict[str, str]
"""A row: every value as text, cast to its column's type in the statement."""

APP = {"user": "quarry_app", "server_settings": {"search_path": "quarry, pg_temp"}}

LITERALS = {
    ("app.changes", "operation"): "insert",
    ("quarry.api_keys", "role"): "member",
    ("quarry.change_tickets", "bearer_kind"): "session",
    ("quarry.contents", "kind"): "reel",
}
"""What a CHECK asks for and no type can tell."""
LOG = frozenset({"app.heads", "app.commits", "app.changes"})

# Filled by a trigger and granted to nobody: search_name.
_TABLES = """
SELECT n.nspname || '.' || c.relname AS name,
       CASE WHEN c.oid = 'app.tenants'::regclass THEN 'id' ELSE 'tenant_id' END AS tenant,
       (SELECT array_agg(ARRAY[a.attname, format_type(a.atttypid, NULL),
                               (a.attnotnull AND NOT a.atthasdef AND a.attname <> 'search_name')::text]
                         ORDER BY a.attnum)
          FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('app', 'quarry')
   AND (c.oid = 'app.tenants'::regclass
        OR EXISTS (SELECT FROM pg_attribute AS a
                    WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
 ORDER BY 1
"""
_KEYS = """
SELECT i.indisprimary, (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute AS a
                         WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])) AS columns
  FROM pg_index AS i WHERE i.indrelid = $1::text::regclass AND i.indisunique ORDER BY i.indexrelid
"""
_REFERENCES = """
SELECT a.attname::text AS column, n.nspname || '.' || r.relname AS name
  FROM pg_constraint AS k
  JOIN pg_class AS r ON r.oid = k.confrelid
  JOIN pg_namespace AS n ON n.oid = r.relnamespace
  JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
 WHERE k.contype = 'f' AND k.conrelid = $1::text::regclass AND a.attname <> 'tenant_id' ORDER BY k.oid
"""


@dataclass(frozen=True)
class Table:
    """A tenant table: `needed` are the columns that an INSERT gives, `references` leads from a column to its table."""

    name: str
    tenant: str
    types: Mapping[str, str]
    needed: tuple[str, ...]
    primary: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]
    references: Mapping[str, str]

    def insert(self, values: Mapping[str, str], conflict: str = "") -> tuple[str, list[str]]:
        """The INSERT of a row, and its arguments."""
        marks = ", ".join(f"${n}::text::{self.types[column]}" for n, column in enumerate(values, 1))
        return f"INSERT INTO {self.name} ({', '.join(values)}) VALUES ({marks}) {conflict}", list(values.values())

    def where(self, values: Mapping[str, str]) -> tuple[str, list[str]]:
        """The WHERE that names one row by its primary key, and its arguments."""
        tests = [f"{column} = ${n}::text::{self.types[column]}" for n, column in enumerate(self.primary, 1)]
        return f"WHERE {' AND '.join(tests)}", [values[column] for column in self.primary]

    def values(self, tenant: str, parents: Mapping[str, str]) -> Values:
        """A new row of `tenant` that refers to `parents`."""
        salt = secrets.token_hex(4)
        row = {
            column: LITERALS.get((self.name, column)) or _made(column, self.types[column], salt)
            for column in self.needed
        }
        return {**row, **parents, self.tenant: tenant}


def _made(column: str, type_name: str, salt: str) -> str:
    """A value of the type that satisfies the checks that all tables share."""
    match type_name:
        case "uuid":
            return str(uuid4())
        case "text":
            return f"{column}{salt}"  # which is a host name, too, and a name as in code
        case "bytea":
            return f"\\x01{secrets.token_hex(31)}"
        case "timestamp with time zone":
            return "2100-01-01 00:00:00+00"
        case "bigint" | "integer" | "xid8":
            return "1"
    raise AssertionError(f"teach tenancy_rows to make a value for {column} of type {type_name}")


async def tables(connection: Any) -> dict[str, Table]:
    """All tenant tables of the catalog, referenced ones first."""
    found = {}
    for row in await connection.fetch(_TABLES):
        references = {r["column"]: r["name"] for r in await connection.fetch(_REFERENCES, row["name"])}
        keys = await connection.fetch(_KEYS, row["name"])
        types = {column: type_name for column, type_name, _ in row["columns"]}
        primary = next(tuple(key["columns"]) for key in keys if key["indisprimary"])
        needed = [column for column, _, is_needed in row["columns"] if is_needed == "true"]
        found[row["name"]] = Table(
            row["name"], row["tenant"], types, tuple(dict.fromkeys((row["tenant"], *primary, *references, *needed))),
            primary, tuple(tuple(key["columns"]) for key in keys), references,
        )  # fmt: skip
    order = graphlib.TopologicalSorter({name: set(table.references.values()) for name, table in found.items()})
    return {name: found[name] for name in order.static_order() if name in found}


@dataclass(frozen=True)
class Arranged:
    """A database with the tenants `a` and `b`: per tenant and table a row that nothing refers to, and a row that is
    not there yet although its parents are.
    """

    name: str
    url: str
    a: str
    b: str
    tables: Mapping[str, Table]
    rows: Mapping[str, Mapping[str, Values]]
    spare: Mapping[str, Mapping[str, Values]]


@asynccontextmanager
async def cloned(server: Server, template: Any) -> AsyncIterator[str]:
    """A clone of the migrated template for a whole module: the superuser's address of it."""
    name = f"quarry_tenancy_{uuid4().hex[:8]}"
    administrator = await asyncpg.connect(server.url())
    try:
        await administrator.execute(f"CREATE DATABASE {name} TEMPLATE {template.template_dbname}")
        await provisioning.prepare_database(Address(server.url(database=name)))
        yield server.url(database=name)
    finally:
        await administrator.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await administrator.close()


@asynccontextmanager
async def built_beside(server: Server) -> AsyncIterator[str]:
    """A new database whose schema `quarry` is one of a tenant's own, as `quarry tenants add --schema` builds it."""
    name = f"quarry_tenancy_{uuid4().hex[:8]}"
    url = server.url(database=name)
    await provisioning.create_database(Address(server.url()), name)
    try:
        await provisioning.prepare_database(Address(url), "others")
        owner = Address(url, role="quarry_owner")
        await asyncio.to_thread(migrations.up, owner, "others", lambda _: None)
        await own_schemas.build(owner, "others", "quarry", lambda _: None)
        yield url
    finally:
        await provisioning.drop_database(Address(server.url()), name)


async def arrange(url: str) -> Arranged:
    """Fill the clone."""
    connection = await asyncpg.connect(url, server_settings={"search_path": "quarry"})
    try:
        found = await tables(connection)
        niche = await connection.fetchval("INSERT INTO app.niches (name) VALUES ('shared') RETURNING id::text")
        a, b = str(UUID(int=0xA)), str(UUID(int=0xB))
        rows: dict[str, dict[str, Values]] = {}
        spare: dict[str, dict[str, Values]] = {}
        for tenant in (a, b):
            planter = _Planter(connection, found, tenant, niche)
            rows[tenant] = {"app.tenants": await planter.plant("app.tenants")}
            rows[tenant] |= {name: await planter.plant(name) for name in found if name not in {"app.tenants", *LOG}}
            spare[tenant] = {name: await planter.prepare(name) for name in found}
        for tenant in (a, b):
            for name in LOG:
                columns = ", ".join(f"{column}::text" for column in found[name].types)
                record = await connection.fetchrow(
                    f"SELECT {columns} FROM {name} WHERE tenant_id = $1 LIMIT 1", UUID(tenant)
                )
                rows[tenant][name] = dict(record)
        name = await connection.fetchval("SELECT current_database()::text")
        return Arranged(name, url, a, b, found, rows, spare)
    finally:
        await connection.close()


class _Planter:
    """Plants rows of one tenant, each with parents of its own."""

    def __init__(self, connection: Any, found: Mapping[str, Table], tenant: str, niche: str) -> None:
        self.connection, self.found, self.tenant, self.niche = connection, found, tenant, niche

    async def prepare(self, name: str) -> Values:
        table = self.found[name]
        parents = {column: await self._parent(target) for column, target in table.references.items()}
        return table.values(self.tenant, parents)

    async def plant(self, name: str) -> Values:
        values = await self.prepare(name)
        text, arguments = self.found[name].insert(values)
        await self.connection.execute(text, *arguments)
        return values

    async def _parent(self, target: str) -> str:
        return self.niche if target == "app.niches" else (await self.plant(target))["id"]


@dataclass(frozen=True)
class Outcome:
    """What a statement came to: its command tag, or the SQLSTATE with all that the caller is told."""

    code: str
    told: tuple[str | None, ...] = ()


async def outcome(connection: Any, text: str, arguments: Sequence[object]) -> Outcome:
    """Run a statement in the open transaction."""
    try:
        return Outcome(await connection.execute(text, *arguments))
    except asyncpg.PostgresError as error:
        return Outcome(error.sqlstate, (error.args[0], error.detail, error.hint, error.constraint_name))


@asynccontextmanager
async def bound(connection: Any, tenant: str | None) -> AsyncIterator[Any]:
    """A transaction of `tenant`, undone at the end."""
    await connection.execute("BEGIN" if tenant is None else f"BEGIN; SET LOCAL app.tenant_id = '{tenant}'")
    try:
        yield connection
    finally:
        await connection.execute("ROLLBACK")
