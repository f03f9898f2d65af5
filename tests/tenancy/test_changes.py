"""What the log records of a row: which tables, which columns, and what is no change at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from arranging.tenancy_rows import LOG, Arranged, Table, bound, outcome

TRACKED = (
    "app.tenants", "quarry.api_keys", "quarry.brand_niches", "quarry.brands", "quarry.campaign_influencers",
    "quarry.campaigns", "quarry.contents", "quarry.influencer_niches", "quarry.influencers", "quarry.sessions",
    "quarry.users",
)  # fmt: skip
UNTRACKED = (
    "app.cursors", "quarry.change_tickets", "quarry.idempotency_keys", "quarry.otps", "quarry.sign_in_failures",
)  # fmt: skip
KEPT = ("id", "tenant_id", "created_at", "updated_at", "version")
"""What a row's life cycle keeps; touching it alone is recorded, without the name of a column."""

NO_CHANGE = {
    "last_seen_at": "being seen is not news",
    "last_used_at": "being used is not news",
    "search_name": "follows the name",
    "published_at": "follows the status",
    "is_profile_completed": "follows the rest of the profile",
}
OTHER = {
    "company_type": "'llp'", "currency": "'EUR'", "gender": "'other'", "kind": "'story'", "plan": "'pro'",
    "role": "'viewer'",
    "app.tenants.status": "'suspended'", "quarry.campaign_influencers.status": "'accepted'",
    "quarry.campaigns.status": "'active'", "quarry.contents.status": "'submitted'",
}  # fmt: skip
"""Values that a CHECK asks for."""
BY_TYPE = {
    "bigint": "77", "boolean": "NOT {}", "bytea": "decode('01' || repeat('ab', 31), 'hex')", "date": "'2026-05-05'",
    "inet": "'192.0.2.9'", "jsonb": """'{{"changed": true}}'""", "text": "'changed'",
    "timestamp with time zone": "'2101-01-01'",
}  # fmt: skip


@pytest.fixture(scope="module")
async def root(arranged: Arranged) -> AsyncIterator[Any]:
    """A superuser's connection to the arranged database."""
    connection = await asyncpg.connect(arranged.url, server_settings={"search_path": "quarry"})
    yield connection
    await connection.close()


async def recorded(connection: Any, table: str) -> list[tuple[str, list[str] | None]]:
    """Operation and columns of what this transaction has recorded of a table."""
    rows = await connection.fetch(
        "SELECT operation, columns FROM app.changes"
        " WHERE xid = pg_current_xact_id() AND table_name = $1 ORDER BY ordinal",
        table.partition(".")[2],
    )
    return [(row["operation"], row["columns"]) for row in rows]


def other_value(arranged: Arranged, table: Table, column: str) -> str:
    if column in table.references and column != "niche_id":
        return f"'{arranged.spare[arranged.a][table.name][column]}'"
    known = OTHER.get(f"{table.name}.{column}") or OTHER.get(column)
    return known or BY_TYPE[table.types[column]].format(column)


async def test_every_table_is_either_tracked_or_not(arranged: Arranged) -> None:
    assert set(arranged.tables) == {*TRACKED, *UNTRACKED, *LOG, "app.schemas"}


@pytest.mark.parametrize("name", TRACKED)
async def test_exactly_the_changed_column_is_recorded(arranged: Arranged, root: Any, name: str) -> None:
    table = arranged.tables[name]
    where, key = table.where(arranged.rows[arranged.a][name])
    for column in table.types:
        if column in KEPT or column == "niche_id":  # there is one niche
            continue
        async with bound(root, arranged.a):
            version = f"SELECT version FROM {name} {where}"
            before = await root.fetchval(version, *key)
            await root.execute(f"UPDATE {name} SET {column} = {other_value(arranged, table, column)} {where}", *key)
            expected = [] if column in NO_CHANGE else [("update", [column])]
            assert await recorded(root, name) == expected, column
            assert await root.fetchval(version, *key) == before + len(expected), column


@pytest.mark.parametrize("name", TRACKED)
async def test_several_changed_columns_are_all_recorded(arranged: Arranged, root: Any, name: str) -> None:
    table = arranged.tables[name]
    columns = [
        c for c in table.types if c not in KEPT and c not in NO_CHANGE and c not in ("niche_id", "deleted_at", "status")
    ]
    where, key = table.where(arranged.rows[arranged.a][name])
    async with bound(root, arranged.a):
        given = ", ".join(f"{column} = {other_value(arranged, table, column)}" for column in columns)
        await root.execute(f"UPDATE {name} SET {given or 'updated_at = updated_at'} {where}", *key)
        found = await recorded(root, name)
    assert [set(each or ()) - set(NO_CHANGE) for _, each in found] == ([set(columns)] if columns else [])


@pytest.mark.parametrize("name", TRACKED)
async def test_insert_and_delete_are_recorded_without_columns(arranged: Arranged, root: Any, name: str) -> None:
    table = arranged.tables[name]
    row = arranged.spare[arranged.a][name]
    if name == "app.tenants":
        row = {**row, "id": "00000000-0000-0000-0000-00000000000c"}
    where, key = table.where(row)
    async with bound(root, arranged.a):
        text, values = table.insert(row)
        await root.execute(text, *values)
        await root.execute(f"DELETE FROM {name} {where}", *key)
        assert await recorded(root, name) == [("insert", None), ("delete", None)]


@pytest.mark.parametrize("name", UNTRACKED)
async def test_an_untracked_table_leaves_nothing_in_the_log(arranged: Arranged, root: Any, name: str) -> None:
    table = arranged.tables[name]
    async with bound(root, arranged.a):
        text, values = table.insert(arranged.spare[arranged.a][name])
        await root.execute(text, *values)
        await root.execute(f"DELETE FROM {name}")
        assert await root.fetchval("SELECT count(*) FROM app.changes WHERE xid = pg_current_xact_id()") == 0


@pytest.mark.parametrize("column", ["version", "created_at", "id", "tenant_id"])
@pytest.mark.parametrize("name", [*TRACKED, *UNTRACKED])
async def test_the_serving_role_does_not_set_what_the_life_cycle_keeps(
    arranged: Arranged, app: Any, name: str, column: str
) -> None:
    if column in arranged.tables[name].types:
        async with bound(app, arranged.a):
            assert (await outcome(app, f"UPDATE {name} SET {column} = {column}", [])).code == "42501"


@pytest.mark.parametrize("column", ["version", "created_at", "updated_at"])
@pytest.mark.parametrize("name", [*TRACKED, *UNTRACKED])
async def test_the_serving_role_does_not_insert_what_the_life_cycle_keeps(
    arranged: Arranged, app: Any, name: str, column: str
) -> None:
    if column in arranged.tables[name].types:
        async with bound(app, arranged.a):
            assert (await outcome(app, f"INSERT INTO {name} ({column}) VALUES (DEFAULT)", [])).code == "42501"


@pytest.mark.parametrize("name", TRACKED)
async def test_not_even_a_superuser_moves_a_row_or_sets_its_version(arranged: Arranged, root: Any, name: str) -> None:
    table = arranged.tables[name]
    where, key = table.where(arranged.rows[arranged.a][name])
    for column in {table.tenant, "id"}:
        async with bound(root, arranged.a):
            assert (await outcome(root, f"UPDATE {name} SET {column} = gen_random_uuid() {where}", key)).code == "TN004"
    async with bound(root, arranged.a):
        before = await root.fetchval(f"SELECT version FROM {name} {where}", *key)
        await root.execute(f"UPDATE {name} SET version = 77, created_at = '2000-01-01' {where}", *key)
        row = await root.fetchrow(f"SELECT version, created_at FROM {name} {where}", *key)
        assert (row["version"], row["created_at"].year > 2000) == (before + 1, True)


async def test_what_a_cascade_deletes_is_recorded(arranged: Arranged, root: Any) -> None:
    content = arranged.rows[arranged.a]["quarry.contents"]
    async with bound(root, arranged.a):
        await root.execute("DELETE FROM campaigns WHERE id = $1::text::uuid", content["campaign_id"])
        assert await recorded(root, "quarry.campaigns") == [("delete", None)]
        assert await recorded(root, "quarry.contents") == [("delete", None)]


async def test_an_upsert_is_recorded_as_what_it_did(arranged: Arranged, root: Any) -> None:
    table = arranged.tables["quarry.users"]
    conflict = "ON CONFLICT (tenant_id, id) DO UPDATE SET display_name = 'upserted'"
    async with bound(root, arranged.a):
        for row in (arranged.rows, arranged.spare):
            text, values = table.insert(row[arranged.a][table.name], conflict)
            await root.execute(text, *values)
        assert await recorded(root, table.name) == [("update", ["display_name"]), ("insert", None)]


async def test_a_merge_is_recorded_as_what_it_did(arranged: Arranged, app: Any) -> None:
    row = arranged.rows[arranged.a]["quarry.campaigns"]
    async with bound(app, arranged.a):
        await app.execute(
            "MERGE INTO campaigns AS c USING (VALUES ($1::text::uuid)) AS v (id) ON c.id = v.id"
            " WHEN MATCHED THEN UPDATE SET name = 'merged'",
            row["id"],
        )
        assert await recorded(app, "quarry.campaigns") == [("update", ["name"])]


async def test_ordinals_count_on_per_tenant_over_the_statements_of_a_transaction(arranged: Arranged, root: Any) -> None:
    rename = "UPDATE users SET display_name = display_name || '!'"
    async with bound(root, None):
        for step in range(30):
            await root.execute(rename if step % 3 else f"{rename} WHERE tenant_id = '{arranged.a}'")
            await root.execute(f"SAVEPOINT undone; {rename}; ROLLBACK TO undone")
        rows = await root.fetch(
            "SELECT tenant_id::text, array_agg(ordinal ORDER BY ordinal) FROM app.changes"
            " WHERE xid = pg_current_xact_id() GROUP BY tenant_id"
        )
        users = dict(await root.fetch("SELECT tenant_id::text, count(*) FROM users GROUP BY tenant_id"))
    assert dict(rows) == {
        arranged.a: list(range(1, 30 * users[arranged.a] + 1)),
        arranged.b: list(range(1, 20 * users[arranged.b] + 1)),
    }


@pytest.mark.parametrize("name", TRACKED)
async def test_not_even_a_superuser_truncates_what_is_tracked(arranged: Arranged, root: Any, name: str) -> None:
    for cascade in ("", "CASCADE") if await is_referred_to(root, name) is False else ("CASCADE",):
        async with bound(root, None):
            found = await outcome(root, f"TRUNCATE {name} {cascade}", [])
        assert (found.code, found.told[0]) == (
            "TN007", f"TRUNCATE of {name.partition('.')[2]} would not be recorded",
        )  # fmt: skip


@pytest.mark.parametrize("name", ["app.niches", "quarry.otps", "quarry.sign_in_failures"])
async def test_a_truncate_that_would_reach_a_tracked_table_is_refused(arranged: Arranged, root: Any, name: str) -> None:
    async with bound(root, None):
        reaches = await is_referred_to(root, name)
        found = await outcome(root, f"TRUNCATE {name} CASCADE", [])
    assert found.code == ("TN007" if reaches else "TRUNCATE TABLE")


async def is_referred_to(connection: Any, name: str) -> bool:
    """Whether a foreign key leads to the table, so that TRUNCATE needs CASCADE."""
    text = "SELECT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND confrelid = $1::text::regclass)"
    return bool(await connection.fetchval(text, name))
