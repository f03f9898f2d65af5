"""All checks of statements, in the order in which they build on each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service import files
from service.checks import proving
from service.checks.entries import Entry
from service.checks.findings import Finding, Span
from service.checks.proofs import catalog
from service.checks.proofs.catalog import Catalog
from service.checks.proving import Subject, understanding
from service.checks.rules import (
    caching,
    functions,
    indexes,
    leftovers,
    notes,
    orders,
    planning,
    privileges,
    row_counts,
    signature,
    tenants,
)
from service.checks.runs import attack, growth
from service.checks.runs.samples import SampleError, Sampler
from service.checks.runs.trials import TENANTS

OF_ONE = (
    signature.check,
    row_counts.check,
    tenants.check,
    orders.check,
    functions.check,
    caching.check,
    planning.check,
)
"""The checks that judge one statement by its proofs alone."""


@dataclass(frozen=True)
class Examined:
    """The statements with their proofs and findings; `beside` are the findings that belong to no statement."""

    catalog: Catalog
    subjects: Sequence[Subject]
    beside: Sequence[Finding]

    @property
    def findings(self) -> list[Finding]:
        """All findings: errors and notes."""
        return [*(finding for subject in self.subjects for finding in subject.findings), *self.beside]


async def examine(connection: Any, schema: str, entries: Sequence[Entry], *, is_whole: bool) -> Examined:
    """Check these statements on a migrated database that nothing else uses, over a superuser's connection.

    Set `is_whole` if `entries` are all statements of the service. Then these are reported too: privileges that no statement
    needs, and values that a row model allows but no statement returns.
    """
    known = await catalog.load(connection)
    subjects = await proving.prove(connection, known, entries)
    for subject in subjects:
        for check in OF_ONE:
            with understanding(subject):
                check(subject)
        with understanding(subject):
            await indexes.check(connection, subject)
    held = await privileges.granted(connection)
    elsewhere = await privileges.elsewhere(connection, known)
    implied = functions.implied(known)
    told = {(each.code, each.subject) for each in implied}
    left = [each for each in await leftovers.check(connection, known) if (each.code, each.subject) not in told]
    beside = privileges.check(subjects, known, held, elsewhere)
    if is_whole:
        signature.check_models(subjects)
    left_out: list[SampleError] = []
    sampler = await Sampler.of(connection, schema, left_out)
    left += [
        Finding(
            "no-sample-rows",
            "samples",
            Span(files.sql("migrations"), 1),
            f"{error}",
            "statements over it are not shown by runs",
        )
        for error in left_out
    ]
    await attack.check(connection, sampler, subjects, TENANTS)
    await growth.check(connection, sampler, subjects, TENANTS[0])
    for subject in subjects:
        notes.check(subject)
    return Examined(known, subjects, [*implied, *left, *(beside if is_whole else ())])


async def fill(connection: Any) -> None:
    """Insert a few rows into every existing table; not all migrations need to be applied yet."""
    if await connection.fetchval("SELECT to_regclass('app.heads') IS NOT NULL"):
        schema = await connection.fetchval("SELECT current_schema()")
        await (await Sampler.of(connection, schema)).fill(connection, TENANTS, 3)
