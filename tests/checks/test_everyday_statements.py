"""Everyday statements over random schemas are proved, and each defect that is put into them and shows on rows is told."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from checks.everyday_defects import FUNCTIONS, Defect, of_schema, of_statement
from checks.everyday_runs import Trial, confirm
from checks.everyday_schema import Schema, schema
from checks.everyday_statements import statements
from checks.planting import Garden, Plant
from service.addresses import Address
from service.checks import entries as catalogue
from service.checks import scratch
from service.checks.entries import Entry
from service.checks.proofs import catalog
from service.checks.rules import functions
from service.schema import provisioning
from service.statements.statement import StatementError


@dataclass
class Tally:
    """What came of the defects: `missed` are those that show on rows and are not told."""

    count: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    def add(self, rule: str, trial: Trial, told: set[str]) -> None:
        """Count one, with the findings that tell of it."""
        self.count["planted"] += 1
        self.count["confirmed"] += bool(trial.seen)
        self.count["told"] += bool(trial.seen and told)
        if trial.seen and not told:
            self.missed.append(
                f"{rule}: {sorted(trial.seen)}\n  {trial.each.plant.sql}\n  {trial.each.plant.row} <- {trial.each.plant.takes}"
            )

    def __str__(self) -> str:
        count = self.count
        return f"{count['planted']} defects planted, {count['confirmed']} of them confirmed on rows, {count['told']} told of"


def defined(garden: Garden, plant: Plant) -> Entry | None:
    """The statement as the checks get it; None if it is refused when it is loaded."""
    try:
        return next(catalogue.entries_of(garden.define({"planted": plant})))
    except (StatementError, TypeError, NameError):
        return None


async def hunt(garden: Garden, found: Schema, defects: Sequence[Defect], tally: Tally, healthy: set[str]) -> set[str]:
    """Check and run the statements of one schema, and count the defects.

    Returns the findings about the schema's functions; those in `healthy` do not count.
    """
    trials = []
    for defect in defects:
        entry, twin = (defined(garden, each.plant) for each in (defect.planted, defect.healthy))
        if entry is not None and twin is not None:
            trials.append((defect.rule, Trial(defect.planted, entry, twin)))
        else:
            tally.count["refused when loaded"] += 1
    subjects = await garden.judge_entries([trial.entry for _, trial in trials])
    await confirm(garden.connection, found, [trial for _, trial in trials])
    of_functions = {f"{each.code}: {each.message}" for each in functions.implied(await catalog.load(garden.connection))}
    for (rule, trial), subject in zip(trials, subjects, strict=True):
        told = {each.code for each in subject.findings if not each.is_note} | (of_functions - healthy)
        tally.add(rule, trial, told)
    return of_functions


@pytest.fixture
def made(server: Any, template: Any, tmp_path: Path) -> Any:
    """A schema in a database of its own, where statements are planted: `async with made(seed, …) as (garden, schema)`."""

    @contextlib.asynccontextmanager
    async def make(seed: str, ddl: str = "", oddity: str = "", odd: str = "") -> AsyncIterator[tuple[Garden, Schema]]:
        found, name = schema(seed, oddity, odd), f"everyday_{uuid4().hex}"
        administration = await asyncpg.connect(server.url())
        await administration.execute(f"CREATE DATABASE {name} TEMPLATE {template.template_dbname}")
        address = Address(server.url(database=name))
        await provisioning.prepare_database(address)
        try:
            async with scratch.connected(address, "quarry") as connection:
                await connection.execute(f"{found.ddl} {FUNCTIONS.format(b=found.tables[1].name)} {ddl}")
                yield Garden(connection, tmp_path / "planted.sql"), found
        finally:
            await administration.execute(f"DROP DATABASE {name}")
            await administration.close()

    return make


async def hunt_all(made: Any, seed: str, tally: Tally, every: int = 1) -> None:
    """All defects of one schema, or every so many of them."""
    async with made(seed) as (garden, found):
        defects = [defect for healthy in statements(found) for defect in of_statement(healthy)]
        known = await hunt(garden, found, defects[::every], tally, set())
    for rule, *more in [*of_schema(schema(seed))][::every]:
        async with made(seed, *more) as (garden, found):
            await hunt(garden, found, [Defect(rule, each, each) for each in statements(found)], tally, known)


async def test_a_defect_that_shows_on_rows_is_told(made: Any) -> None:
    tally = Tally()
    await hunt_all(made, "4", tally, every=10)
    assert tally.count["confirmed"] > 0.4 * tally.count["planted"], tally
    assert tally.missed == []


async def test_an_everyday_statement_is_proved_and_runs_without_a_defect(made: Any) -> None:
    async with made("5") as (garden, found):
        healthy = [Defect("none", each, each) for each in statements(found)]
        tally = Tally()
        await hunt(garden, found, healthy, tally, set())
        assert (tally.count["planted"], tally.count["confirmed"]) == (len(healthy), 0)
        subjects = await garden.run({each.planted.name: each.planted.plant for each in healthy})
        assert {each.entry.label: each.findings for each in subjects if each.findings} == {}


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
async def test_every_defect_that_shows_on_rows_is_told(made: Any) -> None:
    tally = Tally()
    for seed in ("1", "2", "3"):
        await hunt_all(made, seed, tally)
    print(f"\ndefects: {tally}")
    assert tally.count["confirmed"] >= 2_000
    assert not tally.missed, "\n".join(tally.missed[:20])


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
async def test_everyday_statements_are_proved(made: Any) -> None:
    refused, count = Counter[str](), 0
    for seed in map(str, range(40)):
        async with made(seed) as (garden, found):
            every = {each.name: each.plant for each in statements(found)}
            for subject in await (garden.run(every) if int(seed) < 8 else garden.judge(every)):
                count += 1
                refused.update(
                    [f"{subject.entry.statement.name}: {subject.findings[0].code}"] if subject.findings else []
                )
    print(f"\neveryday statements: {count}, refused: {refused.total()} {dict(refused)}")
    assert refused.total() <= 0.03 * count
    assert not any("not-understood" in each for each in refused)
