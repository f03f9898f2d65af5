"""The commands `quarry db test|create|drop|roles|url|stop`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated, Any

import typer

from service.cli.installation import installed, refuse_in_production, settings
from service.cli.terminal import confirm, say, wait_for
from service.database import diagnosis
from service.database.database import Database
from service.database.diagnosis import explaining
from service.embedded.server import stop as stop_server
from service.errors import OperatorError
from service.operations.health import DatabaseHealth
from service.schema import migrations, own_schemas, provisioning
from service.settings.settings import Settings

app = typer.Typer(help="The database: test, create, drop, roles, url, stop.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def test(as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Connect as the serving role, and print facts about the connection and the results of health checks of the database.

    If connecting fails, the message says why, and what to do. The exit status is 1 if a check fails.
    """
    with installed() as local:
        report = dataclasses.asdict(wait_for(diagnosis.examine(local.address("quarry_app"))))
        deaf = wait_for(diagnosis.why_deaf(local.listening_address()))
        report |= {
            "pool": f"{local.database_pool_min} to {local.database_pool_max}",
            "changes": f"asked for: {deaf}; CHANGES_LISTEN_URL goes round it" if deaf else "told by LISTEN",
            "replicas": [wait_for(diagnosis.state_of_replica(each)) for each in local.replica_addresses()],
            **_migrations(local),
        }
        checks = wait_for(_checked(local))
    failing = [name for name, check in checks.items() if not check["ok"]]
    if as_json:
        print(json.dumps({**report, "failing": failing, "checks": checks}, indent=2))
    else:
        for name, value in report.items():
            if value is not None:
                print(f"{name.replace('_', ' ')}: {_text(value)}")
        for name, check in checks.items():
            print(f"check {name}: {'ok' if check['ok'] else json.dumps(check)}")
    if failing:
        raise OperatorError(f"failing: {', '.join(failing)}", "see docs/troubleshooting.md; --json has what was found")


@app.command()
def create() -> None:
    """Create the database, its schemas and the roles, as far as they are missing, and set the privileges."""
    with installed(provision=False) as local:
        target = local.administration()
        name = target.database
        with explaining(target):
            made = wait_for(provisioning.create_database(target, name))
            _create_roles(local)
            _note(wait_for(provisioning.prepare_database(target, local.database_schema)))
        say(f"quarry: the database {name} {'has been created' if made else 'is there; schemas and privileges are set'}")


@app.command()
def drop(yes: Yes = False) -> None:
    """Drop the database with everything in it. Refused in production."""
    loaded = settings()
    refuse_in_production(loaded, "db drop")
    name = loaded.database_name if loaded.is_embedded else loaded.administration().database
    confirm(f"drops the database {name}", yes=yes)
    with installed(provision=False) as local, explaining(local.administration()):
        gone = wait_for(provisioning.drop_database(local.administration(), name))
        say(f"quarry: the database {name} {'has been dropped' if gone else 'was not there'}")


@app.command()
def roles(
    only_print: Annotated[bool, typer.Option("--print", help="Print the SQL for a DBA instead of running it.")] = False,
) -> None:
    """Create the roles that the service uses. The login in DATABASE_MIGRATION_URL has to be a superuser or have CREATEROLE."""
    if only_print:
        print(provisioning.roles_sql(settings().limits), end="")
        return
    with installed(provision=False) as local, explaining(local.administration()):
        if not _create_roles(local):
            say("quarry: the roles quarry_owner, quarry_app, quarry_platform and quarry_backup are there")


@app.command()
def url(
    for_yoyo: Annotated[bool, typer.Option("--yoyo", help="As the yoyo command takes it: for migrations.")] = False,
    schema: Annotated[
        str | None, typer.Option(help="With --yoyo: of a tenant's own schema, for sql/migrations/tenant.")
    ] = None,
) -> None:
    """Print the URL of the database, including the password. If the embedded server is used, it runs until `quarry db stop`."""
    with installed(keep=True) as local:
        if for_yoyo:
            print(migrations.yoyo_url(local.address("quarry_owner"), schema or local.database_schema))
        else:
            print(local.serving_url())


@app.command()
def stop() -> None:
    """Stop the embedded PostgreSQL server, if it is running."""
    local = settings()
    if not local.is_embedded:
        raise OperatorError("DATABASE_URL names a server that is not ours to stop")
    say("quarry: stopped" if stop_server(local.quarry_home) else "quarry: it was not running")


async def _checked(local: Settings) -> dict[str, dict[str, Any]]:
    """The results of the health checks that concern the database, by the checks' names. `/healthz` runs these checks too."""
    async with Database.open(
        local.address("quarry_app"), local.limits, schema=local.database_schema, name="quarry db test"
    ) as opened:
        return await DatabaseHealth(opened, local.changes_max_age).report()


def _create_roles(local: Settings) -> bool:
    """Create the roles, and print what this login was not allowed to do. Returns whether there was anything to print."""
    return _note(wait_for(provisioning.create_roles(local.administration(), local.limits)))


def _note(notes: list[str]) -> bool:
    for note in notes:
        say(f"quarry: {note}\n  → give `quarry db roles --print` to a DBA")
    return bool(notes)


def _migrations(local: Settings) -> dict[str, object]:
    """The entries about migrations in the report of `quarry db test`: how many are applied, and the ids of the pending ones.

    Both are None if they can't be read, and `migrations_unknown` says why. For example, the settings may have only the login
    of the serving role, which can't become quarry_owner.
    """
    address = local.address("quarry_owner")
    try:
        wait_for(diagnosis.require(address))
        found = own_schemas.status(address, local.database_schema)
    except OperatorError as error:
        return {"applied_migrations": None, "pending_migrations": None, "migrations_unknown": error.message}
    return {
        "applied_migrations": sum(each.applied_at is not None for each in found),
        "pending_migrations": [each.id for each in found if each.applied_at is None],
        "migrations_unknown": None,
    }


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) or "none" if isinstance(value, list) else str(value)
