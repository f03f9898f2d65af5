"""Registers all commands of the program `quarry`, runs the one that was called, and reports its errors."""

from __future__ import annotations

import typer

from service.cli import (
    archives,
    backup,
    changes,
    config,
    db,
    maintenance,
    migrate,
    pii,
    seed,
    serve,
    sql,
    tenants,
    users,
)
from service.cli.terminal import say
from service.errors import OperatorError, ServiceError

app = typer.Typer(
    name="quarry",
    help="Quarry: a multi-tenant service for creator marketing on hand-written SQL. "
    "Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 terminated. Data goes to stdout, messages to "
    "stderr.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("dev")(serve.dev)
app.command("serve")(serve.serve)
app.add_typer(db.app, name="db")
app.add_typer(migrate.app, name="migrate")
app.add_typer(seed.app, name="seed")
app.add_typer(sql.app, name="sql")
app.add_typer(tenants.app, name="tenants")
tenants.app.command("export")(archives.export)
tenants.app.command("import")(archives.import_)
tenants.app.command("delete")(archives.delete)
app.add_typer(users.app, name="users")
app.add_typer(backup.app, name="backup")
app.add_typer(maintenance.app, name="maintenance")
app.command("purge")(maintenance.purge)
app.add_typer(pii.app, name="pii")
app.add_typer(changes.app, name="changes")
app.add_typer(config.app, name="config")


def run() -> int:
    """Run the command that the program's arguments name. If it fails, report its error. Returns the exit status."""
    try:
        app()
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 0
    except OperatorError as error:
        say(f"quarry: {error.message}" + (f"\n  → {error.remedy}" if error.remedy else ""))
    except ServiceError as error:
        details = "; ".join(f"{each.field}: {each.message}" for each in error.errors)
        say(f"quarry: {error.message}" + (f" {details}" if details else ""))
    return 1
