"""quarry tenants"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from pydantic_core import to_json

from service.cli.installation import database, installed, say, wait_for
from service.repos.tenants import Plan, Tenant, TenantStatus
from service.settings import Settings
from service.work import Work

app = typer.Typer(help="Tenants: add, list, show, suspend, activate.", no_args_is_help=True)

Domain = Annotated[str, typer.Argument(help="The tenant's host name, such as acme.example")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command()
def add(domain: Domain, name: Annotated[str, typer.Option(help="The agency's name.")],
        plan: Annotated[str, typer.Option(help="free, pro or enterprise")] = "free") -> None:  # fmt: skip
    """Create a tenant."""

    async def create(local: Settings) -> Tenant:
        async with database(local, "quarry_platform") as opened, Work(opened, None) as work:
            return await work.tenants.create(name=name, domain=domain, plan=_plan(plan))

    with installed() as local:
        tenant = wait_for(create(local))
        say(f"quarry: {tenant.domain} is there; next: quarry users add {tenant.domain} EMAIL --role owner")
        print(tenant.id)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all tenants, newest first."""

    async def collect(local: Settings) -> list[Tenant]:
        tenants: list[Tenant] = []
        async with database(local, "quarry_platform") as opened, Work(opened, None, read_only=True) as work:
            while page := await work.tenants.page(
                limit=200,
                after_created_at=tenants[-1].created_at if tenants else None,
                after_id=tenants[-1].id if tenants else None,
            ):
                tenants += page
        return tenants

    with installed() as local:
        tenants = wait_for(collect(local))
    if as_json:
        print(to_json(tenants, indent=2).decode())
        return
    for tenant in tenants:
        print(f"{tenant.id}  {tenant.status:9}  {tenant.plan:10}  {tenant.domain:30}  {tenant.name}")


@app.command()
def show(domain: Domain) -> None:
    """Print one tenant as JSON."""

    async def look_up(local: Settings) -> Tenant:
        async with database(local, "quarry_platform") as opened, Work(opened, None, read_only=True) as work:
            return await work.tenants.lookup(domain)

    with installed() as local:
        print(json.dumps(json.loads(wait_for(look_up(local)).model_dump_json()), indent=2))


@app.command()
def suspend(domain: Domain) -> None:
    """Refuse the tenant's requests from now on."""
    _set_status(domain, "suspended")


@app.command()
def activate(domain: Domain) -> None:
    """Serve the tenant again."""
    _set_status(domain, "active")


def _set_status(domain: str, status: TenantStatus) -> None:
    async def change(local: Settings) -> Tenant:
        async with database(local, "quarry_platform") as opened, Work(opened, None) as work:
            return await work.tenants.set_status(domain, status)

    with installed() as local:
        tenant = wait_for(change(local))
        say(f"quarry: {tenant.domain} is {tenant.status}")


def _plan(text: str) -> Plan:
    plans: tuple[Plan, ...] = ("free", "pro", "enterprise")
    for plan in plans:
        if plan == text:
            return plan
    raise typer.BadParameter(f"plans are {', '.join(plans)}", param_hint="--plan")
