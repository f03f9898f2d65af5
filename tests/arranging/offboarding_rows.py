"""Two tenants with rows of every kind in every table, and what a database holds of them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from pydantic import SecretStr

from arranging.tenancy_rows import Arranged, arrange
from service.accounts import tokens
from service.embedded.server import Server
from service.offboarding import erasure, exporting
from service.offboarding.archive import Manifest
from service.offboarding.erasure import Erased
from service.offboarding.tables import SEALED
from service.personal import keyring
from service.settings.settings import Settings
from service.tables import HISTORY, UNEXPORTED

LONG_NUMBER = "0.1000000000000000055511151231257827021181583404541015625001"
OLD = "2020-02-29 12:00:00.123456+00"
SCHEMAS = "app.schemas"
_ODD = f"""
DELETE FROM app.schemas;
UPDATE app.tenants SET features = '{{"rate": {LONG_NUMBER}, "ä": ["\\u2028", null, 12345678901234567890]}}', plan = 'pro',
       version = 7, created_at = '{OLD}', updated_at = '{OLD}';
UPDATE app.niches SET icon = '🍜', description = 'Line' || chr(10) || 'break';
UPDATE quarry.users SET display_name = 'Zoë "Z" \\ ' || chr(10) || left(id::text, 8), version = 3, created_at = '{OLD}';
UPDATE quarry.users AS u SET deleted_at = '{OLD}' FROM quarry.campaigns AS c WHERE c.owner_id = u.id;
UPDATE quarry.brands AS b SET deleted_at = '{OLD}', bio = 'bio', company_type = 'llp', legal_entity_name = 'Ltd',
       poc_name = 'P', poc_designation = 'D', is_profile_completed = true, is_phone_verified = true
  FROM quarry.campaigns AS c WHERE c.brand_id = b.id;
UPDATE quarry.campaigns SET deleted_at = '{OLD}', starts_on = '2024-02-29', budget_minor = 9007199254740991, status = 'archived';
UPDATE quarry.contents SET status = 'published', published_at = '{OLD}', updated_at = '{OLD}', version = 12, body = E'\\t\\\\x';
UPDATE quarry.influencers SET date_of_birth = '1999-12-31', gender = 'other';
UPDATE quarry.api_keys SET last_used_at = '{OLD}', revoked_at = '{OLD}';
UPDATE quarry.sign_in_failures SET ip = '2001:db8::1', user_agent = 'agent', request_id = 'r';
UPDATE quarry.campaign_influencers SET fee_minor = 1, currency = 'EUR', status = 'removed';
"""


@dataclass(frozen=True)
class Stock:
    """The database of a test: tenant `a` leaves, tenant `b` stays."""

    settings: Settings
    superuser: Any
    arranged: Arranged

    @property
    def a(self) -> UUID:
        return UUID(self.arranged.a)

    @property
    def b(self) -> UUID:
        return UUID(self.arranged.b)

    def domain(self, tenant: UUID) -> str:
        return str(self.one("SELECT domain FROM app.tenants WHERE id = %s", tenant))

    def one(self, text: str, *values: object) -> Any:
        row = self.superuser.execute(text, values).fetchone()
        return None if row is None else row[0]

    async def export(self, path: Path) -> Manifest:
        return await exporting.export(self.settings, self.domain(self.a), path, quietly)

    async def erase(self, tenant: UUID, **changes: object) -> list[Erased]:
        """Delete a tenant, with settings that differ in `changes`."""
        settings = self.settings.model_copy(update=changes)
        return await erasure.erase(settings, await erasure.erasable(settings, self.domain(tenant)), quietly)

    def bytes_of(self, tenant: UUID) -> dict[str, list[str]]:
        """Every row of a tenant as the database keeps it."""
        return {
            name: [
                row for (row,) in
                self.superuser.execute(f"SELECT t::text FROM {name} AS t WHERE {table.tenant} = %s ORDER BY 1", [tenant])
            ]
            for name, table in self.arranged.tables.items()
        }  # fmt: skip

    def everything(self) -> dict[str, list[str]]:
        """Every row of every table of the service."""
        names = [*self.arranged.tables, "app.niches", "app.installation"]
        return {
            name: [row for (row,) in self.superuser.execute(f"SELECT t::text FROM {name} AS t ORDER BY 1")]
            for name in names
        }


def settings_of(server: Server, url: str, letter: str) -> Settings:
    """Settings of the database that `url` is of, with keys made of a letter."""
    name = url.rpartition("/")[2].partition("?")[0]

    def login(user: str) -> SecretStr:
        return SecretStr(server.url(user=user, password=server.password, database=name))

    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        environment="test",
        database_url=login("quarry_app"),
        database_migration_url=login(server.superuser),
        database_platform_url=login("quarry_platform"),
        pii_keys=SecretStr(f"row-{letter}:{letter * 43}="),
        pii_index_key=SecretStr(f"{letter * 42}A="),
    )


def quietly(_: str) -> None:
    """Nobody reads the progress."""


async def stock(settings: Settings, superuser: Any) -> Stock:
    """Fill the database of `settings`: rows from the catalog, then values that are easily lost on the way."""
    superuser.commit()
    superuser.autocommit = True
    arranged = await arrange(settings.administration().url)
    # There are no schemas of these names; tenants with one are in tests/schema/test_own_schemas.py and cli/test_archives.py.
    arranged = replace(arranged, tables={name: each for name, each in arranged.tables.items() if name != SCHEMAS})
    # Rows as they may have become, without the triggers' say.
    superuser.execute("SET session_replication_role = replica")
    superuser.execute(
        "UPDATE quarry.campaigns AS c SET brand_id = (SELECT id FROM quarry.brands WHERE tenant_id = c.tenant_id LIMIT 1)"
    )
    superuser.execute(_ODD.encode())
    keys = keyring.load(settings)
    for table, columns in SEALED.items():
        rows = superuser.execute(f"SELECT tenant_id, id FROM quarry.{table}").fetchall()
        indexed = [name for name in arranged.tables[f"quarry.{table}"].types if name.endswith("_index")]
        for tenant, id in rows:
            values = {name: keys.seal(f"{name} {id} ü", tenant, id, f"{table}.{name}") for name in columns}
            for name in indexed:
                column = name.removesuffix("_index")
                values[name] = keys.index(f"{column} {id} ü", tenant, f"{table}.{column}")
            sets = ", ".join(f"{name} = %s" for name in values)
            superuser.execute(
                f"UPDATE quarry.{table} SET {sets} WHERE tenant_id = %s AND id = %s", [*values.values(), tenant, id]
            )
    for tenant, id, hashed in superuser.execute("SELECT tenant_id, id, password_hash FROM quarry.users").fetchall():
        kept = keys.seal_hash(hashed, tenant, id)
        superuser.execute("UPDATE quarry.users SET password_hash = %s WHERE id = %s", [kept, id])
    for tenant, id, *row in superuser.execute(
        "SELECT tenant_id, id, key_hash, created_by, role FROM quarry.api_keys"
    ).fetchall():
        mac = keys.mac(tenant, tokens.key_fields(*row))
        superuser.execute("UPDATE quarry.api_keys SET key_mac = %s WHERE id = %s", [mac, id])
    superuser.execute("SET session_replication_role = origin")
    return Stock(settings, superuser, arranged)


def opened(settings: Settings, arranged: Arranged, tenant: UUID) -> dict[str, list[str]]:
    """What an archive should bring back: every exported row with personal data opened and niches by name."""
    keys = keyring.load(settings)
    found: dict[str, list[str]] = {}
    with psycopg.connect(settings.administration().url, row_factory=psycopg.rows.dict_row) as connection:
        niches = {row["id"]: row["name"] for row in connection.execute("SELECT id, name FROM app.niches")}
        for name, table in arranged.tables.items():
            bare = name.partition(".")[2]
            if bare in HISTORY | UNEXPORTED.keys():
                continue
            columns = ", ".join(f"{c}::text" if t == "jsonb" else c for c, t in table.types.items())
            found[name] = []
            for row in connection.execute(f"SELECT {columns} FROM {name} WHERE {table.tenant} = %s", [tenant]):
                if bare == "users":
                    row["password_hash"] = keys.open_hash(row["password_hash"], tenant, row["id"])
                if bare == "api_keys":
                    facts = tokens.key_fields(row["key_hash"], row["created_by"], row["role"])
                    assert keys.verifies(row.pop("key_mac"), tenant, facts)
                for column in SEALED.get(bare, ()):
                    plain = row[column] = row[column] and keys.open(
                        bytes(row[column]), tenant, row["id"], f"{bare}.{column}"
                    )
                    if f"{column}_index" in row:
                        assert row.pop(f"{column}_index") == keys.index(plain, tenant, f"{bare}.{column}")
                if "niche_id" in row:
                    row["niche_id"] = niches[row["niche_id"]]
                found[name].append(json.dumps(row, default=str, sort_keys=True))
            found[name].sort()
    return found


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None], *, honest: bool = False) -> None:
    """Change the files of an archive; with `honest` the manifest is made to fit them."""
    with tarfile.open(path) as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    change(held)
    if honest:
        manifest = json.loads(held["manifest.json"])
        for table in manifest["tables"]:
            text = held[f"{table['name']}.jsonl"]
            table["rows"], table["sha256"] = text.count(b"\n"), hashlib.sha256(text).hexdigest()
        held["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(path, "w:gz") as tar:
        for name, text in held.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
