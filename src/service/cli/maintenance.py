"""The commands `quarry maintenance on|off|status` and `quarry purge`."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from time import monotonic
from typing import Annotated

import typer

from service.cli.installation import database, installed
from service.cli.terminal import say, wait_for
from service.database.database import Database
from service.errors import OperatorError
from service.operations.purging import Purged, purge_all
from service.settings.settings import Settings
from service.tenancy.identity import TenantId
from service.work import Work

app = typer.Typer(help="Maintenance mode (writes are refused, reads continue): on, off, status.", no_args_is_help=True)

_LOOK_EVERY = 0.1
_TELL_EVERY = 2.0
"""The shortest time in seconds between two messages about the progress of `quarry purge`."""


@app.command()
def on(
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for writes that are under way.")] = 60.0,
) -> None:
    """Make all instances refuse writes (error `read_only`, status 503), and wait until the writes in progress have ended."""
    with installed() as local:
        wait_for(_begin(local, wait))
    say("quarry: maintenance is on; nothing is being written")


@app.command()
def off() -> None:
    """End maintenance mode: all instances accept writes again."""
    with installed() as local:
        wait_for(_switch(local, is_read_only=False))
    say("quarry: maintenance is off")


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Print whether maintenance mode is on, that is, whether writes are refused."""
    with installed() as local:
        is_on = wait_for(_is_on(local))
    print(json.dumps({"maintenance": is_on}) if as_json else ("on" if is_on else "off"))


def purge() -> None:
    """Delete, for every tenant, the rows whose retention period has ended. Running instances do this every hour."""
    with installed() as local:
        purged = wait_for(_purge(local))
    say(f"quarry: {purged.rows} rows forgotten")
    if purged.failures:
        raise OperatorError(
            f"in {purged.failures} tenants something could not be forgotten", "the log above names tenant and statement"
        )


async def _begin(local: Settings, wait: float) -> None:
    async with database(local, "quarry_platform") as opened:
        xid = await Work.run(opened, lambda work: work.installation.set_read_only(True), None)
        deadline = monotonic() + wait
        while not await _has_settled(opened, xid):
            if monotonic() > deadline:
                raise OperatorError(
                    f"maintenance is on, but transactions that began before still run after {wait:.0f} s",
                    "wait and run it again, or end them: see pg_stat_activity",
                )
            await asyncio.sleep(_LOOK_EVERY)


async def _has_settled(opened: Database, xid: int) -> bool:
    return await Work.run(opened, lambda work: work.installation.has_settled(xid), None, read_only=True)


async def _switch(local: Settings, *, is_read_only: bool) -> None:
    async with database(local, "quarry_platform") as opened:
        await Work.run(opened, lambda work: work.installation.set_read_only(is_read_only), None)


async def _is_on(local: Settings) -> bool:
    async with database(local, personal=False) as opened:
        return (await Work.run(opened, lambda work: work.installation.find(), None, read_only=True)).is_read_only


async def _purge(local: Settings) -> Purged:
    told = monotonic()

    def progress(tenant: TenantId, purged: Purged) -> None:
        nonlocal told
        if monotonic() - told > _TELL_EVERY:
            told = monotonic()
            say(f"quarry: {purged.rows} rows of tenant {tenant} forgotten, going on")

    async with database(local, personal=False) as opened:
        return await purge_all(opened, timedelta(seconds=local.session_idle_timeout), progress)
