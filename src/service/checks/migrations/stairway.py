"""Applies a migration, rolls it back and applies it again, and compares the catalogs.

After the rollback, the catalog must be the same as before the migration. After the migration was applied again, it must be
the same as after the first time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.checks.findings import Finding
from service.checks.migrations import catalog_text, scripts
from service.checks.migrations.catalog_text import Catalog, Difference
from service.checks.migrations.scripts import Refused, Script

_SHOWN = 4
_ON_NO_ROWS = "it was run after the migrations before it, on tables without rows."
_VERBS = {"left": "leaves", "lost": "loses", "changed": "changes"}
_REMEDIES = {"left": "Let {} drop it.", "lost": "Let {} make it again.", "changed": "Let {} make it as it was."}


class Impassable(Exception):
    """The database is in a state in which later migrations can't be checked."""


class Stairway:
    """Applies and rolls back migrations, one at a time, as the owner and on tables without rows."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.findings: list[Finding] = []

    async def up(self, script: Script) -> None:
        """Apply a migration. Raises Impassable if that fails."""
        try:
            await scripts.run(self._connection, script)
        except Refused as refused:
            remedy = (
                "Bind each tenant in turn: policies apply to the owner too." if refused.is_unbound else "Correct it."
            )
            self._refused("migration-fails", script, script, refused, remedy)
            raise Impassable from refused

    async def down_and_up(self, script: Script, before: Catalog) -> Catalog:
        """Roll back a migration that has just been applied, and apply it again. Returns the catalog afterwards.

        `before` is the catalog from before the migration. Raises Impassable if the database is then in an unknown state.
        """
        above = await catalog_text.read(self._connection)
        path = script.path.with_suffix(".rollback.sql")
        if not _exists(path):
            place, message, remedy = script.span_of(), "there is no way back.", f"Write {path.name}."
            self.findings.append(Finding("way-back-missing", script.id, place, message, f"no {path.name}.", remedy))
        elif await self._down(script, scripts.read(path), before):
            return await self._again(script, above)
        elif not script.is_transactional:
            raise Impassable
        return above

    async def _down(self, script: Script, back: Script, before: Catalog) -> bool:
        """Run the rollback file `back`. Returns whether the catalog is then the same as `before`.

        If it differs and the rollback runs in a transaction, this transaction is rolled back, so the migration stays applied.
        """
        found: list[Difference] = []

        async def leads_to_before() -> bool:
            found.extend(catalog_text.differences(before, await catalog_text.read(self._connection)))
            return not found

        try:
            await scripts.run(self._connection, back, in_transaction=script.is_transactional, is_kept=leads_to_before)
        except Refused as refused:
            remedy = "Take back what the migration did, the last of it first."
            self._refused("way-back-fails", script, back, refused, remedy)
            return False
        if found:
            remedy = _REMEDIES[found[0].how].format(back.path.name)
            self._differs("way-back-differs", script, back, found, way="the way back", remedy=remedy)
        return not found

    async def _again(self, script: Script, above: Catalog) -> Catalog:
        try:
            await scripts.run(self._connection, script, in_transaction=script.is_transactional)
        except Refused as refused:
            remedy = "Let the way back leave nothing of it, nor in rows."
            self._refused("up-again-fails", script, script, refused, remedy)
            raise Impassable from refused
        again = await catalog_text.read(self._connection)
        if found := catalog_text.differences(above, again):
            remedy = "Let it do the same every time."
            self._differs("up-again-differs", script, script, found, way="going back and up again", remedy=remedy)
        return again

    def _refused(self, code: str, script: Script, place: Script, refused: Refused, remedy: str) -> None:
        span = place.span(refused.statement) if refused.statement else place.span_of()
        message = f"the server refuses this: {refused}."
        self.findings.append(Finding(code, script.id, span, message, _ON_NO_ROWS, remedy))

    def _differs(
        self, code: str, script: Script, place: Script, found: Sequence[Difference], *, way: str, remedy: str
    ) -> None:
        first = found[0]
        more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        proved = f"the catalogs differ: {'; '.join(map(str, found[:_SHOWN]))}{more}."
        message = f"{way} {_VERBS[first.how]} {first.line.kind} {first.line.name}."
        self.findings.append(Finding(code, script.id, place.span_of(*first.names), message, proved, remedy))


def _exists(path: Path) -> bool:
    return path.exists()
