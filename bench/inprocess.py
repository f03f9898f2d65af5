"""In one process, inside one bound transaction: what a call costs above asyncpg's own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any
from uuid import UUID

import uvloop
from sqlalchemy.ext.asyncio import AsyncSession

from bench import tables
from bench.contenders import aiosql_queries
from bench.installation import Installation, Member, opened
from bench.rounds import Plan, Samples
from bench.texts import FIND, LIST, PAGE
from service.database.connection import Connection
from service.logs import observer
from service.repos.campaigns import Campaigns
from service.tenancy.binding import Binding
from service.work import Work

Calls = Callable[[UUID], Awaitable[object]]
Contenders = dict[str, Calls]
_PAGE_CALLS = 5
"""A list takes about as long as so many finds."""


def measure(installation: Installation, plan: Plan, say: Callable[[str], None]) -> dict[str, Samples]:
    """Microseconds per call, by kind and contender."""
    return uvloop.run(_measure(installation, plan, say))


async def _measure(installation: Installation, plan: Plan, say: Callable[[str], None]) -> dict[str, Samples]:
    member = installation.members[0]
    samples = {}
    async with (
        opened(installation.settings) as database,
        tables_session(installation, member) as session,
        # Its pool has no statement metrics, so that this is the repository's own cost.
        Work(database, member.tenant, read_only=True) as work,
    ):
        # The same connection for all, as one backend may be quicker than another.
        raw = work.connection.raw
        connection = Connection(
            raw, database.pool.outcome, observer(installation.settings.database_slow_statement, every=False)
        )
        watched = Campaigns(Binding(connection, member.tenant))
        for kind, make, calls in (("find", _finds, plan.calls), ("page", _pages, plan.calls // _PAGE_CALLS)):
            contenders = make(member, work.campaigns, watched, raw, session)
            await _verify(contenders, member.campaigns[0])
            samples[kind] = await _interleaved(contenders, member.campaigns, plan, calls)
            say(f"{kind} in process: {plan.inner_rounds} rounds of {calls} calls for each of {len(contenders)}")
    return samples


@asynccontextmanager
async def tables_session(installation: Installation, member: Member) -> AsyncIterator[AsyncSession]:
    """SQLAlchemy's session inside a bound transaction."""
    engine = tables.engine(installation.url)
    try:
        async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
            await session.execute(tables.binding(member.tenant))
            yield session
    finally:
        await engine.dispose()


def _finds(member: Member, plain: Campaigns, watched: Campaigns, raw: Any, session: AsyncSession) -> Contenders:
    queries, tenant, find = aiosql_queries(), member.tenant, FIND.sql

    async def mapped(id: UUID) -> object:
        campaign = await session.scalar(tables.find(tenant, id))
        # A request has a session of its own: it does not find the entity of the request before.
        session.expunge_all()
        return campaign

    first, _ = FIND.parameters
    if first == "id":
        bare: Calls = lambda id: raw.fetchrow(find, id, tenant)  # noqa: E731
    else:
        bare = lambda id: raw.fetchrow(find, tenant, id)  # noqa: E731

    async def dictionary(id: UUID) -> object:
        return dict(await bare(id))

    return {
        "bare": bare,
        "dicts": dictionary,
        "quarry": plain.find,
        "observed": watched.find,
        "aiosql": lambda id: queries.find(raw, tenant_id=tenant, id=id),
        "sqlalchemy": mapped,
    }


def _pages(member: Member, plain: Campaigns, watched: Campaigns, raw: Any, session: AsyncSession) -> Contenders:
    queries, tenant = aiosql_queries(), member.tenant
    values = PAGE.values(tenant_id=tenant, limit=LIST)

    async def dictionaries(_: UUID) -> object:
        return [dict(record) for record in await raw.fetch(PAGE.sql, *values)]

    async def generated(_: UUID) -> object:
        return [record async for record in queries.page(raw, tenant_id=tenant, limit=LIST)]

    async def mapped(_: UUID) -> object:
        campaigns = (await session.scalars(tables.page(tenant, LIST))).all()
        session.expunge_all()
        return campaigns

    return {
        "bare": lambda _: raw.fetch(PAGE.sql, *values),
        "dicts": dictionaries,
        "quarry": lambda _: plain.page(limit=LIST),
        "observed": lambda _: watched.page(limit=LIST),
        "aiosql": generated,
        "sqlalchemy": mapped,
    }


async def _verify(contenders: Contenders, id: UUID) -> None:
    """Everybody answers the same rows. Raises RuntimeError otherwise."""
    answers = {label: _ids(await call(id)) for label, call in contenders.items()}
    for label, ids in answers.items():
        if not ids or ids != answers["bare"]:
            raise RuntimeError(f"{label} answers other rows")


def _ids(answer: Any) -> list[UUID]:
    rows = answer if isinstance(answer, list) else [answer]
    return [row.id if hasattr(row, "id") else row["id"] for row in rows]


async def _interleaved(contenders: Contenders, ids: Sequence[UUID], plan: Plan, calls: int) -> Samples:
    samples = Samples(tuple(contenders))
    for label in contenders:
        await _timed(contenders[label], ids, calls)
    for labels in plan.inner_turns(tuple(contenders)):
        for label in labels:
            samples.add(label, await _timed(contenders[label], ids, calls), calls)
    return samples


async def _timed(call: Calls, ids: Sequence[UUID], calls: int) -> float:
    started = perf_counter()
    for id in itertools.islice(itertools.cycle(ids), calls):
        await call(id)
    return (perf_counter() - started) / calls * 1e6
