"""The commands `quarry users add` and `quarry users passwd`."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Annotated
from uuid import uuid4

import typer
from pydantic import TypeAdapter, ValidationError

from service.accounts.passwords import Passwords, weakness
from service.accounts.permissions import ROLES
from service.api.fields import SHORTEST_PASSWORD
from service.api.fields import Email as EmailText
from service.cli.installation import database, installed
from service.cli.terminal import say, wait_for
from service.database.database import Database
from service.errors import NotFound, OperatorError
from service.repos.users import Role, User
from service.settings.settings import Settings
from service.tenancy.identity import TenantId
from service.texts import host_name
from service.work import Work

app = typer.Typer(help="Users: add, passwd.", no_args_is_help=True)

_PASSWORD_VARIABLE = "QUARRY_PASSWORD"  # noqa: S105  the name, not a password

Domain = Annotated[str, typer.Argument(help="The tenant's host name.")]
Email = Annotated[str, typer.Argument(help="The user's address.")]


@app.command()
def add(
    domain: Domain,
    email: Email,
    name: Annotated[str, typer.Option(help="The name shown; the part before the @ when left out.")] = "",
    role: Annotated[str, typer.Option(help="owner, admin, member or viewer")] = "member",
) -> None:
    """Create a user of a tenant; prints the user's id. The password is taken from QUARRY_PASSWORD or, without it, asked for."""
    address = _address(email)
    chosen = _role(role)
    password = _password(address, domain)

    async def create(local: Settings) -> User:
        async with database(local) as opened, Passwords.open() as passwords:
            tenant = await _tenant(opened, domain)
            hashed = await passwords.hash(password)
            async with Work(opened, tenant) as work:
                id = uuid4()
                return await work.users.create(
                    id=id,
                    email=address,
                    display_name=name.strip() or address.partition("@")[0],
                    password_hash=work.binding.seal_hash(hashed, id),
                    role=chosen,
                )

    with installed() as local:
        user = wait_for(create(local))
        say(f"quarry: {user.email} has been created as {user.role} of {domain}")
        print(user.id)


@app.command()
def passwd(domain: Domain, email: Email) -> None:
    """Replace a user's password and end their sessions. The password is taken from QUARRY_PASSWORD or, without it, asked for."""
    address = _address(email)
    password = _password(address, domain)

    async def change(local: Settings) -> None:
        async with database(local) as opened, Passwords.open() as passwords:
            tenant = await _tenant(opened, domain)
            hashed = await passwords.hash(password)
            async with Work(opened, tenant) as work:
                credentials = await work.users.credentials_of(address)
                if credentials is None:
                    raise NotFound(f"There is no user {email} in {domain}.")
                await work.users.set_password(credentials.id, work.binding.seal_hash(hashed, credentials.id))
                await work.sessions.revoke_of_user(credentials.id)

    with installed() as local:
        wait_for(change(local))
        say(f"quarry: the password of {email} has been replaced and their sessions ended")


async def _tenant(opened: Database, domain: str) -> TenantId:
    entry = await Work.run(opened, lambda work: work.tenants.find_by_domain(host_name(domain)), None, read_only=True)
    if entry is None:
        raise OperatorError(f"there is no tenant {domain}", "see `quarry tenants list`")
    return TenantId(entry.id)


def _role(text: str) -> Role:
    if text not in ROLES:
        raise typer.BadParameter(f"roles are {', '.join(ROLES)}", param_hint="--role")
    return text  # type: ignore[return-value]


def _address(text: str) -> str:
    try:
        return TypeAdapter[str](EmailText).validate_python(text).lower()
    except ValidationError as error:
        raise OperatorError(f"'{text}' is not an email address", "give it as name@example.com") from error


def _password(*own: str) -> str:
    """The password in the environment variable QUARRY_PASSWORD. Without this variable, the terminal asks for it twice.

    Raises OperatorError if the password is too short or weak, or if it has to be asked for and there is no terminal. A password
    also counts as weak if it consists of little more than one of the texts in `own`, such as the user's email address.
    """
    given = os.environ.get(_PASSWORD_VARIABLE)
    if given is None:
        if sys.stdin is None or not sys.stdin.isatty():
            raise OperatorError("a password is needed, and there is nobody to ask", f"set {_PASSWORD_VARIABLE}")
        try:
            given = getpass.getpass("Password: ")
            if given != getpass.getpass("Once more: "):
                raise OperatorError("the two are not the same", "nothing was done; try again")
        except EOFError:
            raise OperatorError("nothing was done") from None
    if len(given) < SHORTEST_PASSWORD:
        raise OperatorError(f"a password has at least {SHORTEST_PASSWORD} characters")
    if (why := weakness(given, *own)) is not None:
        raise OperatorError(f"the password is easily guessed: {why}", "choose another one")
    return given
