"""The commands `quarry tenants add|list|show|suspend|activate`. The other commands about tenants are in archives.py."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from typing import Annotated
from uuid import UUID

import typer
from pydantic_core import to_json

from service.cli.installation import database, installed
from service.cli.terminal import say, wait_for
from service.errors import Conflict, NotFound, OperatorError
from service.repos.tenants import Plan, Tenant, TenantStatus
from service.schema import own_schemas
from service.settings.settings import Settings
from service.work import Work

app = typer.Typer(help="Tenants: add, list, show, suspend, activate, export, import, delete.", no_args_is_help=True)

_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")

Domain = Annotated[str, typer.Argument(help="The tenant's host name, such as acme.example")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command()
def add(domain: Domain, name: Annotated[str, typer.Option(help="The agency's name.")],
        plan: Annotated[str, typer.Option(help="free, pro or enterprise")] = "free",
        schema: Annotated[str | None, typer.Option(help="Keep its rows in a schema of its own, of this name.")] = None,
        ) -> None:  # fmt: skip
    """Create a tenant; prints the tenant's id."""
    host, chosen = host_name(domain), _plan(plan)
    if not 1 <= len(name.strip()) <= 200:
        raise OperatorError("a name has 1 to 200 characters", "give it as --name 'Acme Agency'")

    async def create(local: Settings) -> Tenant:
        if schema is not None:
            async with database(local, "quarry_platform") as opened, Work(opened, None, read_only=True) as work:
                if await work.tenants.find_by_domain(host) is not None:
                    raise Conflict("The domain is taken.")
            await own_schemas.build(local.address("quarry_owner"), local.database_schema, schema, say)
        async with database(local, "quarry_platform") as opened, Work(opened, None) as work:
            tenant = await work.tenants.create(name=name.strip(), domain=host, plan=chosen)
            if schema is not None:
                await work.tenants.give_schema(tenant=tenant.id, name=schema)
            return tenant

    with installed() as local:
        tenant = wait_for(create(local))
        say(f"quarry: {tenant.domain} is there; next: quarry users add {tenant.domain} EMAIL --role owner")
        print(tenant.id)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all tenants, newest first."""

    async def collect(local: Settings) -> tuple[list[Tenant], dict[UUID, str]]:
        tenants: list[Tenant] = []
        async with database(local, "quarry_platform") as opened, Work(opened, None, read_only=True) as work:
            while page := await work.tenants.page(
                limit=200,
                after_created_at=tenants[-1].created_at if tenants else None,
                after_id=tenants[-1].id if tenants else None,
            ):
                tenants += page
            return tenants, {each.tenant: each.name for each in await work.tenants.schemas()}

    with installed() as local:
        tenants, own = wait_for(collect(local))
    if as_json:
        print(to_json([_shown(tenant, own) for tenant in tenants], indent=2).decode())
        return
    for tenant in tenants:
        where = f"  (schema {own[tenant.id]})" if tenant.id in own else ""
        print(f"{tenant.id}  {tenant.status:9}  {tenant.plan:10}  {tenant.domain:30}  {tenant.name}{where}")


@app.command()
def show(domain: Domain) -> None:
    """Print the fields of one tenant as JSON."""
    host = host_name(domain)

    async def look_up(local: Settings) -> dict[str, object]:
        async with database(local, "quarry_platform") as opened, Work(opened, None, read_only=True) as work:
            tenant = await _found(host, work.tenants.lookup(host))
            return _shown(tenant, {each.tenant: each.name for each in await work.tenants.schemas()})

    with installed() as local:
        print(to_json(wait_for(look_up(local)), indent=2).decode())


@app.command()
def suspend(domain: Domain) -> None:
    """Suspend a tenant: all requests of its users and programs are refused until the tenant is activated again."""
    _set_status(domain, "suspended")


@app.command()
def activate(domain: Domain) -> None:
    """Activate a suspended tenant: requests of its users and programs are served again."""
    _set_status(domain, "active")


def _set_status(domain: str, status: TenantStatus) -> None:
    host = host_name(domain)

    async def change(local: Settings) -> Tenant:
        async with database(local, "quarry_platform") as opened, Work(opened, None) as work:
            return await _found(host, work.tenants.set_status(host, status))

    with installed() as local:
        tenant = wait_for(change(local))
        say(f"quarry: {tenant.domain} is {tenant.status}")


def _shown(tenant: Tenant, own: Mapping[UUID, str]) -> dict[str, object]:
    """The fields of a tenant for JSON output, and `schema`: the name of the tenant's own schema; None if it has none.

    `own` contains the names of tenants' own schemas by the tenants' ids.
    """
    return {**tenant.model_dump(), "schema": own.get(tenant.id)}


async def _found(host: str, answer: Awaitable[Tenant]) -> Tenant:
    try:
        return await answer
    except NotFound as error:
        raise OperatorError(f"there is no tenant {host}", "see `quarry tenants list`") from error


def host_name(text: str) -> str:
    """A tenant's domain in lower case, as the database stores it. Raises OperatorError if `text` is not a host name."""
    host = text.strip().lower()
    if not _HOST_NAME.match(host):
        raise OperatorError(f"'{text}' is not a host name", "give the tenant's domain, such as acme.example")
    return host


def _plan(text: str) -> Plan:
    plans: tuple[Plan, ...] = ("free", "pro", "enterprise")
    for plan in plans:
        if plan == text:
            return plan
    raise typer.BadParameter(f"plans are {', '.join(plans)}", param_hint="--plan")
