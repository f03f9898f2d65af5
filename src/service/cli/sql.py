"""The commands `quarry sql check|list|show|explain|report`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from service.api.routes import by_handler
from service.checks import entries as catalogue
from service.checks import findings, plans, proving, scratch, suite
from service.checks.entries import Entry
from service.checks.findings import Finding
from service.checks.migrations import suite as migrations
from service.checks.plans import Plan
from service.checks.proofs import catalog
from service.checks.proving import Subject
from service.checks.review import report as reports
from service.checks.review import showing
from service.checks.review.explaining import explain as explained
from service.cli.installation import database, installed, refuse_in_production
from service.cli.terminal import say, wait_for
from service.database.diagnosis import explaining
from service.errors import OperatorError
from service.settings.settings import Settings
from service.statements.statement import suggest
from service.work import Work

app = typer.Typer(
    help="SQL: check every statement, list, show and explain them, write the report.", no_args_is_help=True
)

AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Names = Annotated[
    list[str] | None, typer.Argument(help="Statements (campaigns.page) or files (campaigns). Default: all.")
]
_NOBODY = UUID(int=0)


@app.command()
def check(names: Names = None, as_json: AsJson = False) -> None:
    """Check the named statements on a temporary database. Without names, check all statements and all migrations.

    The exit status is 1 if a statement or a migration breaks a rule.
    """
    chosen = _chosen(names)
    began = time.monotonic()
    with installed() as local:
        found = wait_for(_check(local, chosen, is_whole=not names))
    wrong = [each for each in found if not each.is_note]
    if as_json:
        print(json.dumps([each.as_json for each in found], indent=2))
    else:
        for block in findings.printed(found):
            print(block, end="\n\n")
    variants = sum(len(each.statement.variants) for each in chosen)
    summary = f"{len(chosen)} statements in {variants} variants, {time.monotonic() - began:.0f} s"
    if wrong:
        raise OperatorError(f"{len(wrong)} findings in {summary}", "" if as_json else "each says what to change")
    say(f"quarry: nothing to find fault with in {summary}")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all statements, each with its kind, its scope, its number of variants, what its cost grows with, and its tables."""
    subjects = _proved(_chosen(None))
    if as_json:
        print(json.dumps([showing.as_json(each) for each in subjects], indent=2))
        return
    for line in showing.listed(subjects):
        print(line)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A statement, such as campaigns.page.")], as_json: AsJson = False
) -> None:
    """Show a statement and the facts that the checks prove: parameters, columns, row count, order, policies, plan, callers."""
    with installed() as local:
        subject, plan = wait_for(_show(local, _one(name)))
    print(json.dumps(showing.as_json(subject), indent=2) if as_json else showing.shown(subject, plan))


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="A statement, such as campaigns.page.")],
    values: Annotated[
        list[str] | None, typer.Argument(help="Parameters as name=value; others leave the plan generic.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="The domain of the tenant that the statement is bound to.")] = None,
    analyze: Annotated[bool, typer.Option("--analyze", help="Run it, undo it, and show what it touched.")] = False,
) -> None:
    """Print the plan of a statement on the configured database, made as the role that runs this statement in the service."""
    entry = _one(name)
    given = dict(_split(each) for each in values or ())
    with installed() as local:
        for line in wait_for(_explain(local, entry, given, tenant, analyze=analyze)):
            print(line)


@app.command()
def report(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("quarry-sql.html"),
) -> None:
    """Write an HTML file with all facts that the checks prove about the statements. It can be read offline; prints its path."""
    with installed() as local:
        page = wait_for(_report(local))
    output.write_text(page, encoding="utf-8")
    print(output)


async def _check(local: Settings, chosen: Sequence[Entry], *, is_whole: bool) -> list[Finding]:
    address = local.administration()
    with explaining(address):
        async with _scratch(local) as connection:
            examined = await suite.examine(connection, local.database_schema, chosen, is_whole=is_whole)
        found = examined.findings
        if is_whole:
            async with scratch.database(address, local.database_schema, migrate=False) as made:
                checked = await migrations.check(made, local.database_schema, fill=suite.fill)
            found += checked.findings
    return found


@contextlib.asynccontextmanager
async def _scratch(local: Settings) -> AsyncIterator[Any]:
    refuse_in_production(local, "quarry sql")
    async with (
        scratch.database(local.administration(), local.database_schema) as made,
        scratch.connected(made, local.database_schema) as connection,
    ):
        yield connection


def _proved(chosen: Sequence[Entry]) -> list[Subject]:
    with installed() as local:
        return wait_for(_prove(local, chosen))


async def _show(local: Settings, entry: Entry) -> tuple[Subject, Plan | None]:
    with explaining(local.administration()):
        async with _scratch(local) as connection:
            [subject] = await proving.prove(connection, await catalog.load(connection), [entry])
            return subject, await plans.generic(connection, subject, subject.widest) if subject.proved else None


async def _prove(local: Settings, chosen: Sequence[Entry]) -> list[Subject]:
    with explaining(local.administration()):
        async with _scratch(local) as connection:
            return await proving.prove(connection, await catalog.load(connection), chosen)


async def _explain(
    local: Settings, entry: Entry, values: dict[str, str], tenant: str | None, *, analyze: bool
) -> list[str]:
    bound = _NOBODY
    if tenant is not None:
        async with database(local, personal=False) as opened, Work(opened, None, read_only=True) as work:
            found = await work.tenants.find_by_domain(tenant)
        if found is None:
            raise OperatorError(f"there is no tenant {tenant}", "see `quarry tenants list`")
        bound = found.id
    address = local.address("quarry_platform" if entry.statement.scope == "platform" else "quarry_app")
    with explaining(address):
        async with scratch.connected(address, local.database_schema) as connection:
            return await explained(connection, entry, bound, values, analyze=analyze)


def _chosen(names: Sequence[str] | None) -> list[Entry]:
    """The statements that `names` name, each by its own name or by that of its file; all statements if `names` is empty.

    Raises OperatorError for an unknown name.
    """
    entries = catalogue.entries(Work)
    known = dict.fromkeys(name for each in entries for name in (each.label, each.repository.aggregate))
    for name in names or ():
        if name not in known:
            raise OperatorError(f"there is no statement '{name}'", suggest(name, list(known)))
    return [each for each in entries if not names or each.label in names or each.repository.aggregate in names]


def _one(name: str) -> Entry:
    found = [each for each in _chosen([name]) if each.label == name]
    if not found:
        raise OperatorError(
            f"'{name}' is a file of statements", f"name one of them, such as {_chosen([name])[0].label}"
        )
    return found[0]


def _split(given: str) -> tuple[str, str]:
    name, sign, value = given.partition("=")
    if not sign:
        raise OperatorError(f"'{given}' is no parameter", "write name=value")
    return name, value


async def _report(local: Settings) -> str:
    with explaining(local.administration()):
        async with _scratch(local) as connection:
            examined = await suite.examine(connection, local.database_schema, catalogue.entries(Work), is_whole=True)
            return reports.page(await reports.gather(connection, examined.subjects, routes=by_handler()))
