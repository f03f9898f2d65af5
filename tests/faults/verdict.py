"""What there is after a run, against what its clients were told."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from time import monotonic
from typing import Any

import asyncpg

from arranging.accounts import NewTenant
from faults.load import Load
from service.settings.settings import Settings

_PATIENCE = 20.0
_OPEN = """
SELECT pid, xact_start, state, left(query, 80) AS query FROM pg_stat_activity
 WHERE usename = 'quarry_app' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
"""
_ROWS = """
SELECT 'campaigns' AS table, id::text, name, version, description FROM quarry.campaigns WHERE tenant_id = $1
UNION ALL SELECT 'contents', id::text, title, version, NULL FROM quarry.contents WHERE tenant_id = $1
"""
_KEYS = "SELECT key FROM quarry.idempotency_keys WHERE tenant_id = $1 AND answer IS NOT NULL"
_NUMBERS = "SELECT number FROM app.commits WHERE tenant_id = $1 ORDER BY number"


@dataclass
class Verdict:
    """Counts; all but the first are to be nothing."""

    acknowledged: int
    missing: int = 0
    """Rows and changes that were acknowledged and are not there."""
    duplicates: int = 0
    """Rows beyond the first of a key."""
    unexplained: int = 0
    """Rows, changes and answered keys that nobody was told of."""
    renumbered: int = 0
    """Acknowledged writes without a commit of their own in a dense log."""
    left_open: int = 0
    """Transactions of the service that go on while nobody asks for anything."""

    @property
    def is_clean(self) -> bool:
        return not (self.missing or self.duplicates or self.unexplained or self.renumbered or self.left_open)


async def judged(settings: Settings, load: Load) -> Verdict:
    """Look at everything as superuser, past the service."""
    root = await asyncpg.connect(settings.administration().url)
    try:
        verdict = Verdict(load.writes, left_open=len(await _left_open(root)))
        for tenant in load.tokens:
            await _judge(root, load, tenant, verdict)
        return verdict
    finally:
        await root.close()


async def _judge(root: Any, load: Load, tenant: NewTenant, verdict: Verdict) -> None:
    there = {(row["table"], row["id"]): row for row in await root.fetch(_ROWS, tenant.id)}
    told = {(row.table, row.id): row for row in load.rows if row.tenant is tenant}
    names = Counter(row["name"] for row in there.values())
    changes = 0
    for key, row in told.items():
        found = there.get(key)
        if found is None or found["name"] != f"{tenant.domain} {row.key}":
            verdict.missing += 1
            continue
        changes += row.version - 1
        verdict.missing += max(row.version - found["version"], 0)
        verdict.unexplained += max(found["version"] - row.version, 0)
        verdict.missing += row.table == "campaigns" and (found["description"] or "") != row.changed_by
    verdict.duplicates += sum(count - 1 for count in names.values())
    # Two answers to different keys that name the same row are one row too few.
    verdict.missing += sum(row.tenant is tenant for row in load.rows) - len(told)
    verdict.unexplained += len(there.keys() - told.keys())
    keys = await root.fetchval(f"SELECT count(*) FROM ({_KEYS}) AS k", tenant.id)
    verdict.unexplained += abs(keys - len(told) - changes)
    numbers = [number for (number,) in await root.fetch(_NUMBERS, tenant.id)]
    own = Counter(int(position.partition("-")[2]) for position in load.positions[tenant])
    verdict.renumbered += sum(count - 1 for count in own.values()) + len(own.keys() - set(numbers))
    verdict.renumbered += numbers != list(range(1, len(numbers) + 1))


async def _left_open(root: Any) -> list[Any]:
    """Those transactions of now that do not end by themselves; the service looks at the log all the time."""
    seen = {(row["pid"], row["xact_start"]) for row in await root.fetch(_OPEN)}
    deadline = monotonic() + _PATIENCE
    while True:
        still = [row for row in await root.fetch(_OPEN) if (row["pid"], row["xact_start"]) in seen]
        if not still or monotonic() > deadline:
            return still
        await asyncio.sleep(0.05)
