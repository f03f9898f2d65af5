"""`quarry`: puts the groups together and turns errors into one line and an exit status."""

from __future__ import annotations

import sys

import typer

from service.cli import config, db, migrate, seed, serve, tenants, users
from service.cli.installation import say
from service.errors import OperatorError, ServiceError

app = typer.Typer(
    name="quarry",
    help="Quarry: a multi-tenant service for creator marketing on hand-written SQL. "
    "Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("dev")(serve.dev)
app.command("serve")(serve.serve)
app.add_typer(db.app, name="db")
app.add_typer(migrate.app, name="migrate")
app.add_typer(seed.app, name="seed")
app.add_typer(tenants.app, name="tenants")
app.add_typer(users.app, name="users")
app.add_typer(config.app, name="config")


def main() -> None:
    """Entry point of the command; a user's mistake gets one line and a remedy, never a traceback."""
    try:
        app()
    except OperatorError as error:
        say(f"quarry: {error.message}" + (f"\n  → {error.remedy}" if error.remedy else ""))
        sys.exit(1)
    except ServiceError as error:
        details = "; ".join(f"{each.field}: {each.message}" for each in error.errors)
        say(f"quarry: {error.message}" + (f" ({details})" if details else ""))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
