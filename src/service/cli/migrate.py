"""The commands `quarry migrate up|down|pending|show|check|new|fresh`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from service.addresses import Address
from service.cli.installation import database, installed, refuse_in_production, settings
from service.cli.terminal import confirm, first_few, say, wait_for
from service.database import diagnosis
from service.database.diagnosis import explaining
from service.errors import OperatorError, ServiceError
from service.operations import rotation
from service.schema import migrations, own_schemas, provisioning, scaffold
from service.schema.migrations import Status
from service.schema.own_schemas import OwnSchemaFailed
from service.settings.settings import Settings
from service.tenancy import guard, rehearsal
from service.tenancy.identity import TenantId

app = typer.Typer(help="Migrations: up, down, pending, show, check, new, fresh.", no_args_is_help=True)

_MOST_NAMED = 5
_MOST_TOLD = 50
_TELLS_WHO_WAITS = "0014.forget-everywhere"
"""The id of a migration. Since this migration, the database has the function by which `rotation.waiting` finds plain text."""

AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command()
def up() -> None:
    """Apply pending migrations, then encrypt personal data that they have left as plain text. Several runs at once are safe."""
    with installed() as local:
        migrate(local)


@app.command()
def down(
    count: Annotated[int, typer.Argument(min=1, help="How many to take back.")] = 1,
    in_production: Annotated[bool, typer.Option("--in-production", help="Do it in production.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Roll back the last COUNT migrations. Columns and tables that these migrations created are dropped with their data."""
    if settings().environment == "production" and not in_production:
        raise OperatorError(
            "`migrate down` is refused in production",
            "add --in-production where what it takes away is not needed any more",
        )
    with installed() as local:
        chosen = migrations.last(_owner(local), local.database_schema, count)
        confirm(f"takes back {', '.join(chosen)}, with what is in the columns and tables that they made", yes=yes)
        done = own_schemas.down(_owner(local), local.database_schema, chosen, say)
        say(f"quarry: {len(done)} taken back")


@app.command()
def pending(as_json: AsJson = False) -> None:
    """List the migrations that are not applied yet."""
    with installed() as local:
        names = [each.id for each in _status(local) if each.applied_at is None]
    print(json.dumps(names) if as_json else "\n".join(names), end="\n" if names or as_json else "")


@app.command()
def show(as_json: AsJson = False) -> None:
    """List all migrations, with the time at which each was applied (UTC), and whether its file was edited or is missing."""
    with installed() as local:
        found = _status(local)
    if as_json:
        print(json.dumps([{"id": s.id, "applied_at": s.applied_at and s.applied_at.isoformat(), "state": _state(s)}
                          for s in found], indent=2))  # fmt: skip
        return
    for each in found:
        when = f"{each.applied_at:%Y-%m-%d %H:%M:%S}" if each.applied_at else "-" * 19
        print(f"{when}  {_state(each):8} {each.id}")


@app.command()
def check() -> None:
    """Check the migrations, and check in the catalog that the database isolates the tenants from each other.

    The exit status is 1 if a migration is pending, if the file of an applied migration was edited or is missing, or if the
    catalog breaks a rule that isolates tenants.
    """
    with installed() as local:
        wrong = [f"{each.id} is {_state(each)}" for each in _status(local) if _state(each) != "applied"]
        wrong += wait_for(_findings(local))
        if wrong:
            raise OperatorError(
                "; ".join(first_few(wrong, _MOST_TOLD)),
                "apply what is pending; put changed files back and write a new migration",
            )
        say("quarry: files, database and catalog agree")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="verb-noun, such as add-harbour-dues")],
    table: Annotated[str | None, typer.Option(help="Write a new tenant table that follows the rules.")] = None,
) -> None:
    """Write the files of a new migration and of its rollback, for you to fill in; prints their paths."""
    for path in scaffold.write(name, table):
        print(path)


@app.command()
def fresh(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Drop all tables of the service with their data, and apply all migrations again. Refused in production."""
    refuse_in_production(settings(), "migrate fresh")
    confirm("drops every table of the service with everything in it", yes=yes)
    with installed() as local:
        with explaining(local.administration()):
            owner = _owner(local)
            everything = [*own_schemas.own(owner, local.database_schema), local.database_schema, "app"]
            wait_for(provisioning.drop_schemas(owner, everything))
            wait_for(provisioning.prepare_database(local.administration(), local.database_schema))
        migrate(local)


def migrate(local: Settings) -> None:
    """Apply pending migrations, check the catalog (tenancy/guard.py), and seal personal data that the migrations left plain.

    A migration can't seal personal data itself, because the database does not have the keys. Tenants that had plain text
    before the migrations are left out: a message says so.
    """
    failure, waited = None, _waiting_before(local)
    try:
        done = own_schemas.up(_owner(local), local.database_schema, say, verify=rehearsal.findings)
    except OwnSchemaFailed as error:
        # Go on: the other schemas are migrated, so check them, and seal their plain text. Raise this error at the end.
        failure = error
    findings = wait_for(_findings(local))
    if findings:
        before = f"{failure.message}; all else is " if failure is not None else ""
        raise OperatorError(f"{before}migrated, but the catalog breaks a rule: {'; '.join(findings)}")
    try:
        wait_for(_seal(local, waited))
    except OperatorError as error:
        say(
            f"quarry: personal data that may wait to be sealed was left as it is: {error.message}\n"
            f"  → {error.remedy}; then run `quarry pii seal`"
        )
    except ServiceError as error:
        say(f"quarry: personal data may still wait to be sealed: {error.message}\n  → run `quarry pii seal`")
    if waited:
        say(
            f"quarry: {tenants_listed(waited)}: plain text waited to be sealed before this, and was left as it is\n"
            "  → `quarry pii rotate` names the rows; look where they come from, then run `quarry pii seal`"
        )
    if failure is not None:
        raise failure
    say(f"quarry: {len(done)} applied" if done else "quarry: nothing to apply")


def _waiting_before(local: Settings) -> list[TenantId]:
    """The tenants that have personal data in plain text before the migrations run.

    This plain text is not sealed automatically, because anybody who can write to the database may have put it there. If the
    database does not have migration 0014 yet, such tenants can't be found. Then the result is empty, and all plain text is
    sealed after the migrations.
    """
    applied = {each.id for each in migrations.status(_owner(local), local.database_schema) if each.applied_at}
    return wait_for(waiting(local)) if _TELLS_WHO_WAITS in applied else []


def tenants_listed(tenants: Sequence[TenantId]) -> str:
    """A text for a message: the ids of the first few of `tenants`, and how many others there are."""
    return f"tenant{'s' if len(tenants) > 1 else ''} {', '.join(first_few(tenants, _MOST_NAMED))}"


async def waiting(local: Settings) -> list[TenantId]:
    """The tenants that have personal data in plain text, which is still to be sealed. No keys are needed to find them."""
    async with database(local, personal=False) as opened:
        return await rotation.waiting(opened)


async def _seal(local: Settings, waited: list[TenantId]) -> None:
    """Seal the plain text of all tenants except for those in `waited`, which already had plain text before the migrations."""
    tenants = [tenant for tenant in await waiting(local) if tenant not in waited]
    if tenants:
        async with database(local) as opened:
            report = await rotation.seal(opened, tenants, say)
        for line in report.lines():
            say(f"quarry: {line}")


async def _findings(local: Settings) -> list[str]:
    async with database(local, personal=False) as opened, opened.connection() as connection:
        return [str(finding) for finding in await guard.inspect(connection)]


def _status(local: Settings) -> list[Status]:
    return own_schemas.status(_owner(local), local.database_schema)


def _owner(local: Settings) -> Address:
    """The address for migrations, as the role quarry_owner. Raises OperatorError with a remedy if no connection is possible."""
    address = local.address("quarry_owner")
    wait_for(diagnosis.require(address))
    return address


def _state(each: Status) -> str:
    if each.is_missing:
        return "lost"
    if each.applied_at is None:
        return "pending"
    return "edited" if each.is_changed else "applied"
