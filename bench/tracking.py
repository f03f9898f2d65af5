"""What tracking costs a statement: writes to campaigns with the record triggers and without them.

The connection has written one row each way before, as those of a pool have, so that every plan was made for one row. Only
the statement is timed, not its COMMIT, which flushes the log and takes as long as the disk does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from statistics import median
from time import monotonic, perf_counter
from typing import Any

import asyncpg
import uvloop

from bench.installation import CONNECTION, Installation
from bench.report import Aim
from bench.rounds import Plan, Samples

ROWS = 10_000
"""Of one statement."""
STATEMENTS = 1000
"""Of one row each, in one transaction."""
TRACKED, UNTRACKED = TURNS = ("with tracking", "without")
_SECONDS, _LONGEST = 3.0, 120.0
"""How much time each of the plan's rounds gives, and the most of it; there are as many rounds as fit."""
_AIMS = {
    "INSERT": Aim(TRACKED, UNTRACKED, True, 2.0),
    "UPDATE": Aim(TRACKED, UNTRACKED, True, 2.0),
    "DELETE": Aim(TRACKED, UNTRACKED, True, None),
}
_LEAST_ROUNDS = 3
_MANY = f"{STATEMENTS:,} INSERTs of one row"
_MARK = "Written to be measured."
_TEXTS = {
    "INSERT": "INSERT INTO campaigns (tenant_id, id, name, description, status, owner_id, budget_minor) "
    "SELECT $1, md5('measured' || n)::uuid, 'Campaign ' || n, $2, 'draft', $3, n * 100 FROM generate_series(1, $4) AS n",
    "UPDATE": "UPDATE campaigns SET budget_minor = budget_minor + 1 WHERE tenant_id = $1 AND description = $2",
    "DELETE": "DELETE FROM campaigns WHERE tenant_id = $1 AND description = $2",
}
_ONE = "INSERT INTO campaigns (tenant_id, name, description, owner_id) VALUES ($1, $2, $3, $4)"


class Costs:
    """Milliseconds with tracking and without, and how the time of one-row statements grows in a transaction."""

    def __init__(self) -> None:
        self.statements = {kind: Samples(TURNS) for kind in (*_TEXTS, _MANY)}
        self.growth: dict[str, list[float]] = {turn: [] for turn in TURNS}


class Switch:
    """The triggers of campaigns, as the superuser turns them on and off."""

    def __init__(self, administrator: Any, table: str, recorders: list[str]) -> None:
        self.administrator, self.table, self.recorders = administrator, table, recorders

    async def set(self, is_tracked: bool, **others: bool) -> None:
        """The record triggers on or off, and `others` by name."""
        states = dict.fromkeys(self.recorders, is_tracked) | others
        changes = ", ".join(f"{'ENABLE' if is_on else 'DISABLE'} TRIGGER {name}" for name, is_on in states.items())
        await self.administrator.execute(f"ALTER TABLE {self.table} {changes}")

    async def commits(self) -> int:
        """How many numbers have been given so far."""
        return int(await self.administrator.fetchval("SELECT sum(head) FROM app.heads"))


@asynccontextmanager
async def switched(installation: Installation) -> AsyncIterator[Switch]:
    """The triggers, which are as they were at the end. Raises RuntimeError when none records."""
    table = f"{installation.settings.database_schema}.campaigns"
    administrator = await asyncpg.connect(installation.settings.administration().url)
    try:
        recorders = await administrator.fetch(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = $1::text::regclass AND starts_with(tgname, 'record_')", table
        )
        switch = Switch(administrator, table, [row["tgname"] for row in recorders])
        if not recorders:
            raise RuntimeError(f"{table} has no record triggers")
        try:
            yield switch
        finally:
            await switch.set(is_tracked=True)
    finally:
        await administrator.close()


def rounds(plan: Plan, least: int) -> Iterator[int]:
    """Numbers of rounds while there is time, but `least` of them."""
    until = monotonic() + min(plan.rounds * _SECONDS, _LONGEST)
    number = 0
    while number < least or (number < plan.rounds and monotonic() < until):
        yield number
        number += 1


def measure(installation: Installation, plan: Plan, say: Callable[[str], None]) -> Costs:
    """The costs by kind of statement."""
    return uvloop.run(_measure(installation, plan, say))


def report(costs: Costs) -> str:
    """Milliseconds, and the ratio of the two."""
    counts = costs.statements[_MANY].figures[TRACKED]
    growth = ", ".join(f"{median(ratios):.2f} {turn}" for turn, ratios in costs.growth.items())
    return "\n".join([
        heading(f"One statement of {ROWS:,} rows on campaigns, {len(counts)} rounds", "ms"),
        *(line(kind, costs.statements[kind], aim) for kind, aim in _AIMS.items()),
        line(f"{_MANY} in one transaction", costs.statements[_MANY], Aim(TRACKED, UNTRACKED, True, None)),
        f"    time of its last tenth / its first tenth: {growth}",
    ])  # fmt: skip


def heading(title: str, unit: str) -> str:
    """Of lines as `line` writes them."""
    return f"\n{title:<58}{unit:>8}{'against':>9}{'ratio':>8}{'middle half':>14}   aim"


def line(name: str, samples: Samples, aim: Aim) -> str:
    """Medians of the two, and the median and middle half of the ratios of the rounds."""
    ratio, (low, high) = samples.ratio(aim.of, aim.against), samples.spread(aim.of, aim.against)
    medians = f"{samples.median(aim.of):>8,.0f}{samples.median(aim.against):>9,.0f}"
    return f"  {name:<56}{medians}{ratio:>8.2f}{f'{low:.2f}-{high:.2f}':>14}   {aim.verdict(ratio)}"


async def _measure(installation: Installation, plan: Plan, say: Callable[[str], None]) -> Costs:
    costs, tenant, number = Costs(), installation.members[-1].tenant, 0
    async with switched(installation) as switch:
        users = f"{installation.settings.database_schema}.users"
        owner = await switch.administrator.fetchval(f"SELECT id FROM {users} WHERE tenant_id = $1 LIMIT 1", tenant)
        for number in rounds(plan, _LEAST_ROUNDS):
            for turn in TURNS if number % 2 else reversed(TURNS):
                await switch.set(turn == TRACKED)
                before = await switch.commits()
                connection = await asyncpg.connect(installation.url, **CONNECTION)
                try:
                    await _turn(connection, tenant, owner, turn, costs)
                finally:
                    await connection.close()
                # Three statements of one row, three of many, and those of one transaction.
                expected = 7 if turn == TRACKED else 0
                if (given := await switch.commits() - before) != expected:
                    raise RuntimeError(f"{turn}: {given} commits were numbered, not {expected}")
                # Everybody finds the table as it was.
                await switch.administrator.execute(f"DELETE FROM {switch.table} WHERE description = $1", _MARK)
                await switch.administrator.execute(f"VACUUM {switch.table}, app.changes")
    say(f"tracking: {number + 1} rounds of {ROWS:,} rows and of {_MANY}, with it and without")
    return costs


async def _turn(connection: Any, tenant: Any, owner: Any, turn: str, costs: Costs) -> None:
    begin = f"BEGIN ISOLATION LEVEL READ COMMITTED;SET LOCAL app.tenant_id = '{tenant}'"
    for rows in (1, ROWS):
        for kind, text in _TEXTS.items():
            values = (tenant, _MARK, owner, rows) if kind == "INSERT" else (tenant, _MARK)
            # Prepared beforehand, so that the statement alone is timed.
            await connection.execute(begin)
            statement = await connection.prepare(text)
            started = perf_counter()
            await statement.fetch(*values)
            taken = perf_counter() - started
            await connection.execute("COMMIT")
            if (written := int(statement.get_statusmsg().split()[-1])) != rows:
                raise RuntimeError(f"{kind} wrote {written} rows, not {rows}")
            if rows == ROWS:
                costs.statements[kind].add(turn, taken * 1e3, rows)
    await connection.execute(begin)
    times = [perf_counter()]
    for number in range(STATEMENTS):
        await connection.execute(_ONE, tenant, f"Campaign {number}", _MARK, owner)
        times.append(perf_counter())
    await connection.execute("COMMIT")
    tenth = STATEMENTS // 10
    costs.statements[_MANY].add(turn, (times[-1] - times[0]) * 1e3, STATEMENTS)
    costs.growth[turn].append((times[-1] - times[-1 - tenth]) / (times[tenth] - times[0]))
