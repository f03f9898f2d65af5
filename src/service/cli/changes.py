"""The commands `quarry changes reset|consumers|forget`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from service.cli.installation import database, installed
from service.cli.terminal import say, wait_for
from service.errors import OperatorError
from service.settings.settings import Settings
from service.work import Work

T = TypeVar("T")

app = typer.Typer(help="Change streams: reset, consumers, forget.", no_args_is_help=True)


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False,
) -> None:
    """Begin a new epoch: all clients of streams and all consumers have to read the data again, and caches are discarded.

    Run this after restoring data into the same database, because the service can't detect that. If the service
    uses a new database, for example a restored, promoted or copied one, it detects this, and begins a new epoch by itself.
    """
    if not yes and not typer.confirm("Every client and consumer will read its state again. Go on?", err=True):
        raise OperatorError("nothing was done")
    with installed() as local:
        epoch = wait_for(_as_platform(local, lambda work: work.installation.raise_epoch()))
        say(f"quarry: the epoch is {epoch}")


@app.command()
def consumers(
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the consumers: for each, in how many tenants it is behind, fails or was cut off, and since when it is behind."""
    with installed() as local:
        lags = wait_for(_as_platform(local, lambda work: work.cursors.lag()))
    if as_json:
        print(json.dumps([each.model_dump(mode="json") for each in lags], indent=2))
        return
    for each in lags:
        since = "" if each.oldest is None else f", since {each.oldest:%Y-%m-%d %H:%M:%S}"
        print(f"{each.consumer}  behind in {each.tenants}, failing in {each.failing}, cut off in {each.cut_off}{since}")


@app.command()
def forget(name: Annotated[str, typer.Argument(help="As `quarry changes consumers` shows it.")]) -> None:
    """Delete the stored positions of a consumer that no longer exists. If it still runs, it gets resets."""
    with installed() as local:
        places = wait_for(_as_platform(local, lambda work: work.cursors.forget(name)))
        if not places:
            raise OperatorError(f"there is no consumer '{name}'", "list them with `quarry changes consumers`")
        say(f"quarry: forgot {name} in {places} tenants")


async def _as_platform(local: Settings, operation: Callable[[Work], Awaitable[T]]) -> T:
    async with database(local, "quarry_platform") as opened:
        return await Work.run(opened, operation, None)
