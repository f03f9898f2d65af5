"""Every statement whose answers are cached: the tables that it is said to read, and that it answers the same either way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import new_class
from typing import Any
from uuid import UUID, uuid4

import pytest

from arranging.accounts import NewTenant
from arranging.caching import CACHED, Process, process
from arranging.factories import Factory
from changes.followers import NEVER
from service.cache import cache as cache_module
from service.cache import watermarks
from service.database.database import Database
from service.settings.settings import Settings
from service.statements import query_files
from service.statements.cached import Cached, tables
from service.statements.repository import Repository, query
from service.statements.rows import Row
from service.statements.statement import StatementError
from service.work import Work

HASH, IDLE, SEEN_EVERY = b"\x01" * 32, timedelta(hours=1), timedelta(minutes=1)
SAMPLES = {
    "uuid": uuid4(), "timestamptz": datetime.now(UTC), "interval": IDLE, "int8": 50, "int4": 50, "bool": True,
    "text": "draft", "bytea": HASH,
}  # fmt: skip
"""A value of each type that parameters have."""


@dataclass
class World:
    """Some rows of everything."""

    tenant: NewTenant
    campaign: UUID
    content: UUID
    brand: UUID
    influencer: UUID
    niche: UUID


ASKED: dict[str, Callable[[Work, World], Any]] = {
    "api_keys.authenticate": lambda work, _: work.api_keys.authenticate(HASH, seen_every=SEEN_EVERY),
    "brands.find": lambda work, world: work.brands.find(world.brand),
    "brands.page": lambda work, _: work.brands.page(limit=4),
    "campaign_influencers.page": lambda work, world: work.campaign_influencers.page(world.campaign, limit=4),
    "campaigns.find": lambda work, world: work.campaigns.find(world.campaign),
    "campaigns.page": lambda work, _: work.campaigns.page(status="draft", limit=4),
    "contents.find": lambda work, world: work.contents.find(world.campaign, world.content),
    "contents.page": lambda work, world: work.contents.page(world.campaign, limit=4),
    "influencers.find": lambda work, world: work.influencers.find(world.influencer),
    "influencers.page": lambda work, _: work.influencers.page(limit=4),
    "niches.find": lambda work, world: work.niches.find(world.niche),
    "niches.page": lambda work, _: work.niches.page(limit=4),
    "sessions.authenticate": lambda work, _: work.sessions.authenticate(HASH, idle=IDLE, seen_every=SEEN_EVERY),
    "tenants.current": lambda work, _: work.tenants.current(),
    "users.find": lambda work, world: work.users.find(world.tenant.owner.id),
    "users.page": lambda work, _: work.users.page(limit=4),
}


@pytest.fixture
async def world(new: Factory, database: Database, add_niche: Callable[[str], UUID]) -> World:
    acme = await new.tenant("acme")
    niches = [add_niche(name) for name in ("Tea", "Art", "Zoo", "Golf", "Chess", "Jazz")]
    for n in range(5):
        campaign, brand = await new.campaign(acme, f"Campaign {n}"), await new.brand(acme, niche_ids=niches[n:])
        influencer = await new.influencer(acme, niche_ids=niches[n:])
        await new.user(acme.id, email=f"user{n}@example.com")
    for n in range(5):
        content = await new.content(acme, campaign, title=f"Content {n}")
        other = await new.influencer(acme)
        async with Work(database, acme.id) as work:
            await work.campaign_influencers.put(campaign.id, other.id, fee_minor=n, currency="EUR")
    later = datetime.now(UTC) + timedelta(hours=1)
    async with Work(database, acme.id) as work:
        await work.sessions.create(
            user_id=acme.owner.id, password_hash=acme.password_hash, token_hash=HASH, token_mac=HASH, ip=None,
            user_agent=None,
            lifetime=timedelta(hours=1),
        )  # fmt: skip
        await work.api_keys.create(
            name="Key", role="admin", key_hash=HASH, key_mac=HASH, created_by=acme.owner.id, expires_at=later
        )  # fmt: skip
    return World(acme, campaign.id, content.id, brand.id, influencer.id, niches[5])


@pytest.fixture
async def reader(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Process]:
    """A process in whose cache nothing ends because of the time."""
    monkeypatch.setattr(watermarks, "LEASE", NEVER)
    now = cache_module.time.monotonic()
    monkeypatch.setattr(cache_module, "time", type("Still", (), {"monotonic": lambda _: now})())
    async with process(settings) as opened:
        yield opened


def read_by(plan: dict[str, Any]) -> Iterator[str]:
    """The tables in a plan, as EXPLAIN shows it."""
    if "Relation Name" in plan:
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from read_by(part)


def test_every_cached_statement_is_asked_here() -> None:
    assert ASKED.keys() == CACHED.keys()


@pytest.mark.parametrize("label", CACHED)
async def test_it_reads_the_tables_that_it_is_said_to_read(database: Database, new: Factory, label: str) -> None:
    acme, statement = await new.tenant("acme"), CACHED[label].statement
    async with Work(database, acme.id, read_only=True) as work:
        raw = work.connection.raw
        for variant in statement.variants.values():
            types = [each.name for each in (await raw.prepare(variant.text)).get_parameters()]
            plan = await raw.fetchval(f"EXPLAIN (FORMAT JSON) {variant.text}", *(SAMPLES[name] for name in types))
            assert set(read_by(json.loads(plan)[0]["Plan"])) == set(tables(statement)), variant.text


@pytest.mark.parametrize("label", CACHED)
async def test_it_answers_the_same_rows_in_the_same_order(
    database: Database, reader: Process, world: World, label: str
) -> None:
    async with Work(database, world.tenant.id, read_only=True) as work:
        plain = await ASKED[label](work, world)
    assert plain
    assert not label.endswith("page") or len(plain) >= 4
    for _ in range(2):
        assert await reader.read(world.tenant, lambda work: ASKED[label](work, world)) == plain
    assert reader.asked[label] == 1


@pytest.mark.parametrize("label", CACHED)
async def test_it_is_asked_again_after_a_change_of_any_row_that_is_in_its_answer(
    reader: Process, world: World, superuser: Any, label: str
) -> None:
    for n, table in enumerate(tables(CACHED[label].statement), 1):
        await reader.catch_up(world.tenant)
        for _ in range(2):
            await reader.read(world.tenant, lambda work: ASKED[label](work, world))
        assert reader.asked[label] == n
        schema = "app" if table in ("niches", "tenants") else "quarry"
        superuser.execute(f"UPDATE {schema}.{table} SET created_at = created_at + interval '1 second'")
        superuser.commit()
    await reader.catch_up(world.tenant)
    await reader.read(world.tenant, lambda work: ASKED[label](work, world))
    assert reader.asked[label] == n + 1


@pytest.mark.parametrize("label", [label for label, method in CACHED.items() if method.cached.row])
async def test_a_row_stays_while_others_of_its_table_change(
    reader: Process, world: World, superuser: Any, label: str
) -> None:
    table = tables(CACHED[label].statement)[0]
    found = await reader.read(world.tenant, lambda work: ASKED[label](work, world))
    await reader.catch_up(world.tenant)
    await reader.read(world.tenant, lambda work: ASKED[label](work, world))
    before = reader.asked[label]
    superuser.execute(f"UPDATE quarry.{table} SET created_at = now() WHERE id <> %s", [found.id])
    superuser.commit()
    await reader.catch_up(world.tenant)
    await reader.read(world.tenant, lambda work: ASKED[label](work, world))
    assert reader.asked[label] == before


@pytest.mark.parametrize(("kind", "id"), [("brands", "brand"), ("influencers", "influencer")])
async def test_a_niche_that_psql_takes_from_a_profile_is_gone_from_it(
    reader: Process, world: World, superuser: Any, kind: str, id: str
) -> None:
    await reader.catch_up(world.tenant)
    before = await reader.read(world.tenant, lambda work: ASKED[f"{kind}.find"](work, world))
    assert len(before.niches) == 2
    superuser.execute(f"DELETE FROM quarry.{id}_niches WHERE {id}_id = %s", [before.id])
    superuser.commit()
    await reader.catch_up(world.tenant)
    assert (await reader.read(world.tenant, lambda work: ASKED[f"{kind}.find"](work, world))).niches == []


class Thing(Row):
    id: int


def define(sql: str, method: Callable[..., Any], cached: Cached) -> Any:
    """The only method of a repository of one statement."""
    file = query_files.parse(f"-- repository: Things\n-- Things are for tests.\n\n{sql}\n", Path("things.sql"))
    namespace = {method.__name__: query(cached=cached)(method)}
    bases = {"aggregate": "things", "file": file}
    return vars(new_class("Things", (Repository,), bases, lambda ns: ns.update(namespace)))[method.__name__]


async def find(self: Any, id: int) -> Thing: ...
async def touch(self: Any) -> int: ...
async def every(self: Any) -> list[Thing]: ...


FIND = "-- name: find :one\n-- One thing.\nSELECT {} FROM {} WHERE t.tenant_id = :tenant_id AND t.id = :id;"


@pytest.mark.parametrize(("columns", "source", "found"), [
    ("t.id", "things AS t", ("things",)),
    ("t.id", "app.things AS t JOIN parts AS p ON p.id = t.id", ("things", "parts")),
    ("t.id, (SELECT count(*) FROM parts AS p) AS id2", "things AS t", ("things", "parts")),
    ("t.id, (SELECT max((SELECT 1 FROM deep)) FROM parts)", "things AS t", ("things", "parts", "deep")),
    ("t.id, (SELECT id FROM things LIMIT 1)", "others AS t", ("others", "things")),
    ("t.id, 'FROM text', (1)", "things AS t -- FROM remarks", ("things",)),
])  # fmt: skip
def test_the_tables_of_a_statement_are_named_from_the_outside_in(columns: str, source: str, found: tuple) -> None:
    assert (
        tables(define(FIND.format(columns, source.replace(" --", "\n --") + "\n"), find, Cached()).statement) == found
    )


@pytest.mark.parametrize(("sql", "method", "cached", "message"), [
    ("-- name: touch :count\n-- Touches things.\nUPDATE things SET at = now() WHERE tenant_id = :tenant_id;",
     touch, Cached(), "can't be cached"),
    ("-- name: every :many\n-- scope: platform\n-- All things.\nSELECT id FROM things;", every, Cached(), "no tenant"),
    (FIND.format("id", "things AS t"), find, Cached(row="thing_id"), "':thing_id' names"),
    (FIND.format("t.id", "things AS t, parts AS p"), find, Cached(), "comma between tables"),
    (FIND.format("t.id", "things AS t, parts AS p").replace("FROM", "from"), find, Cached(), "comma between tables"),
    (FIND.format("t.id", "app.niches AS t"), find, Cached(row="id"), "reads no table of a tenant"),
    (FIND.format("t.id, (SELECT max(1) FROM a CROSS JOIN b, c)", "things AS t"), find, Cached(), "comma between tables"),
])  # fmt: skip
def test_what_can_not_be_cached_is_refused_where_it_is_defined(
    sql: str, method: Callable[..., Any], cached: Cached, message: str
) -> None:
    with pytest.raises(StatementError, match=message):
        define(sql, method, cached)


@pytest.mark.parametrize(
    "columns", ["substring(t.id FROM 1), t.id", "t.id IS DISTINCT FROM 1, t.id", "(SELECT 1 FROM a), t.id"]
)
def test_a_comma_elsewhere_is_none_between_tables(columns: str) -> None:
    assert define(FIND.format(columns, "things AS t JOIN unnest(t.a, t.b) AS u (x, y) ON true"), find, Cached()).cached


def test_that_answers_are_cached_is_said_beside_the_method_and_nowhere_else() -> None:
    sql = FIND.format("id", "things AS t")
    assert define(sql, find, Cached(row="id")).cached == Cached(row="id")
    file = query_files.parse(f"-- repository: Things\n-- Things are for tests.\n\n{sql}\n", Path("things.sql"))
    things = new_class(
        "Things", (Repository,), {"aggregate": "things", "file": file}, lambda ns: ns.update(find=query(find))
    )
    assert vars(things)["find"].cached is None
