"""A million rows, backed up and proved by a restore, with the times that it took."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from time import perf_counter
from typing import Any

import pytest

from backups.conftest import Desk
from service.operations import seeding

_TENANTS, _CAMPAIGNS = 20, 50_000


async def seconds(work: Awaitable[Any]) -> tuple[float, Any]:
    started = perf_counter()
    answer = await work
    return perf_counter() - started, answer


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
async def test_a_million_rows_come_back(desk: Desk) -> None:
    load = {"tenants": _TENANTS, "users_per_tenant": 10, "campaigns_per_tenant": _CAMPAIGNS}
    await seeding.seed(desk.settings, "load", desk.said.append, load)
    size = await desk.ask("SELECT pg_database_size(current_database())")
    before = await desk.ask("SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM quarry.campaigns AS t")
    taking, backup = await seconds(desk.take())
    verifying, _ = await seconds(desk.verify(backup))
    restoring, _ = await seconds(desk.restore(backup))
    assert await desk.ask("SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM quarry.campaigns AS t") == before
    counted = {table.name: table.rows for table in backup.manifest.tables}
    assert counted["quarry.campaigns"] == _TENANTS * _CAMPAIGNS
    print(
        f"\nbackup: {backup.manifest.rows} rows, database {size / 1e6:.0f} MB, backup {backup.manifest.size / 1e6:.0f} MB;"
        f" create {taking:.1f} s, verify {verifying:.1f} s, restore {restoring:.1f} s"
    )
