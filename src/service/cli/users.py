"""quarry users"""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.installation import database, installed, say, wait_for
from service.database import Database
from service.errors import NotFound, OperatorError
from service.passwords import Passwords
from service.permissions import ROLES
from service.repos.users import Role, User
from service.settings import Settings
from service.tenancy.identity import TenantId
from service.work import Work, run

app = typer.Typer(help="Users: add, passwd.", no_args_is_help=True)

_SHORTEST = 10

Domain = Annotated[str, typer.Argument(help="The tenant's host name.")]
Email = Annotated[str, typer.Argument(help="The user's address.")]
Password = Annotated[
    str,
    typer.Option(prompt=True, confirmation_prompt=True, hide_input=True, envvar="QUARRY_PASSWORD",
                 help="Asked for when left out."),
]  # fmt: skip


@app.command()
def add(
    domain: Domain,
    email: Email,
    password: Password,
    name: Annotated[str, typer.Option(help="The name shown; the address when left out.")] = "",
    role: Annotated[str, typer.Option(help="owner, admin, member or viewer")] = "member",
) -> None:
    """Create a user of a tenant."""
    _check(password)

    async def create(local: Settings) -> User:
        async with database(local) as opened, Passwords.open() as passwords:
            tenant = await _tenant(opened, domain)
            hashed = await passwords.hash(password)
            async with Work(opened, tenant) as work:
                return await work.users.create(
                    email=email.strip().lower(), display_name=name or email, password_hash=hashed, role=_role(role)
                )

    with installed() as local:
        user = wait_for(create(local))
        say(f"quarry: {user.email} has been created as {user.role} of {domain}")
        print(user.id)


@app.command()
def passwd(domain: Domain, email: Email, password: Password) -> None:
    """Replace a user's password and end their sessions."""
    _check(password)

    async def change(local: Settings) -> None:
        async with database(local) as opened, Passwords.open() as passwords:
            tenant = await _tenant(opened, domain)
            hashed = await passwords.hash(password)
            async with Work(opened, tenant) as work:
                credentials = await work.users.find_credentials(email.strip().lower())
                if credentials is None:
                    raise NotFound(f"There is no user {email} in {domain}.")
                await work.users.set_password(credentials.id, hashed)
                await work.sessions.revoke_of_user(credentials.id)

    with installed() as local:
        wait_for(change(local))
        say(f"quarry: the password of {email} has been replaced and their sessions ended")


async def _tenant(opened: Database, domain: str) -> TenantId:
    entry = await run(opened, lambda work: work.tenants.find_by_domain(domain), None, read_only=True)
    if entry is None:
        raise OperatorError(f"there is no tenant {domain}", "see `quarry tenants list`")
    return TenantId(entry.id)


def _role(text: str) -> Role:
    if text not in ROLES:
        raise typer.BadParameter(f"roles are {', '.join(ROLES)}", param_hint="--role")
    return text  # type: ignore[return-value]


def _check(password: str) -> None:
    if len(password) < _SHORTEST:
        raise OperatorError(f"a password has at least {_SHORTEST} characters")
