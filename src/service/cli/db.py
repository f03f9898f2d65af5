"""quarry db"""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

import typer

from service import diagnosis, migrations, provisioning
from service.addresses import Address
from service.cli.installation import confirm, installed, refuse_in_production, say, settings, wait_for
from service.embedded.server import stop as stop_server
from service.errors import OperatorError

app = typer.Typer(help="The database: test, create, drop, roles, url, stop.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def test(as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """Connect as the serving role and say what the connection is like, or what to do about it."""
    with installed() as local:
        report = dataclasses.asdict(wait_for(diagnosis.examine(local.address("quarry_app"))))
        pending = [each.id for each in migrations.status(local.address("quarry_owner"), local.database_schema)
                   if each.applied_at is None]  # fmt: skip
        report |= {
            "pool": f"{local.database_pool_min} to {local.database_pool_max}",
            "pending_migrations": pending,
        }
        if as_json:
            print(json.dumps(report, indent=2))
            return
        for name, value in report.items():
            print(f"{name.replace('_', ' ')}: {', '.join(value) or 'none' if isinstance(value, list) else value}")


@app.command()
def create() -> None:
    """Create the database and its schemas, and the roles where they are missing."""
    with installed(provision=False) as local:
        target = local.administration()
        name = _name(target)
        made = wait_for(provisioning.create_database(_maintenance(target), name))
        wait_for(provisioning.create_roles(target))
        wait_for(provisioning.prepare_database(target))
        say(f"quarry: the database {name} {'has been created' if made else 'is there; schemas and privileges are set'}")


@app.command()
def drop(yes: Yes = False) -> None:
    """Drop the database with everything in it."""
    with installed(provision=False) as local:
        refuse_in_production(local, "db drop")
        target = local.administration()
        name = _name(target)
        confirm(f"This drops the database {name}.", yes=yes)
        gone = wait_for(provisioning.drop_database(_maintenance(target), name))
        say(f"quarry: the database {name} {'has been dropped' if gone else 'was not there'}")


@app.command()
def roles(
    only_print: Annotated[bool, typer.Option("--print", help="Print the SQL for a DBA instead of running it.")] = False,
) -> None:
    """Create the roles of the cluster, as a superuser or a login with CREATEROLE."""
    if only_print:
        print(provisioning.roles_sql(), end="")
        return
    with installed(provision=False) as local:
        wait_for(provisioning.create_roles(_maintenance(local.administration())))
        say("quarry: the roles quarry_owner, quarry_app, quarry_platform and quarry_backup are there")


@app.command()
def url(
    for_yoyo: Annotated[bool, typer.Option("--yoyo", help="As the yoyo command takes it: for migrations.")] = False,
) -> None:
    """Print the address, password included. The embedded server is started and stays up: `quarry db stop` ends it."""
    with installed(keep=True) as local:
        if for_yoyo:
            print(migrations.yoyo_url(local.address("quarry_owner"), local.database_schema))
        else:
            print(local.serving_url())


@app.command()
def stop() -> None:
    """Stop the embedded server."""
    local = settings()
    if not local.is_embedded:
        raise OperatorError("DATABASE_URL names a server that is not ours to stop")
    say("quarry: stopped" if stop_server(local.quarry_home) else "quarry: it was not running")


def _name(address: Address) -> str:
    return urlsplit(address.url).path.lstrip("/") or "postgres"


def _maintenance(address: Address) -> Address:
    """The same server's database `postgres`, which is always there."""
    return dataclasses.replace(address, url=urlunsplit(urlsplit(address.url)._replace(path="/postgres")))
