"""The prover against the server: random statements, what is proved of them, and what they then answer."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import asyncpg
import pytest

from checks import generated
from checks.generated import Statement
from checks.generated_data import READER, arguments, fill
from service.checks.proofs import cardinality, catalog, nullability, orders
from service.checks.proofs.cardinality import Proof
from service.checks.proofs.describing import describing
from service.checks.proofs.nullability import Verdict
from service.checks.proofs.tree import UnknownNode

_CHUNK = 250


@dataclass
class Judged:
    """A statement with what is proved of it and what was seen of it."""

    seed: str
    statement: Statement
    verdicts: Sequence[Verdict]
    one: Proof
    order: Proof | None
    nulls: set[int] = field(default_factory=set)
    most: int = 0
    has_ties: bool = False
    runs: int = 0
    prepared: Any = None
    unlimited: Any = None

    def see(self, values: list[Any], rows: list[Any]) -> Iterator[str]:
        """Note an answer; what it refutes."""
        self.runs += 1
        if self.one.holds and len(rows) > 1:
            yield self.told(f"{len(rows)} rows, proved one at most: {self.one.why}", values)
        self.most = max(self.most, len(rows))
        for row in rows:
            for number, (value, verdict) in enumerate(zip(row, self.verdicts, strict=True)):
                if value is None and number not in self.nulls:
                    self.nulls.add(number)
                    if not verdict.is_nullable:
                        yield self.told(f"column {number + 1} is null, proved never: {verdict.why}", values)

    def see_order(self, values: list[Any], rows: list[Any]) -> Iterator[str]:
        """Note all rows that a LIMIT chooses from, their sort keys first."""
        keys = Counter(tuple(row)[: self.statement.keys] for row in rows)
        if any(count > 1 for count in keys.values()):
            self.has_ties = True
            if self.order is not None and self.order.holds:
                yield self.told(f"rows are equal in {keys.most_common(1)}, proved never: {self.order.why}", values)

    def told(self, what: str, values: list[Any]) -> str:
        return f"seed {self.seed}, with {values}: {what}\n{self.statement.text}"


@dataclass
class Tally:
    """What came of all of them."""

    count: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)

    def close(self, judged: Judged) -> None:
        """Compare what was proved with all that was seen."""
        if not judged.runs:
            self.count["never ran"] += 1
            return
        self.count["judged"] += 1
        if judged.most:
            for number, verdict in enumerate(judged.verdicts):
                self.count["columns"] += 1
                self._exact("nullability", judged, verdict.is_nullable == (number in judged.nulls), verdict.why)
            self._exact("rows", judged, judged.one.holds == (judged.most <= 1), judged.one.why)
        if judged.order is not None and judged.most:
            self._exact("order", judged, judged.order.holds != judged.has_ties, judged.order.why)

    def _exact(self, what: str, judged: Judged, is_exact: bool, why: str) -> None:
        self.count[what] += 1
        self.count[f"exact {what}"] += is_exact
        if not is_exact:
            self.over.append(f"{what} {judged.seed}: {why}\n  {judged.statement.text}")

    def percent(self, what: str) -> float:
        return 100 * self.count[f"exact {what}"] / max(1, self.count[what])

    def __str__(self) -> str:
        count = self.count
        exact = ", ".join(f"{what} {self.percent(what):.1f} %" for what in ("nullability", "rows", "order"))
        return (
            f"{count['tried']} statements, {count['refused']} of them refused, {count['unknown']} not understood,"
            f" {count['never ran']} never ran; {count['columns']} columns of {count['judged']} judged on {count['runs']} runs,"
            f" {count['order']} orders; unsound: {len(self.wrong)}; exact: {exact}"
        )


async def judge(connection: Any, known: Any, seeds: Sequence[str], tally: Tally) -> list[Judged]:
    """Write the statements of these seeds and prove what can be proved of them."""
    found = []
    async with describing(connection, known) as describer:
        for seed in seeds:
            statement = generated.statement(seed)
            tally.count["tried"] += 1
            try:
                described = await describer.describe(statement.text)
                scope = described.scope
                order = orders.total_order(scope) if statement.unlimited else None
                verdicts, one = nullability.prove(scope, statement.given), cardinality.at_most_one(scope)
                found.append(Judged(seed, statement, verdicts, one, order))
            except asyncpg.PostgresError as error:
                tally.count["refused"] += 1
                tally.count[f"refused: {error.args[0][:40]}"] += 1
            except UnknownNode as error:
                tally.count["unknown"] += 1
                tally.count[f"{error}"] += 1
    return found


async def run(connection: Any, each: Judged, chance: Random, tally: Tally) -> None:
    """Run one on the rows that are there, and leave them as they were."""
    values = arguments(chance, each.statement.parameters, each.statement.given)
    attempt = connection.transaction()
    await attempt.start()
    try:
        rows = await each.prepared.fetch(*values)
        tally.wrong += each.see(values, rows)
        if each.unlimited is not None:
            tally.wrong += each.see_order(values, await each.unlimited.fetch(*values))
        tally.count["runs"] += 1
    except asyncpg.PostgresError as error:
        tally.count[f"failed: {error.args[0][:40]}"] += 1
    finally:
        await attempt.rollback()


async def attack(connection: Any, seed: int, *, statements: int, datasets: int) -> Tally:
    """So many statements, each run on so many datasets."""
    tally, known = Tally(), await catalog.load(connection)
    for first in range(0, statements, _CHUNK):
        await connection.execute(f"SET ROLE {READER}")
        seeds = [f"{seed}-{number}" for number in range(first, min(first + _CHUNK, statements))]
        judged = await judge(connection, known, seeds, tally)
        for each in judged:
            each.prepared = await connection.prepare(each.statement.text)
            each.unlimited = await connection.prepare(each.statement.unlimited) if each.statement.unlimited else None
        for number in range(datasets):
            chance = Random(f"{seed}-{first}-{number}")
            async with connection.transaction():
                await connection.execute("RESET ROLE")
                await fill(connection, chance)
                await connection.execute(f"SET ROLE {READER}")
                for each in [*judged, *judged]:
                    await run(connection, each, chance, tally)
                await connection.execute("RESET ROLE; TRUNCATE gen.person, gen.item, gen.tag, gen.config, gen.secret")
        for each in judged:
            tally.close(each)
    return tally


async def test_nothing_proved_is_refuted_by_an_answer(odd_database: Any) -> None:
    tally = await attack(odd_database, 1, statements=150, datasets=8)
    assert not tally.wrong, "\n\n".join(tally.wrong[:5])
    assert tally.count["refused"] < 0.15 * tally.count["tried"], tally.count
    assert tally.count["unknown"] < 0.02 * tally.count["tried"], tally.count
    assert tally.percent("nullability") > 70, tally


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
async def test_the_same_at_length(odd_database: Any) -> None:
    tally = await attack(odd_database, 2, statements=7_500, datasets=24)
    print(f"\nprover: {tally}")
    assert not tally.wrong, "\n\n".join(tally.wrong[:5])
    assert tally.count["columns"] >= 10_000
    assert tally.percent("nullability") >= 89
