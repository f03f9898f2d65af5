"""Runs statements that are bound to one tenant with keys of another tenant's rows.

No run may return values of the other tenant or change its rows. Statements of the scope `platform` are not run in this way.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from service.checks.proofs.catalog import Catalog
from service.checks.proofs.tree import walk
from service.checks.proving import Proved, Subject, understanding
from service.checks.runs import framing, observing
from service.checks.runs.arguments import Round, is_written
from service.checks.runs.samples import SampleError, Sampler, mark
from service.checks.runs.trials import Outcome, Trials, chosen, undone
from service.statements.statement import TENANT_PARAMETER

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ROWS = 30

Attempt = tuple[int, int, tuple[tuple[str, UUID], ...]]
"""What identifies a run: the key of the variant; the number of the sample row from which the parameter values are taken
(`Round.n`); the parameters whose values are taken from another tenant's row, as pairs of the name and this tenant's id."""


async def check(connection: Any, sampler: Sampler, subjects: Sequence[Subject], tenants: tuple[UUID, UUID]) -> None:
    """Run all statements bound to the first of two tenants: with keys of its own rows, then with keys of the second tenant.

    After that, the rows of the second tenant are deleted, and the runs with its keys are repeated. The connection must be a
    superuser's, to a database that nothing else uses. All changes are rolled back at the end.
    """
    bound, other = tenants
    trials = Trials(connection, sampler, bound)
    async with undone(connection):
        await sampler.fill(connection, tenants, ROWS)
        await observing.observe(trials, subjects)
        attempts = {}
        for subject in subjects:
            with understanding(subject):
                attempts[id(subject)] = await _attack(trials, subject, other)
        await _empty(connection, subjects[0].catalog, other)
        for subject in subjects:
            with understanding(subject):
                await _repeat(trials, subject, attempts.get(id(subject), {}))


async def _attack(trials: Trials, subject: Subject, other: UUID) -> dict[Attempt, tuple[list[object], Outcome]]:
    """Run the variants of a statement with keys of the other tenant: they must neither return nor change its rows.

    A variant is run three times: with values of the other tenant in all parameters, in every odd-numbered parameter, and in
    every even-numbered one. A variant with fewer than two parameters is run once. A variant that writes parameters is also run
    with values of a new row. Returns the parameter values and the outcome of each run.
    """
    if subject.entry.statement.scope == "platform":
        return {}
    found = {}
    before = await _fingerprint(trials.connection, subject.catalog, other)
    for proved in chosen(subject):
        is_watched = proved.may_write
        names = [name for name in subject.entry.statement.variants[proved.key].parameters if name != TENANT_PARAMETER]
        mixes = [names, names[::2], names[1::2]] if len(names) > 1 else [names]
        rounds = [(Round(n), mix) for n, mix in enumerate(mixes, 1)]
        if is_written(subject, proved):
            # With values of an existing row, an INSERT may fail as a duplicate before it does harm. So a new row is tried too.
            rounds.append((Round(len(rounds) + 1, is_new=True), names))
        for each, mix in rounds:
            owners = dict.fromkeys(mix, other)
            try:
                values = await trials.arguments.values(subject, proved, owners, each)
            except SampleError:
                continue  # There are no such values. If no run of a variant is possible at all, observing.py reports this.
            async with undone(trials.connection):
                outcome = await trials.run(subject, proved, values)
                await framing.compare(trials, subject, proved, values, outcome)
                after = await _fingerprint(trials.connection, subject.catalog, other) if is_watched else before
            found[proved.key, each.n, tuple(owners.items())] = values, outcome
            _judge(subject, outcome, values, other)
            if after != before:
                changed = ", ".join(sorted(name for name in before if before[name] != after[name]))
                subject.say(
                    "foreign-rows-changed", f"rows of another tenant were changed in {changed}",
                    proved="run as one tenant with the keys of another",
                    remedy="name the tenant of every relation that it writes",
                )  # fmt: skip
    return found


def _judge(subject: Subject, outcome: Outcome, values: Sequence[object], other: UUID) -> None:
    given = {str(each) for value in values for each in (value, *(value if isinstance(value, list) else ()))}
    for row in outcome.rows:
        for column, value in zip(outcome.columns, row, strict=True):
            shown = value.hex() if isinstance(value, bytes) else str(value)
            is_theirs = mark(other) in shown or str(other) in shown
            if is_theirs and str(value) not in given and not subject.note("crosses"):
                subject.say(
                    "foreign-value-answered", f"'{column}' held a value of another tenant",
                    proved="run as one tenant with the keys of another",
                    remedy="name the tenant, or write '-- crosses: who is told, and why that is well'",
                )  # fmt: skip


async def _repeat(trials: Trials, subject: Subject, attempts: Mapping[Attempt, tuple[list[object], Outcome]]) -> None:
    """Repeat the runs after the other tenant's rows were deleted: the results must not depend on whether those rows exist."""
    for (key, _, _), (values, outcome) in attempts.items():
        async with undone(trials.connection):
            again = await trials.run(subject, subject.proved[key], values)
        known = {str(value) for value in values}
        is_drawn = _draws_numbers(subject.proved[key])
        if _plain(again, known, is_drawn=is_drawn) != _plain(outcome, known, is_drawn=is_drawn) and not subject.note(
            "crosses"
        ):
            was, now = _words(outcome), _words(again)
            subject.say(
                "foreign-rows-told", f"its answer depends on rows of another tenant: {was} with them, {now} without",
                proved="run twice as one tenant with the keys of another",
                remedy="name the tenant of every relation that it reads",
            )  # fmt: skip


def _words(outcome: Outcome) -> str:
    return f"SQLSTATE {outcome.failure}" if outcome.failure else f"{outcome.touched}, {len(outcome.rows)} rows"


def _draws_numbers(proved: Proved) -> bool:
    """Whether a variant draws numbers from a sequence, which goes on after a run that was rolled back."""
    for query in proved.run:
        names = (each.function.name for each in query.callees)
        if "nextval" in names or any(node.kind == "NEXTVALUEEXPR" for node in walk(query.node)):
            return True
    return False


def _plain(outcome: Outcome, known: set[str], *, is_drawn: bool) -> object:
    """The parts of an outcome that must be equal when a run is repeated.

    Values that are new in every run (generated ids, the current time) are replaced by fixed words. `known` are the parameter
    values as text; ids among them are not replaced.
    """

    def plain(value: object) -> object:
        if isinstance(value, dt.datetime):
            # A time without a zone may be that of any zone.
            now = dt.datetime.now(dt.UTC) if value.tzinfo else dt.datetime.now(dt.UTC).replace(tzinfo=None)
            return "a time" if abs(value - now) < dt.timedelta(hours=1 if value.tzinfo else 25) else value
        if is_drawn and isinstance(value, int) and not isinstance(value, bool):
            return "a number"
        if isinstance(value, UUID):
            return value if str(value) in known or value.version is None else "an id"
        if isinstance(value, str):
            return _UUID.sub(lambda match: match.group() if match.group() in known else "an id", value)
        return value

    return outcome.failure, outcome.touched, [tuple(map(plain, row)) for row in outcome.rows]


async def _fingerprint(connection: Any, catalog: Catalog, tenant: UUID) -> dict[str, str]:
    """Maps the name of each table whose rows belong to tenants to a hash of all rows that the tenant has there."""
    parts = [
        f"SELECT '{table}', md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} AS t WHERE {column} = $1"
        for table, column in catalog.tenant_tables.items()
    ]
    return dict(await connection.fetch(" UNION ALL ".join(parts), tenant))


async def _empty(connection: Any, catalog: Catalog, tenant: UUID) -> None:
    """Delete all rows of a tenant, except the row that describes it in app.tenants and the counter of its log in app.heads."""
    await connection.execute("SET LOCAL session_replication_role = replica")
    for table, column in catalog.tenant_tables.items():
        if table not in ("app.tenants", "app.heads"):
            await connection.execute(f"DELETE FROM {table} WHERE {column} = $1", tenant)
    await connection.execute("SET LOCAL session_replication_role = origin")
