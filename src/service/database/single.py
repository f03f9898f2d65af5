"""A single connection outside the pool, and the quoting of identifiers."""

from __future__ import annotations

from typing import Any

import asyncpg

from service.addresses import Address
from service.database.translation import translate


async def connect(address: Address) -> Any:
    """Open a connection outside the pool, for set-up and diagnosis. Any failure is raised as a ServiceError."""
    options = address.asyncpg_options(application_name="quarry")
    try:
        # Prepared statements get no names: behind a pooler, another client may have used the same name in the same session.
        return await asyncpg.connect(
            address.url, timeout=address.connect_timeout, statement_cache_size=0, **options
        )  # fmt: skip
    except Exception as error:
        raise translate(error, connection_lost=True) from error


def quoted(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
