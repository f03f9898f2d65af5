"""Functions for all commands: load the settings, start the embedded server if they name no other server, open connections."""

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
    """Load the settings, and configure logging. For each variable that looks like a mistyped setting, a message is printed."""
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
    """The settings, for a block that needs a database server. If the settings name no server, the embedded server is started.

    The embedded server is stopped after the block, unless `keep` is true. With `provision`, the roles and the database of the
    embedded server are created if they are missing.
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
    """The settings with the URLs of the embedded server. The four URLs name the same database, but different logins."""

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
    """Create the database, roles and schemas of an embedded server as far as they are missing, and set the roles' passwords.

    This is safe if another command does the same at this moment, or was killed while doing it.
    """
    root = Address(server.url())
    await provisioning.create_database(root, local.database_name)
    await provisioning.create_roles(root)
    await provisioning.prepare_database(local.administration(), local.database_schema)
    # The password of the embedded server may have changed since the last start, so give it to the roles every time.
    for role in ("quarry_app", "quarry_platform", "quarry_backup"):
        await provisioning.set_password(root, role, server.password)


@contextlib.asynccontextmanager
async def database(
    local: Settings, role: str = "quarry_app", *, personal: bool = True, claim: bool = True, attempts: int = 1
) -> AsyncIterator[Database]:
    """A Database with one connection, as `role`. Raises OperatorError with a remedy if `attempts` attempts to connect fail.

    For the serving role, the keys of personal data (PII_KEYS, PII_INDEX_KEY) are loaded, unless `personal` is false. Raises
    OperatorError if the index key is not the one that this database was last used with. With `claim=False` this is not
    checked, because `quarry pii rotate-index` uses a key that the database does not know yet.

    After the block, other processes get a hint about the tenants for which the block has made commits.
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
    """Raise OperatorError if the setting ENVIRONMENT is `production`: there this command must not run."""
    if loaded.environment == "production":
        raise OperatorError(f"`{command}` is refused in production")
