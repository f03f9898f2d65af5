"""What should not be in a migrated database, planted."""

from __future__ import annotations

import pytest

from checks.planting import Garden
from service.checks.proofs import catalog
from service.checks.rules import leftovers

NOTES = "CREATE TABLE notes (tenant_id uuid NOT NULL, id uuid NOT NULL, owner_id uuid, PRIMARY KEY (tenant_id, id));"
FOREIGN_KEY = "ALTER TABLE notes ADD FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id)"
PLANTED = {
    "rule-on-table": "CREATE RULE odd AS ON DELETE TO campaigns DO ALSO NOTIFY odd",
    "trigger-disabled": "ALTER TABLE campaigns DISABLE TRIGGER record_update",
    "constraint-not-validated": "ALTER TABLE campaigns ADD CONSTRAINT odd CHECK (name <> '') NOT VALID",
    "foreign-key-unindexed": f"{NOTES} {FOREIGN_KEY} ON DELETE CASCADE",
    "privilege-unneeded": "GRANT TRUNCATE ON campaigns TO quarry_app",
    "privilege-by-default": "ALTER DEFAULT PRIVILEGES IN SCHEMA quarry GRANT SELECT ON TABLES TO quarry_app",
    "view-with-owners-rights": "CREATE VIEW seen AS SELECT id FROM campaigns; GRANT SELECT ON seen TO quarry_app",
    "function-volatility": "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT count(*) FROM quarry.users'",
}


async def codes(garden: Garden, ddl: str) -> list[str]:
    async with garden.with_ddl(ddl):
        return [each.code for each in await leftovers.check(garden.connection, await catalog.load(garden.connection))]


async def test_the_schema_as_it_stands_has_no_leftovers(garden: Garden) -> None:
    found = await leftovers.check(garden.connection, await catalog.load(garden.connection))
    assert found == []


@pytest.mark.parametrize("code", PLANTED)
async def test_a_leftover_is_told(garden: Garden, code: str) -> None:
    assert set(await codes(garden, PLANTED[code])) == {code}


async def test_a_foreign_key_with_an_index_is_well(garden: Garden) -> None:
    index = "CREATE INDEX ON notes (tenant_id, owner_id) WHERE (owner_id IS NOT NULL)"
    assert await codes(garden, f"{NOTES} {FOREIGN_KEY}; {index}") == []
