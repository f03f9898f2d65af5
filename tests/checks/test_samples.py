"""Sample rows: as many as asked for, of all kinds, within every constraint, and each marked with its tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from service.checks.runs import samples
from service.checks.runs.samples import SampleError, Sampler
from service.settings.settings import Settings

A, B = UUID(int=0xA), UUID(int=0xB)
SHARED = {"app.niches": 60, "app.installation": 1}
SINGLE = {"app.tenants", "app.heads", "app.schemas"}
ALWAYS_NULL_OR_NEVER = {
    "app.installation.keys_check": "its one row is there before, and no keys have met it",
    "app.installation.purged_at": "the same row",
}
SAME_FOR_ALL = {
    "quarry.campaigns.currency": "three currencies",
    "quarry.campaign_influencers.currency": "three currencies",
    "quarry.brand_niches.niche_id": "tenants share the niches",
    "quarry.influencer_niches.niche_id": "tenants share the niches",
}

TABLES = """
SELECT n.nspname || '.' || c.relname AS name, c.oid,
       CASE WHEN c.relname = 'tenants' THEN 'id' ELSE 'tenant_id' END AS tenant
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname IN ('app', 'quarry') AND c.relname !~ 'yoyo|_migration_checksums' ORDER BY 1
"""
COLUMNS = """
SELECT a.attname AS name, a.attnum AS number, NOT a.attnotnull AS is_nullable, format_type(a.atttypid, NULL) AS type,
       EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND a.attnum = ANY (k.conkey)
                  AND pg_get_constraintdef(k.oid) ~ 'ANY .*ARRAY') AS is_listed
  FROM pg_attribute AS a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
REFERENCES = """
SELECT k.conname, format('SELECT count(*) FROM %s AS c WHERE %s AND NOT EXISTS (SELECT FROM %s AS p WHERE %s)',
                         k.conrelid::regclass, string_agg(format('c.%I IS NOT NULL', c.attname), ' AND '),
                         k.confrelid::regclass, string_agg(format('p.%I = c.%I', p.attname, c.attname), ' AND ')) AS dangling
  FROM pg_constraint AS k CROSS JOIN unnest(k.conkey, k.confkey) AS u (child, parent)
  JOIN pg_attribute AS c ON c.attrelid = k.conrelid AND c.attnum = u.child
  JOIN pg_attribute AS p ON p.attrelid = k.confrelid AND p.attnum = u.parent
 WHERE k.contype = 'f' GROUP BY k.oid, k.conname, k.conrelid, k.confrelid
"""


@dataclass
class Filled:
    """A database with 60 rows of the tenants A and B in each table, and who made them."""

    connection: Any
    sampler: Sampler

    async def dangling(self) -> dict[str, int]:
        """Foreign keys that lead nowhere, and how often; there are some that lead somewhere."""
        found = await self.connection.fetch(REFERENCES)
        assert len(found) > 20
        counts = {row["conname"]: await self.connection.fetchval(row["dangling"]) for row in found}
        return {name: count for name, count in counts.items() if count}

    async def counts(self) -> dict[str, list[int]]:
        """By table how many rows there are: in all where they are shared, else of A and of B."""
        found = {}
        for row in await self.connection.fetch(TABLES):
            where = [""] if row["name"] in SHARED else [f"WHERE {row['tenant']} = '{each}'" for each in (A, B)]
            found[row["name"]] = [
                await self.connection.fetchval(f"SELECT count(*) FROM {row['name']} {each}") for each in where
            ]
        return found


@pytest.fixture
async def root(superuser: Any, settings: Settings) -> AsyncIterator[Any]:
    """A connection as superuser to this test's database."""
    connection = await asyncpg.connect(settings.administration().url)
    yield connection
    await connection.close()


@pytest.fixture
async def filled(root: Any) -> Filled:
    sampler = await Sampler.of(root)
    await sampler.fill(root, [A, B], 60)
    return Filled(root, sampler)


def expected(name: str, rows: int) -> list[int]:
    if name in SINGLE:
        return [1, 1]
    return [min(rows, SHARED[name] if SHARED[name] == 1 else rows)] if name in SHARED else [rows, rows]


async def test_every_table_has_the_rows_asked_for(filled: Filled) -> None:
    counts = await filled.counts()
    assert len(counts) > 15
    assert counts == {name: expected(name, 60) for name in counts}


async def test_a_later_call_adds_rows(filled: Filled) -> None:
    await filled.sampler.fill(filled.connection, [A, B], 40, first=61)
    counts = await filled.counts()
    assert counts == {name: expected(name, 100) for name in counts}
    assert not await filled.dangling()
    assert await filled.connection.fetchval("SELECT min(head) FROM app.heads") == 100


async def test_a_later_tenant_is_added(root: Any) -> None:
    await samples.fill(root, "quarry", [A], 60)
    await samples.fill(root, "quarry", [B], 60)
    counts = await Filled(root, await Sampler.of(root)).counts()
    assert counts == {name: expected(name, 60) for name in counts}


async def test_what_may_be_null_is_so_in_some_rows_and_not_in_others(filled: Filled) -> None:
    alike = set()
    for table in await filled.connection.fetch(TABLES):
        for column in await filled.connection.fetch(COLUMNS, table["oid"]):
            if column["is_nullable"]:
                seen = await filled.connection.fetch(f"SELECT DISTINCT {column['name']} IS NULL FROM {table['name']}")
                alike |= {f"{table['name']}.{column['name']}"} if len(seen) < 2 else set()
    assert alike == set(ALWAYS_NULL_OR_NEVER)


async def test_every_combination_of_two_nulls_comes_up(filled: Filled) -> None:
    seen = await filled.connection.fetch(
        "SELECT DISTINCT (starts_on IS NULL) AS a, (ends_on IS NULL) AS b, deleted_at IS NULL AS c FROM quarry.campaigns"
    )
    assert len(seen) == 8


async def test_values_from_a_list_all_come_up(filled: Filled) -> None:
    values = await filled.connection.fetchval(
        "SELECT array_agg(DISTINCT company_type ORDER BY company_type) FROM quarry.brands WHERE company_type IS NOT NULL"
    )
    assert values == ["llp", "other", "partnership", "private_limited", "public_limited", "sole_proprietorship"]
    flags = "(is_phone_verified, is_profile_completed, is_active)"
    assert await filled.connection.fetchval(f"SELECT count(DISTINCT {flags}) FROM quarry.brands") == 8
    tenants = await filled.connection.fetch("SELECT DISTINCT status, plan FROM app.tenants")
    assert [tuple(row) for row in tenants] == [("active", "free")]


async def test_foreign_keys_lead_somewhere(filled: Filled) -> None:
    assert not await filled.dangling()


async def test_rows_are_younger_the_later_they_come_and_some_as_old_as_their_neighbours(filled: Filled) -> None:
    for table in ("campaigns", "campaign_influencers", "sessions"):
        ages = [
            row["created_at"]
            for row in await filled.connection.fetch(
                f"SELECT created_at FROM quarry.{table} WHERE tenant_id = $1 ORDER BY ctid", A
            )
        ]
        assert ages == sorted(ages)
        assert len(set(ages)) == 20


async def test_sessions_are_both_over_and_going_on(filled: Filled) -> None:
    seen = await filled.connection.fetch(
        "SELECT DISTINCT expires_at > now(), last_seen_at > now(), revoked_at IS NULL FROM quarry.sessions"
    )
    assert len(seen) == 8


async def test_values_are_marked_with_their_tenant(filled: Filled) -> None:
    unmarked = set()
    for table in await filled.connection.fetch(TABLES):
        for column in await filled.connection.fetch(COLUMNS, table["oid"]):
            name = f"{table['name']}.{column['name']}"
            if table["name"] in SHARED or column["name"] == table["tenant"] or column["is_listed"]:
                continue
            if column["type"] in ("text", "uuid", "bytea", "text[]", "jsonb"):
                text = f"encode({column['name']}, 'hex')" if column["type"] == "bytea" else f"{column['name']}::text"
                marks = f"CASE {table['tenant']} WHEN '{A}' THEN '{samples.mark(A)}' ELSE '{samples.mark(B)}' END"
                ours = f"{table['tenant']} IN ('{A}', '{B}')"
                query = f"SELECT count(*) FROM {table['name']} WHERE {ours} AND strpos({text}, {marks}) = 0"
                unmarked |= {name} if await filled.connection.fetchval(query) else set()
    assert unmarked == set(SAME_FOR_ALL)


async def test_the_log_counts_and_numbers_itself(filled: Filled) -> None:
    gaps = await filled.connection.fetchval("""
        SELECT count(*) FROM app.heads AS h
         WHERE (h.head, 1, h.head) <> (SELECT max(number), min(number), count(*) FROM app.commits AS c
                                         WHERE c.tenant_id = h.tenant_id)""")
    assert gaps == 0
    ordinals = await filled.connection.fetch("""
        SELECT c.number, array_agg(h.ordinal ORDER BY h.ordinal) AS ordinals
          FROM app.changes AS h LEFT JOIN app.commits AS c ON c.tenant_id = h.tenant_id AND c.xid = h.xid
         GROUP BY h.tenant_id, c.number""")
    assert all(row["number"] and row["ordinals"] == list(range(1, len(row["ordinals"]) + 1)) for row in ordinals)
    commits = await filled.connection.fetchval(
        "SELECT count(*) FROM app.commits WHERE xid >= '9223372036854775808'::xid8"
    )
    assert len(ordinals) == commits


async def test_transactions_go_on_numbering_after_the_last_row(filled: Filled) -> None:
    await filled.connection.execute(f"UPDATE quarry.users SET display_name = 'x' WHERE tenant_id = '{A}'")
    assert await filled.connection.fetchval("SELECT head FROM app.heads WHERE tenant_id = $1", A) == 61
    [own, *sampled] = await filled.connection.fetch("SELECT xid FROM app.commits ORDER BY tenant_id, number DESC")
    assert own["xid"] < 2**63 < min(row["xid"] for row in sampled)


async def test_a_value_is_picked_by_tenant_and_number(filled: Filled) -> None:
    [relation, number] = await filled.connection.fetchrow("""
        SELECT attrelid, attnum FROM pg_attribute WHERE attrelid = 'quarry.users'::regclass AND attname = 'display_name'""")
    picked = [await filled.sampler.pick(filled.connection, relation, number, tenant, n)
              for tenant in (A, B) for n in (1, 7, 61)]  # fmt: skip
    assert picked == [f"display_name {samples.mark(tenant)} {n}" for tenant in (A, B) for n in (1, 4, 1)]
    with pytest.raises(SampleError, match="no rows"):
        await filled.sampler.pick(filled.connection, relation, number, UUID(int=0xC), 1)


async def test_triggers_are_off_for_the_filling_alone(filled: Filled) -> None:
    async with filled.connection.transaction():
        await filled.sampler.fill(filled.connection, [A, B], 1, first=61)
        assert await filled.connection.fetchval("SHOW session_replication_role") == "origin"
        with pytest.raises(asyncpg.UniqueViolationError):
            await filled.sampler.fill(filled.connection, [A, B], 1, first=61)
        assert await filled.connection.fetchval("SHOW session_replication_role") == "origin"


async def test_finding_out_changes_nothing(root: Any) -> None:
    before = await root.fetchval("SELECT array_agg(oid ORDER BY oid) FROM pg_class")
    await Sampler.of(root)
    assert await root.fetchval("SELECT array_agg(oid ORDER BY oid) FROM pg_class") == before
    assert await root.fetchval("SELECT count(*) FROM app.niches") == 0


ODD = """
CREATE TABLE quarry.odd (
    tenant_id uuid NOT NULL, id uuid PRIMARY KEY, above_id uuid REFERENCES quarry.odd (id), user_id uuid NOT NULL,
    fee bigint, currency varchar(3) CHECK (currency ~ '^[A-Z]+$'), phone text, email text, first date, last date,
    rate numeric(8, 2), doubled numeric GENERATED ALWAYS AS (rate * 2) STORED, "odd one" smallint UNIQUE,
    kind text CHECK (kind IN ('it''s', 'b, c')), done_at timestamptz, tags text[], others uuid[], number integer,
    identity bigint GENERATED ALWAYS AS IDENTITY,
    CONSTRAINT odd_fee_check CHECK ((fee IS NULL) = (currency IS NULL)),
    CONSTRAINT odd_phone_check CHECK (phone ~ '^\\+[1-9][0-9]{6,14}$'),
    CONSTRAINT odd_email_check CHECK (num_nonnulls(phone, email) = 1),
    CONSTRAINT odd_last_check CHECK (last >= first + 100),
    length_cm integer NOT NULL CHECK (length_cm BETWEEN 100 AND 20000), price bigint CHECK (price < -5 AND price > -90),
    CONSTRAINT odd_number_check CHECK (number BETWEEN 0 AND 1),
    UNIQUE (tenant_id, user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES quarry.users (tenant_id, id)
);
"""


async def test_constraints_of_a_new_table_are_found_out(root: Any) -> None:
    await root.execute(ODD)
    await samples.fill(root, "quarry", [A], 60)
    assert not await Filled(root, await Sampler.of(root)).dangling()
    seen = await root.fetchrow("""
        SELECT count(*) AS rows, count(fee) AS fees, count(phone) AS phones, count(email) AS emails,
               count(last - first) AS spans, count(DISTINCT user_id) AS users, count("odd one") AS ones, count(kind) AS kinds
          FROM quarry.odd""")
    assert (seen["rows"], seen["users"]) == (60, 60)
    assert all(0 < seen[name] < 60 for name in ("fees", "phones", "emails", "spans", "ones", "kinds"))


async def test_rows_refer_to_rows_that_a_sequence_numbers(root: Any) -> None:
    await root.execute("""
        CREATE TABLE quarry.one (tenant_id uuid NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (tenant_id, id));
        CREATE TABLE quarry.two (tenant_id uuid NOT NULL, id smallserial PRIMARY KEY, one_id bigint NOT NULL,
                                 FOREIGN KEY (tenant_id, one_id) REFERENCES quarry.one);""")
    await samples.fill(root, "quarry", [A], 60)
    assert not await Filled(root, await Sampler.of(root)).dangling()
    # A statement that draws a number from the sequence does not meet a sample row.
    await root.execute("INSERT INTO quarry.two (tenant_id, one_id) SELECT tenant_id, id FROM quarry.one LIMIT 1")
    assert await root.fetchval("SELECT count(*) FROM quarry.two") == 61


NARROW = {
    "few digits": "rate numeric(5, 4) NOT NULL, share numeric(4, 2), UNIQUE (tenant_id, rate)",
    "few characters": "code varchar(3) NOT NULL, UNIQUE (tenant_id, code)",
    "two that differ": (
        "one uuid NOT NULL REFERENCES quarry.users (id), other uuid NOT NULL REFERENCES quarry.users (id), CHECK (one <> other)"
    ),
    "a row for each tenant": "kind text NOT NULL DEFAULT 'default' CHECK (kind = 'default'), UNIQUE (tenant_id, kind)",
}


@pytest.mark.parametrize("what", NARROW)
async def test_rows_fit_into_narrow_columns(root: Any, what: str) -> None:
    await root.execute("ALTER TABLE quarry.users ADD UNIQUE (id)")
    await root.execute(f"CREATE TABLE quarry.narrow (tenant_id uuid NOT NULL, id uuid PRIMARY KEY, {NARROW[what]})")
    await samples.fill(root, "quarry", [A, B], 60)
    assert await root.fetchval("SELECT count(*) FROM quarry.narrow") == (2 if what == "a row for each tenant" else 120)


async def test_a_constraint_that_nothing_satisfies_is_named(root: Any) -> None:
    await root.execute("ALTER TABLE quarry.users ADD CONSTRAINT users_odd_check CHECK (display_name = id::text || 'x')")
    with pytest.raises(SampleError, match=r"quarry\.users.*users_odd_check.*id, display_name"):
        await Sampler.of(root)


async def test_a_type_that_is_unknown_is_named(root: Any) -> None:
    await root.execute("ALTER TABLE quarry.users ADD COLUMN place pg_snapshot")
    with pytest.raises(SampleError, match=r"quarry\.users.*pg_snapshot"):
        await Sampler.of(root)
