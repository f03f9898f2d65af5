"""Nothing of an erased tenant is left in any table, whatever was under way; everybody else's rows stay as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from arranging.offboarding_rows import SCHEMAS, Stock, quietly
from arranging.tenancy_rows import APP
from service.errors import OperatorError
from service.offboarding import erasure
from service.offboarding.tables import statements

MARKER = "mArKeR"
_PLANT = {
    "text": "'{0}-' || md5(ctid::text)",
    "jsonb": "jsonb_build_object('{0}', '{0}')",
    "bytea": "convert_to('{0}' || ctid::text, 'UTF8')",
    "text[]": "ARRAY['{0}']",
}
_EVERY_TABLE = """
SELECT format('%I.%I', n.nspname, c.relname)
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


def mark(stock: Stock) -> None:
    """Plant the marker in every column of the tenant that can hold it, whatever the checks say, and let it be sampled."""
    run = stock.superuser.execute
    for (text,) in run(
        "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace::regnamespace::text IN ('app', 'quarry')"
    ).fetchall():
        run(text)
    run("SET session_replication_role = replica")
    for name, table in stock.arranged.tables.items():
        planted = [f"{c} = {_PLANT[t].format(MARKER)}" for c, t in table.types.items() if t in _PLANT]
        if planted:
            run(f"UPDATE {name} SET {', '.join(planted)} WHERE {table.tenant} = %s", [stock.a])
    # The platform reads these two by their values.
    run("UPDATE app.tenants SET status = 'active', plan = 'free' WHERE id = %s", [stock.a])
    run("SET session_replication_role = origin")
    run("ANALYZE")


def found(stock: Stock, text: str) -> set[str]:
    """The tables, and pg_stats, in which the text is found, also as bytes."""
    tables = [name for (name,) in stock.superuser.execute(_EVERY_TABLE)]
    return {
        name
        for name in [*tables, "pg_stats"]
        if stock.one(
            f"SELECT count(*) FROM {name} AS t WHERE strpos(t::text, %s) + strpos(t::text, %s) > 0",
            text, text.encode().hex(),
        )
    }  # fmt: skip


async def test_nothing_is_left_in_any_table(stock: Stock) -> None:
    mark(stock)
    others = stock.bytes_of(stock.b)
    assert found(stock, str(stock.a)) == {*stock.arranged.tables, "pg_stats"}
    without_text = {"app.heads", "quarry.brand_niches", "quarry.influencer_niches"}
    assert found(stock, MARKER) == {*stock.arranged.tables, "pg_stats"} - without_text
    proof = await stock.erase(stock.a)
    assert found(stock, MARKER) == found(stock, str(stock.a)) == set()
    # The other tenant's to the byte, with its log and its number.
    assert stock.bytes_of(stock.b) == others
    assert {each.table for each in proof} == {*stock.arranged.tables, SCHEMAS}
    assert all(each.left == 0 and (each.rows > 0 or each.table == SCHEMAS) for each in proof)


async def test_a_table_that_nobody_thought_of_is_named(stock: Stock) -> None:
    stock.superuser.execute("CREATE TABLE quarry.notes (tenant_id uuid, id uuid)")
    stock.superuser.execute("CREATE TABLE public.hidden (tenant_id uuid)")
    stock.superuser.execute("GRANT SELECT ON quarry.notes TO quarry_owner")
    stock.superuser.execute("INSERT INTO quarry.notes VALUES (%s), (%s)", [stock.a, stock.b])
    proof = await stock.erase(stock.a)
    assert {(each.table, each.left) for each in proof if each.left != 0} == {
        ("quarry.notes", 1),
        ("public.hidden", None),
    }


async def test_a_row_that_can_not_be_left_behind_stops_the_deletion(stock: Stock) -> None:
    stock.superuser.execute("CREATE TABLE quarry.notes (tenant_id uuid REFERENCES app.tenants, id uuid)")
    stock.superuser.execute("INSERT INTO quarry.notes VALUES (%s)", [stock.a])
    before, domain = stock.bytes_of(stock.b), stock.domain(stock.a)
    with pytest.raises(OperatorError, match=f"nothing of {domain} was deleted: rows of notes refer to what was to go"):
        await stock.erase(stock.a)
    assert stock.one("SELECT status FROM app.tenants WHERE id = %s", stock.a) == "active"
    assert all(stock.bytes_of(stock.a).values())
    assert stock.bytes_of(stock.b) == before


async def test_production_deletes_no_tenant_that_is_served(stock: Stock) -> None:
    production = stock.settings.model_copy(update={"environment": "production"})
    domain = stock.domain(stock.a)
    with pytest.raises(OperatorError, match="is active") as caught:
        await stock.erase(stock.a, environment="production")
    assert caught.value.remedy == f"suspend it first: quarry tenants suspend {domain}"
    assert all(stock.bytes_of(stock.a).values())
    for status in ("suspended", "archived"):
        stock.superuser.execute("UPDATE app.tenants SET status = %s WHERE id = %s", [status, stock.a])
        tenant = await erasure.erasable(production, domain)
        assert tenant.id == stock.a
    # Served again, while somebody was asked for a confirmation.
    stock.superuser.execute("UPDATE app.tenants SET status = 'active' WHERE id = %s", [stock.a])
    with pytest.raises(OperatorError, match="is active"):
        await erasure.erase(production, tenant, quietly)
    assert all(stock.bytes_of(stock.a).values())


# Work in flight.


@pytest.fixture
async def flight(stock: Stock) -> AsyncIterator[Any]:
    """A transaction of tenant `a` that is under way, as the serving role."""
    connection = await asyncpg.connect(stock.settings.serving_url(), **APP)
    await connection.execute(f"BEGIN; SET LOCAL app.tenant_id = '{stock.a}'")
    yield connection
    await connection.close()


async def waiting(stock: Stock, count: int = 1) -> None:
    """Until so many transactions wait for a lock."""
    async with asyncio.timeout(20):
        while (
            stock.one(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            < count
        ):
            await asyncio.sleep(0.01)  # fmt: skip


IN_FLIGHT = {
    "an insert": "INSERT INTO otps (phone_index, code_hash, expires_at) VALUES (sha256('p'), sha256('c'), now() + '1 h')",
    "an update": "UPDATE campaigns SET name = 'changed'",
    "a removal": "DELETE FROM sessions",
    "the tenant's own": "UPDATE app.tenants SET name = 'changed'",
}


@pytest.mark.parametrize("text", IN_FLIGHT.values(), ids=IN_FLIGHT)
async def test_rows_of_work_in_flight_do_not_survive(stock: Stock, flight: Any, text: str) -> None:
    # Suspended already: otherwise that alone would wait for work on the tenant's row.
    stock.superuser.execute("UPDATE app.tenants SET status = 'suspended' WHERE id = %s", [stock.a])
    await flight.execute(text)
    erasing = asyncio.create_task(stock.erase(stock.a))
    await waiting(stock)
    await flight.execute("COMMIT")
    assert all(each.left == 0 for each in await erasing)
    assert found(stock, str(stock.a)) == set()


async def test_work_that_begins_meanwhile_leaves_nothing(stock: Stock, flight: Any) -> None:
    # Late in the order: by then everything else is deleted, and nothing of it is visible yet.
    await flight.execute("UPDATE users SET display_name = 'changed'")
    erasing = asyncio.create_task(stock.erase(stock.a))
    await waiting(stock)
    late = await asyncpg.connect(stock.settings.serving_url(), **APP)
    await late.execute(f"BEGIN; SET LOCAL app.tenant_id = '{stock.a}'")
    adding = asyncio.create_task(late.execute(IN_FLIGHT["an insert"]))
    await waiting(stock, 2)
    await flight.execute("COMMIT")
    assert all(each.left == 0 for each in await erasing)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await adding
    await late.close()
    assert found(stock, str(stock.a)) == set()


@pytest.mark.parametrize("text", IN_FLIGHT.values(), ids=IN_FLIGHT)
async def test_work_that_does_not_end_stops_the_deletion(stock: Stock, flight: Any, text: str) -> None:
    domain, before = stock.domain(stock.a), stock.bytes_of(stock.a)["quarry.users"]
    await flight.execute(text)
    with pytest.raises(OperatorError, match=f"work of {domain} is in flight and holds rows; nothing was deleted"):
        await stock.erase(stock.a, database_lock_timeout=0.2)
    assert stock.one("SELECT status FROM app.tenants WHERE id = %s", stock.a) == "active"
    await flight.execute("ROLLBACK")
    assert all(stock.bytes_of(stock.a).values())
    assert stock.bytes_of(stock.a)["quarry.users"] == before


async def test_new_requests_are_refused_while_the_deletion_waits(stock: Stock, flight: Any) -> None:
    await flight.execute("UPDATE users SET display_name = 'changed'")
    erasing = asyncio.create_task(stock.erase(stock.a))
    await waiting(stock)
    assert stock.one("SELECT status FROM app.find_tenant(%s)", stock.domain(stock.a)) == "suspended"
    await flight.execute("ROLLBACK")
    await erasing


def test_the_order_is_one_that_no_cascade_anticipates() -> None:
    assert [name for name in statements("delete") if name in ("number", "changes", "commits", "heads")] == [
        "number", "changes", "commits", "heads",
    ]  # fmt: skip


async def test_a_deletion_counts_what_it_takes(stock: Stock) -> None:
    counts = {name: len(rows) for name, rows in stock.bytes_of(stock.a).items()}
    proof = {each.table: each.rows for each in await stock.erase(stock.a) if each.table != SCHEMAS}
    for name in ("app.changes", "app.commits"):
        # The deletion's own are in the log before they go with it.
        assert proof.pop(name) > counts.pop(name)
    assert proof == counts


async def test_an_unknown_tenant_is_told(stock: Stock) -> None:
    with pytest.raises(OperatorError, match=r"there is no tenant x\.example"):
        await erasure.erasable(stock.settings, "x.example")
