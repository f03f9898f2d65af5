"""Runs a defective statement and its correct original on the same rows, and records the differences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from checks.everyday_schema import ROWS, SEQUENCE_ENDS, Schema
from checks.everyday_statements import Everyday, values
from service.checks.entries import Entry
from service.checks.runs.trials import TENANTS, undone

_DRAWS = 2
_MANY = 10
"""More rows than any everyday list may answer."""
_LAST = {"UUID": UUID(int=2**128 - 1), "int": 2**40}
_FIRST = {"UUID": UUID(int=0), "int": 0}


@dataclass(frozen=True)
class Answer:
    """What a run answered, or the SQLSTATE of its failure."""

    rows: tuple[Any, ...] = ()
    failure: str = ""
    is_foreign_changed: bool = False
    is_bound_anew: bool = False


@dataclass
class Trial:
    """A statement that is run, and what was seen of it; `twin` is the healthy one."""

    each: Everyday
    entry: Entry
    twin: Entry
    seen: set[str] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)


async def confirm(connection: Any, schema: Schema, trials: Sequence[Trial]) -> None:
    """Run them on rows of two tenants, then without the second tenant's rows, then on the same rows in reverse order.

    The superuser's connection is not bound by policies: the statement alone has to keep tenants apart.
    """
    async with undone(connection):
        await schema.fill(connection)
        for trial in trials:
            trial.answers = [await _run(connection, schema, trial, draw) for draw in _draws(trial)]
            trial.seen |= set(_alone(trial))
            trial.seen |= await _as_role(connection, schema, trial)
            if trial.each.is_page:
                trial.seen |= await _pages(connection, schema, trial)
        for table in reversed(schema.tables):
            await connection.execute(f"DELETE FROM {table.name} WHERE tenant_id = $1", TENANTS[1])
        await _compare(connection, schema, trials, "it depends on rows of another tenant")
    async with undone(connection):
        await schema.fill(connection, is_backwards=True)
        await connection.execute(
            "SET LOCAL enable_hashagg = off; SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off"
        )
        await _compare(connection, schema, trials, "it depends on the order of rows in the table")


async def _compare(connection: Any, schema: Schema, trials: Sequence[Trial], what: str) -> None:
    for trial in trials:
        for draw, before in zip(_draws(trial), trial.answers, strict=True):
            after = await _run(connection, schema, trial, draw)
            if before.failure != after.failure or Counter(before.rows) != Counter(after.rows):
                trial.seen.add(what)


def _draws(trial: Trial) -> list[tuple[int, int, bool]]:
    """The runs: a variant, a seed for its values, and whether what may be None is None."""
    variants = trial.entry.statement.variants
    return [
        (key, seed, is_none)
        for key in sorted({min(variants), max(variants)})
        for is_none in (False, True)
        if not is_none or not all(trial.entry.is_given(name, key) for name in variants[key].parameters)
        for seed in range(_DRAWS)
    ]


def _arguments(schema: Schema, trial: Trial, draw: tuple[int, int, bool]) -> list[Any]:
    key, seed, is_none = draw
    variant = trial.entry.statement.variants[key]
    names = [name for name in variant.parameters if name != "tenant_id"]
    found: dict[str, Any] = {"tenant_id": TENANTS[0]}
    for name, value in values(schema, trial.each, names, Random(f"{schema.seed} {seed}")).items():
        found[name] = None if is_none and not trial.entry.is_given(name, key) else value
    return [found[name] for name in variant.parameters]


async def _run(connection: Any, schema: Schema, trial: Trial, draw: tuple[int, int, bool], role: str = "") -> Answer:
    text = trial.entry.statement.variants[draw[0]].text
    arguments = _arguments(schema, trial, draw)
    is_writing = trial.entry.statement.kind == "count" or "RETURNING" in text
    async with undone(connection):
        await connection.execute(
            f"SET LOCAL app.tenant_id = '{TENANTS[0]}'{f'; SET LOCAL ROLE {role}' if role else ''}"
        )
        before = await _foreign(connection, schema) if is_writing and not role else ()
        try:
            rows = await connection.fetch(text, *arguments)
        except (asyncpg.PostgresError, asyncpg.DataError) as error:
            return Answer(failure=str(getattr(error, "sqlstate", "22000") or "22000"))
        bound = await connection.fetchval("SELECT current_setting('app.tenant_id') || current_setting('role')")
        await connection.execute("RESET ROLE")
        after = await _foreign(connection, schema) if is_writing and not role else ()
        own = f"{TENANTS[0]}{role or 'none'}"
        return Answer(tuple(map(_steady, rows)), "", before != after, bound != own)


def _steady(row: Any) -> tuple[Any, ...]:
    """A row with generated values (ids, the current time) replaced by fixed words."""
    now = datetime.now(UTC)
    return tuple(
        "now" if isinstance(each, datetime) and each.year == now.year
        else "new" if isinstance(each, UUID) and each.version == 4
        else "new" if name == "id" and isinstance(each, int) and each < SEQUENCE_ENDS
        else tuple(each) if isinstance(each, list)
        else each
        for name, each in row.items()
    )  # fmt: skip


async def _foreign(connection: Any, schema: Schema) -> tuple[Any, ...]:
    parts = [
        f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {each.name} AS t WHERE tenant_id = $1"
        for each in schema.tables
    ]
    return tuple(row[0] for row in await connection.fetch(" UNION ALL ".join(parts), TENANTS[1]))


def _alone(trial: Trial) -> Iterator[str]:
    """What the answers show by themselves."""
    statement = trial.entry.statement
    for answer in trial.answers:
        if answer.is_foreign_changed:
            yield "rows of another tenant are changed"
        if answer.is_bound_anew:
            yield "the tenant or the role is another afterwards"
        if answer.failure[:2] in ("22", "42") or answer.failure in ("23502", "23514"):
            yield f"it fails: {answer.failure}"
        if statement.kind in ("one", "maybe", "value") and len(answer.rows) > 1:
            yield "several rows"
        if statement.kind == "many" and len(answer.rows) > _MANY and not trial.each.plant.header:
            yield "more rows than a page has"
        if trial.entry.model is not None:
            for row in answer.rows:
                yield from _refused(trial, row)
        elif statement.kind == "value" and any(row[0] is None for row in answer.rows):
            yield "the value is None"


def _refused(trial: Trial, row: tuple[Any, ...]) -> Iterator[str]:
    model = trial.entry.model
    assert model is not None
    fields = dict(zip(model.model_fields, row, strict=False))
    shown = {
        name: [*each] if isinstance(each, tuple) else each
        for name, each in fields.items()
        if each not in ("now", "new")
    }
    try:
        model.model_validate({**dict.fromkeys(fields), **shown}, strict=True)
    except ValidationError as error:
        if any(each["loc"][0] in shown for each in error.errors()):
            yield "the model refuses a row"


async def _as_role(connection: Any, schema: Schema, trial: Trial) -> set[str]:
    """What the serving role meets: a missing privilege, or rows of another tenant that policies show."""
    answers = [await _run(connection, schema, trial, draw, "quarry_app") for draw in _draws(trial)[:2]]
    seen = {f"the role may not: {each.failure}" for each in answers if each.failure == "42501"}
    async with undone(connection):
        await connection.execute(f"SET LOCAL app.tenant_id = '{TENANTS[0]}'; SET LOCAL ROLE quarry_app")
        for table in schema.tables:
            if re.search(rf"\b{table.name}\b", trial.each.plant.sql) and not seen:
                if not await connection.fetchval("SELECT has_column_privilege($1, 'tenant_id', 'SELECT')", table.name):
                    continue
                shown = await connection.fetchval(f"SELECT count(*) FROM {table.name} WHERE tenant_id = $1", TENANTS[1])
                seen |= {"policies show rows of another tenant"} if shown else set()
    return seen


async def _pages(connection: Any, schema: Schema, trial: Trial) -> set[str]:
    """Whether all pages together are all rows, each once, as the healthy twin lists them."""
    whole = await _listed(connection, schema, Trial(trial.each, trial.twin, trial.twin), limit=1_000)
    return set() if await _listed(connection, schema, trial, limit=3) == whole else {"pages lose or repeat rows"}


async def _listed(connection: Any, schema: Schema, trial: Trial, limit: int) -> list[Any]:
    key = max(trial.entry.statement.variants)
    variant, found = trial.entry.statement.variants[key], []
    is_upwards = ") > (" in trial.twin.statement.variants[key].text
    edge = _FIRST if is_upwards else _LAST
    known = values(schema, trial.each, [name for name in variant.parameters if name != "tenant_id"], Random("pages"))
    known |= {"tenant_id": TENANTS[0], "limit": limit}
    known |= {
        "after_id": edge[schema.tables[1].key.python],
        "after_created_at": datetime(2000 if is_upwards else 2100, 1, 1, tzinfo=UTC),
    }
    for _ in range(ROWS):
        try:
            async with undone(connection):
                rows = await connection.fetch(variant.text, *(known[name] for name in variant.parameters))
        except (asyncpg.PostgresError, asyncpg.DataError):
            return ["it fails"]
        found += [row["id"] for row in rows]
        if len(rows) < limit or rows[-1]["created_at"] is None:
            break
        known |= {"after_id": rows[-1]["id"], "after_created_at": rows[-1]["created_at"]}
    return found
