"""The command `quarry config show`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from service.cli.installation import settings
from service.cli.variables import shown

app = typer.Typer(help="Settings.", no_args_is_help=True)


@app.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Print every setting with its value, in the format of the file `.env`. Secrets are masked."""
    values = shown(settings())
    if as_json:
        print(json.dumps(values, indent=2))
        return
    for name, value in values.items():
        print(f"{name}={_text(value)}")


@app.callback()
def config() -> None:
    """Runs before each command of the group `quarry config`, and does nothing."""


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
