"""A temporary database for one check: it is created, migrated and, after the check, dropped."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

from service.addresses import Address
from service.database import single
from service.errors import OperatorError
from service.schema import migrations, provisioning

_PREFIX = "quarry_check_"
_DAY = 86_400.0


@contextlib.asynccontextmanager
async def database(address: Address, schema: str, *, migrate: bool = True) -> AsyncIterator[Address]:
    """An empty database on the server of `address`, with the schemas and, unless `migrate` is False, all migrations.

    Raises OperatorError if the login may not create a database or is not a superuser. Only a superuser may disable the
    triggers, as the checks do when they insert sample rows.
    """
    await _forget_old(address)
    name = f"{_PREFIX}{int(time.time())}_{secrets.token_hex(3)}"
    await provisioning.create_database(address, name)
    try:
        made = address.aimed(name)
        await _require_superuser(made)
        await provisioning.create_roles(made)
        await provisioning.prepare_database(made, schema)
        if migrate:
            await asyncio.to_thread(migrations.up, replace(made, role="quarry_owner"), schema, lambda _: None)
        yield made
    finally:
        await provisioning.drop_database(address, name)


@contextlib.asynccontextmanager
async def connected(address: Address, schema: str) -> AsyncIterator[Any]:
    """A connection for checks, with the service's search path, bound to a tenant that does not exist.

    On a superuser's connection the server does not write the query trees to its own log.
    """
    connection = await single.connect(address)
    try:
        await connection.execute(
            "SELECT set_config('search_path', quote_ident($1::text) || ', pg_temp', false),"
            " set_config('app.tenant_id', $2::text, false),"
            # Only a superuser may set this. The checks ask for query trees only on a superuser's connection.
            " CASE WHEN current_setting('is_superuser') = 'on' THEN set_config('log_min_messages', 'panic', false) END",
            schema,
            str(uuid4()),
        )
        yield connection
    finally:
        await connection.close()


async def _forget_old(address: Address) -> None:
    """Drop databases that killed checks have left behind and that are more than a day old."""
    connection = await single.connect(address)
    try:
        names = await connection.fetch(
            "SELECT datname::text FROM pg_catalog.pg_database WHERE datname ~ ('^' || $1 || '[0-9]{9,12}_[0-9a-f]{6}$')",
            _PREFIX,
        )
    finally:
        await connection.close()
    for (name,) in names:
        if int(name.removeprefix(_PREFIX).partition("_")[0]) < time.time() - _DAY:
            await provisioning.drop_database(address, name)


async def _require_superuser(address: Address) -> None:
    connection = await single.connect(address)
    try:
        if not await connection.fetchval("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"):
            raise OperatorError(
                "the checks fill a database of their own, for which the login has to be a superuser's",
                "run them on a development server: without DATABASE_URL they use the embedded one",
            )
    finally:
        await connection.close()
