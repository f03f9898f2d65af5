"""A PostgreSQL of the measurement's own: provisioned, migrated, full of load tenants, and gone afterwards."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import SecretStr

from service.accounts import tokens
from service.addresses import Address, PoolLimits
from service.database.database import Database
from service.embedded.server import Server, running
from service.operations import seeding
from service.personal import keyring
from service.schema import migrations, provisioning
from service.settings.settings import Settings
from service.tenancy.identity import TenantId
from service.work import Work

POOL = 10
"""Connections of every contender's pool: what Quarry serves with by default."""
_DATABASE = "quarry_bench"
_IDS_PER_TENANT = 50


_LIMITS = PoolLimits()
CONNECTION: dict[str, Any] = {
    "command_timeout": _LIMITS.query_timeout,
    "server_settings": {
        "search_path": "quarry, pg_temp",
        "timezone": "UTC",
        "statement_timeout": str(int(_LIMITS.statement_timeout * 1000)),
        "lock_timeout": str(int(_LIMITS.lock_timeout * 1000)),
        "idle_in_transaction_session_timeout": str(int(_LIMITS.idle_in_transaction_timeout * 1000)),
    },
}
"""How Quarry's pool sets up its connections, for the pools of the others: timers cost everybody the same."""


@dataclass(frozen=True)
class Volume:
    """How much the load seed makes."""

    tenants: int = 20
    users_per_tenant: int = 50
    campaigns_per_tenant: int = 1000


@dataclass(frozen=True)
class Member:
    """The signed-in owner of one tenant, and some of the tenant's campaigns."""

    tenant: TenantId
    token: str = field(repr=False)
    campaigns: tuple[UUID, ...]


@dataclass(frozen=True)
class Installation:
    """What all contenders are given."""

    settings: Settings
    url: str = field(repr=False)
    """The database as role quarry_app."""
    directory: Path
    version: str
    keys: Mapping[str, str] = field(repr=False)
    """Of personal data, by the setting's name."""
    members: tuple[Member, ...]


@contextmanager
def installed(volume: Volume) -> Iterator[Installation]:
    """A running server with everything in it; its directory is removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="quarry-bench-"))
    # The account that runs the server for root has to pass through, so that the data stays inside.
    directory.chmod(0o711)
    try:
        with running(directory, options={"max_connections": "100"}, say=_quiet) as server:
            keys = {"pii_keys": keyring.fresh_key(), "pii_index_key": keyring.fresh_index_key()}
            settings = _provision(server, keys)
            version, members = asyncio.run(_fill(settings, volume))
            yield Installation(settings, settings.address("quarry_app").url, directory, version, keys, members)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """Quarry's own pool as the serving role."""
    keys = keyring.load(settings)
    async with Database.open(settings.address("quarry_app"), settings.limits, keyring=keys) as database:
        yield database


def settings_of(secrets: Mapping[str, str]) -> Settings:
    """Settings as in production, whatever `.env` says; `secrets` are addresses and keys by the setting's name."""
    return Settings(
        _env_file=None,
        environment="production",
        database_pool_min=POOL,
        database_pool_max=POOL,
        **{name: SecretStr(text) for name, text in secrets.items()},
    )


def _quiet(_: str) -> None:
    """Nobody asked."""


def _provision(server: Server, keys: Mapping[str, str]) -> Settings:
    """Roles, a database, the migrations."""
    address = Address(server.url())
    asyncio.run(provisioning.create_roles(address))
    roles = {"database_url": "quarry_app", "database_platform_url": "quarry_platform"}
    for role in roles.values():
        asyncio.run(provisioning.set_password(address, role, server.password))
    asyncio.run(provisioning.create_database(address, _DATABASE))
    urls = {name: server.url(user=role, password=server.password, database=_DATABASE) for name, role in roles.items()}
    settings = settings_of({**urls, **keys, "database_migration_url": server.url(database=_DATABASE)})
    asyncio.run(provisioning.prepare_database(settings.administration()))
    migrations.up(settings.address("quarry_owner"), settings.database_schema, _quiet)
    return settings


async def _fill(settings: Settings, volume: Volume) -> tuple[str, tuple[Member, ...]]:
    """The load seed, a session in every tenant, and statistics for the planner; answers the server's version too."""
    # Production refuses demonstrations; this database is one.
    await seeding.seed(settings.model_copy(update={"environment": "test"}), "load", _quiet, vars(volume))
    administrator = await asyncpg.connect(settings.administration().url)
    try:
        await administrator.execute("VACUUM ANALYZE")
        version = await administrator.fetchval("SHOW server_version")
        rows = await administrator.fetch(
            f"SELECT id FROM app.tenants WHERE starts_with(domain, 'load-') ORDER BY domain LIMIT {volume.tenants}"
        )
    finally:
        await administrator.close()
    async with opened(settings) as database:
        members = [await _sign_in(database, TenantId(UUID(bytes=row["id"].bytes))) for row in rows]
    return version, tuple(members)


async def _sign_in(database: Database, tenant: TenantId) -> Member:
    text, token = tokens.issue(tenant)
    async with Work(database, tenant) as work:
        user = (await work.users.page(limit=1, role="owner"))[0]
        credentials = await work.users.credentials(user.id)
        await work.sessions.create(
            user_id=user.id, password_hash=credentials.password_hash, token_hash=token.hash,
            token_mac=work.binding.mac(tokens.session_fields(token.hash, user.id)), ip=None, user_agent=None,
            lifetime=timedelta(days=1),
        )  # fmt: skip
        campaigns = await work.campaigns.page(limit=_IDS_PER_TENANT)
    return Member(tenant, text, tuple(campaign.id for campaign in campaigns))
