"""Checks every migration: it can be applied and rolled back, does not block other transactions, and keeps tenants apart.

All migrations are run on one separate database, in the order in which they are applied to an installation. Each migration is
first run on tables with rows, to trace what each of its statements does, and undone. Then it is applied, rolled back and
applied again. After the rollback the catalog must be the same as before the migration, and at the end the same as after it
was first applied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from service import files
from service.addresses import Address
from service.checks.findings import Finding
from service.checks.migrations import acceptances, catalog_text, locking, rows, scripts
from service.checks.migrations.acceptances import Acceptance
from service.checks.migrations.catalog_text import Catalog
from service.checks.migrations.locks import OWNER, Fill, Step, trace
from service.checks.migrations.scripts import Script
from service.checks.migrations.stairway import Impassable, Stairway
from service.database import single
from service.database.connection import Connection, Numbered
from service.errors import OperatorError
from service.schema import migration_files
from service.tenancy import guard

_SERVING = "quarry_app"


@dataclass(frozen=True)
class Checked:
    """The findings, the accepted findings with their reasons, and the effects of each statement of the migrations (`steps`)."""

    findings: Sequence[Finding]
    accepted: Sequence[tuple[Finding, str]]
    steps: Sequence[Step]


async def check(
    address: Address,
    schema: str,
    folders: Sequence[Path] | None = None,
    *,
    fill: Fill,
    since: str | None = None,
    accepted: Path | None = None,
) -> Checked:
    """Check all migrations on the database of `address`, which must be set up and empty.

    Its login must be allowed to SET ROLE to the owner and to the serving role. If `since` names a migration, the check begins
    with it; the earlier ones must be applied already, and no table may have rows. `accepted` replaces the file
    `sql/checks/accepted_migrations.txt`. Raises MigrationError if a file can't be read.
    """
    paths = migration_files.ordered(folders)
    ids = [path.stem for path in paths]
    if since is not None and since not in ids:
        raise OperatorError(f"there is no migration {since}", "name one that is in the folders")
    connection = await single.connect(replace(address, role=OWNER))
    try:
        await connection.fetchval("SELECT set_config('search_path', $1, false)", schema)
        run = _Run(connection, fill)
        await run.check([scripts.read(path) for path in paths[ids.index(since) if since else 0 :]])
    finally:
        await connection.close()
    excuses = [*run.acceptances, *acceptances.of_file(accepted or files.sql("checks", "accepted_migrations.txt"))]
    findings, excused = acceptances.sorted_out(run.findings, excuses, run.checked, ids)
    return Checked(findings, excused, run.steps)


class _Run:
    """A run of the checks on one connection, and its results so far."""

    def __init__(self, connection: Any, fill: Fill) -> None:
        self._connection, self._fill = connection, fill
        self._stairway = Stairway(connection)
        self.findings: list[Finding] = []
        self.steps: list[Step] = []
        self.acceptances: list[Acceptance] = []
        self.checked: set[str] = set()

    async def check(self, todo: Sequence[Script]) -> None:
        """Check one migration after the other, and stop if one leaves the database in an unknown state."""
        self.acceptances = [each for script in todo for each in acceptances.of_script(script)]
        origins: dict[str, Script | None] = dict.fromkeys(await self._guarded())
        catalog = await catalog_text.read(self._connection)
        for script in todo:
            try:
                catalog = await self._checked(script, catalog)
            except Impassable:
                self.findings += [*self._stairway.findings, _stopped(script)]
                return
            # A finding of the guard that a migration removes is forgotten. If it occurs again after a later migration, it is
            # reported as caused by that later migration.
            origins = {told: origins.get(told, script) for told in await self._guarded()}
        self.findings += [*self._stairway.findings, *_unguarded(origins)]
        self.checked = {script.id for script in todo}

    async def _checked(self, script: Script, catalog: Catalog) -> Catalog:
        # An earlier migration outside a transaction may have set lock_timeout for the session.
        await self._connection.execute("SET lock_timeout = 0")
        path = script.path.with_suffix(".rollback.sql")
        back = scripts.read(path) if path.exists() else None
        traced = await trace(self._connection, script, self._fill, back)
        steps = traced.steps
        self.steps += steps
        self.findings += locking.judged(script, steps)
        refused = list(locking.refused(script, steps))
        if script.is_transactional:
            # If the server refuses the migration on empty tables too, `up` reports that and raises, so `refused` is not reported.
            await self._stairway.up(script)
        self.findings += refused
        if refused and not script.is_transactional:
            raise Impassable
        returned = await self._stairway.down_and_up(script, catalog)
        # A way back that fails on empty tables is not reported again for tables with rows.
        known = {(each.code, each.subject) for each in self._stairway.findings}
        self.findings += [each for each in rows.judged(script, back, traced) if (each.code, each.subject) not in known]
        return returned

    async def _guarded(self) -> list[str]:
        """The findings of the guard (tenancy/guard.py), which inspects the database as the serving role."""
        await self._connection.execute(f"BEGIN; SET LOCAL ROLE {_SERVING}")
        try:
            return [str(finding) for finding in await guard.inspect(Connection(self._connection, _unasked))]
        finally:
            await self._connection.execute("ROLLBACK")


async def _unasked(_: Numbered) -> None:
    """Never called: Connection would call it after a commit whose outcome is unknown, and here nothing is committed."""


def _stopped(script: Script) -> Finding:
    message = "the migrations after this one were not checked, and the guard was not asked at the end."
    return Finding("later-unchecked", script.id, script.span_of(), message, is_note=True)


_REMEDIES = {
    "column_not_recorded": "Compare the column in the record function of its table (CREATE OR REPLACE FUNCTION record_TABLE).",
    "recorded_column_missing": "Take the column from the record function of its table.",
}


def _unguarded(origins: Mapping[str, Script | None]) -> Iterator[Finding]:
    """A finding for each finding of the guard that remains after the last migration; it names the migration that caused it."""
    for told, script in origins.items():
        if script is not None:
            code, _, object_ = told.partition(": ")
            names = reversed(re.findall(r"\w+", object_.partition(":")[0]))
            yield Finding(
                "tenant-table-unguarded",
                script.id,
                script.span_of(*names),
                f"the guard says {code} of {object_}.",
                f"it was asked as {_SERVING} after this migration, and after the last one.",
                _REMEDIES.get(code, "Make the table as `quarry migrate new NAME --table TABLE` writes one."),
            )
