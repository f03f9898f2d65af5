"""Whether a read becomes slower when it is planned once for all tenants: generic plans against plans for the given values.

One tenant has many rows in every table, others have a few each. Each read that is sent as one message is run for both kinds of
tenants, with both kinds of plans, in turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID

import uvloop

from bench.installation import Installation
from service.checks import entries, proving, scratch
from service.checks.proofs import catalog
from service.checks.proving import Proved, Subject
from service.checks.runs.arguments import Round
from service.checks.runs.samples import SampleError, Sampler
from service.checks.runs.trials import Trials, chosen, undone
from service.statements import frames
from service.statements.frames import Frame
from service.work import Work

FEW, SMALL_TENANTS = 10, 20
_BIG = UUID("aaaaaaaa-0000-4000-8000-000000000001")
_SMALL = [UUID(int=0xBBBBBBBB << 96 | 0x40008000 << 48 | n) for n in range(1, SMALL_TENANTS + 1)]
_KINDS = ("force_generic_plan", "force_custom_plan")
_RUNS = 5
_LEAST_RATIO, _LEAST_SECONDS = 1.5, 0.001
"""A generic plan is listed if it takes so many times the time of the other, and so many seconds more."""


class Compared(NamedTuple):
    """The medians, in seconds, of one variant for one kind of tenant."""

    label: str
    tenant: str
    generic: float
    custom: float


def measure(installation: Installation, rows: int, say: Callable[[str], None]) -> list[Compared]:
    """Compare all reads; the large tenant has `rows` rows in every table."""
    return uvloop.run(_measure(installation, rows, say))


async def _measure(installation: Installation, rows: int, say: Callable[[str], None]) -> list[Compared]:
    schema, found = installation.settings.database_schema, []
    async with (
        scratch.database(installation.settings.administration(), schema) as made,
        scratch.connected(made, schema) as connection,
    ):
        reads = [each for each in entries.entries(Work) if frames.is_read(each.statement)]
        subjects = await proving.prove(connection, await catalog.load(connection), reads)
        sampler = await Sampler.of(connection, schema, [])
        await sampler.fill(connection, [_BIG], rows)
        await sampler.fill(connection, _SMALL, FEW, with_shared=False)
        await connection.execute("DELETE FROM app.schemas")
        await connection.execute("ANALYZE")
        say(f"{rows:,} rows in every table of one tenant, {FEW} in those of {SMALL_TENANTS}")
        for tenant, name in ((_BIG, f"{rows:,} rows"), (_SMALL[0], f"{FEW} rows")):
            trials = Trials(connection, sampler, tenant)
            for subject in subjects:
                for proved in (each for each in chosen(subject) if each.key in subject.framed):
                    found += await _compare(trials, subject, proved, name, rows if tenant == _BIG else FEW)
            say(f"{len(found)} variants compared")
    return found


async def _compare(trials: Trials, subject: Subject, proved: Proved, name: str, rows: int) -> list[Compared]:
    statement = subject.entry.statement
    variant = statement.variants[proved.key]
    frame = frames.frame(variant, "rows")
    found = []
    for number in (rows // 2, rows):
        try:
            values = await trials.arguments.values(subject, proved, {}, Round(number))
        except SampleError:
            continue  # A statement without sample values is not measured.
        async with undone(trials.connection):
            times = await _times(trials, frame, values)
        given = ", ".join(statement.given(proved.key))
        found.append(Compared(f"{statement.label}({given})", name, *times))
    return found


async def _times(trials: Trials, frame: Frame, values: Sequence[object]) -> tuple[float, float]:
    connection = trials.connection
    await connection.execute(
        "SET LOCAL ROLE quarry_app; SET LOCAL statement_timeout = '60s';"
        "SET LOCAL app.tenant_id = ''; SET LOCAL plan_cache_mode = force_generic_plan"
    )
    prepared: Any = await connection.prepare(frame.text)
    await prepared.fetch(*frame.values(trials.bound, values))
    times: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    for _ in range(_RUNS):
        for kind in _KINDS:
            await connection.execute(f"SET LOCAL app.tenant_id = '{trials.bound}'; SET LOCAL plan_cache_mode = {kind}")
            began = perf_counter()
            await prepared.fetch(*frame.values(trials.bound, values))
            times[kind].append(perf_counter() - began)
    return median(times[_KINDS[0]]), median(times[_KINDS[1]])


def report(compared: Sequence[Compared]) -> str:
    """The table: all variants that are slower by a generic plan, and how many are not."""
    slower = [
        each
        for each in compared
        if each.generic > _LEAST_RATIO * each.custom and each.generic - each.custom > _LEAST_SECONDS
    ]
    lines = ["", f"Generic plans: {len(compared)} runs compared, {len(slower)} of them slower than with their own plan"]
    lines += [
        f"  {each.label}, {each.tenant}: {each.generic * 1000:.1f} ms, with its own plan {each.custom * 1000:.1f} ms"
        for each in sorted(slower, key=lambda each: each.custom - each.generic)
    ]
    ratios = [each.generic / each.custom for each in compared]
    lines.append(f"  median of generic / own plan, planning included: {median(ratios):.2f}")
    return "\n".join(lines)
