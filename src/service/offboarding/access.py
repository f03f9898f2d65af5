"""Helper functions for export, import and erasure, such as connections with time-outs that are long enough for a large tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from service.addresses import PoolLimits
from service.database.database import Database
from service.database.diagnosis import open_explained
from service.errors import OperatorError
from service.personal.keyring import Keyring
from service.schema import migrations
from service.settings.database import DatabaseSettings

Role = Literal["quarry_app", "quarry_owner", "quarry_platform"]

_STATEMENT_TIMEOUT = 3600.0
_IDLE_TIMEOUT = 600.0


@asynccontextmanager
async def database(settings: DatabaseSettings, role: Role, keyring: Keyring | None = None) -> AsyncIterator[Database]:
    """A Database with one connection, as `role`, for the block. Raises OperatorError with a remedy if it can't be opened."""
    address = settings.address(role)
    limits = PoolLimits(
        minimum=1, maximum=1, connect_attempts=1, lock_timeout=settings.database_lock_timeout,
        statement_timeout=_STATEMENT_TIMEOUT, query_timeout=_STATEMENT_TIMEOUT,
        idle_in_transaction_timeout=_IDLE_TIMEOUT,
    )  # fmt: skip
    async with open_explained(
        address, limits, schema=settings.database_schema, name="quarry tenants", keyring=keyring
    ) as opened:
        yield opened


async def applied_migrations(settings: DatabaseSettings) -> tuple[str, ...]:
    """The ids of the migrations that are applied to the schema that tenants share, sorted."""
    address = settings.address("quarry_owner")
    found = await asyncio.to_thread(migrations.status, address, settings.database_schema)
    return tuple(sorted(each.id for each in found if each.applied_at is not None))


def unknown(domain: str) -> OperatorError:
    """The error that says that there is no tenant with this domain."""
    return OperatorError(f"there is no tenant {domain}", "see `quarry tenants list`")
