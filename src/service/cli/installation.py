"""The installation that a command works on: its settings, and the embedded server if they name no other server."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from uuid import UUID

from pydantic import SecretStr

from service import logs
from service.addresses import Address, PoolLimits, check_environment
from service.changes.listener import announce
from service.cli.terminal import say
from service.cli.variables import unknown_names
from service.database.database import Database
from service.database.diagnosis import explaining, open_explained
from service.database.pool import GREETING
from service.embedded.server import Server, running
from service.errors import OperatorError
from service.personal import keyring
from service.schema import provisioning
from service.settings.settings import Settings
from service.tenancy import guard


def settings() -> Settings:
    """The settings. Variables that look like settings but are none are reported."""
    loaded = Settings.load()
    try:
        check_environment(os.environ)
    except ValueError as error:
        what, _, remedy = str(error).partition(": ")
        raise OperatorError(what, remedy) from error
    for line in unknown_names():
        say(f"quarry: {line}")
    logs.configure(loaded)
    return loaded


@contextlib.contextmanager
def installed(*, keep: bool = False, provision: bool = True) -> Iterator[Settings]:
    """The settings, with a running server: the one that they name, or else the embedded one, started for the block.

    With `keep` the embedded server is left running. With `provision` its roles and its database are created if missing.
    """
    loaded = settings()
    if not loaded.is_embedded:
        yield loaded
        return
    if loaded.environment == "production":
        raise OperatorError("production does not use the embedded server", "set DATABASE_URL")
    with running(loaded.quarry_home, keep=keep, say=say) as server:
        local = embedded_settings(loaded, server)
        if provision:
            asyncio.run(provisioned(local, server))
        yield local


def embedded_settings(loaded: Settings, server: Server) -> Settings:
    """The settings with the URLs of the embedded server, one for the login of each role."""

    def url(user: str) -> SecretStr:
        return SecretStr(server.url(user=user, password=server.password, database=loaded.database_name))

    return loaded.model_copy(
        update={
            "database_url": url("quarry_app"),
            "database_migration_url": url(server.superuser),
            "database_platform_url": url("quarry_platform"),
            "database_backup_url": url("quarry_backup"),
            # No TLS: the embedded server has no certificate, and listens on the loopback interface only.
            "database_ssl": False,
        }
    )


async def provisioned(local: Settings, server: Server) -> None:
    """Create what is missing on an embedded server. Another command may be doing the same, or was killed while doing it."""
    root = Address(server.url())
    await provisioning.create_database(root, local.database_name)
    await provisioning.create_roles(root)
    await provisioning.prepare_database(local.administration(), local.database_schema)
    # The server's password may have changed since the last start, so it is set for the roles every time.
    for role in ("quarry_app", "quarry_platform", "quarry_backup"):
        await provisioning.set_password(root, role, server.password)


@contextlib.asynccontextmanager
async def database(
    local: Settings, role: str = "quarry_app", *, personal: bool = True, claim: bool = True, attempts: int = 1
) -> AsyncIterator[Database]:
    """A database with one connection, as `role`. Raises OperatorError with a remedy if `attempts` attempts to connect fail.

    The serving role needs the keys of personal data, unless `personal=False`. They must be the keys that this database was
    last used with. `claim=False` skips this check, for keys that are still to become those of the database.
    """
    address = local.address(role)  # type: ignore[arg-type]
    limits = PoolLimits(minimum=1, maximum=1, connect_attempts=attempts)
    keys = keyring.load(local) if personal and role == "quarry_app" else None
    async with open_explained(
        address, limits, schema=local.database_schema, name="quarry cli", keyring=keys, greeting=GREETING
    ) as opened:
        if keys is not None and claim:
            with explaining(address):
                async with opened.connection() as connection:
                    await guard.require_keys(connection, keys)
        numbered: set[UUID] = set()
        yield replace(opened, on_numbered=lambda tenant, _: numbered.add(tenant))
        if numbered:
            await announce(opened, numbered)


def refuse_in_production(loaded: Settings, command: str) -> None:
    """Raise OperatorError in production, for commands that must not run there."""
    if loaded.environment == "production":
        raise OperatorError(f"`{command}` is refused in production")
