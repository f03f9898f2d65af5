"""The commands `quarry seed run|truncate|list`."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.installation import installed, settings
from service.cli.terminal import confirm, say, wait_for
from service.operations import seeding

app = typer.Typer(help="Seeds: run, truncate, list.", no_args_is_help=True)

Set = Annotated[str, typer.Argument(help="base, demo or load")]


@app.command()
def run(
    name: Set = "base",
    tenants: Annotated[int, typer.Option(min=1, help="For load: how many tenants.")] = 10,
    users: Annotated[int, typer.Option(min=1, help="For load: users of each tenant.")] = 10,
    campaigns: Annotated[int, typer.Option(min=1, help="For load: campaigns of each tenant.")] = 1000,
) -> None:
    """Insert the rows of a set of seeds (base, demo or load). A second run with the same options changes nothing."""
    seeding.check(settings(), name)
    parameters = {"tenants": tenants, "users_per_tenant": users, "campaigns_per_tenant": campaigns}
    with installed() as local:
        wait_for(seeding.seed(local, name, say, parameters))


@app.command()
def truncate(name: Set, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Delete the rows of a set of seeds. The set's tenants are deleted with all their rows, also rows that users have added."""
    seeding.check_truncation(settings(), name)
    confirm(f"deletes the rows of the set {name} and what was made with them", yes=yes)
    with installed() as local:
        wait_for(seeding.truncate(local, name, say))


@app.command("list")
def list_() -> None:
    """Print the names of all sets of seeds."""
    print("\n".join(seeding.sets()))
