"""Opens a single connection that belongs to no pool, and quotes identifiers."""

from __future__ import annotations

from typing import Any

import asyncpg

from service.addresses import Address
from service.database.translation import translate


async def connect(address: Address) -> Any:
    """Open a connection that belongs to no pool, for set-up and diagnosis. If this fails, a ServiceError is raised."""
    options = address.asyncpg_options(application_name="quarry")
    try:
        # Prepared statements are unnamed (cache size 0), because behind a pooler another client may have used the same name.
        return await asyncpg.connect(
            address.url, timeout=address.connect_timeout, statement_cache_size=0, **options
        )  # fmt: skip
    except Exception as error:
        raise translate(error, connection_lost=True) from error


def quoted(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
