"""Whether the service can do its work."""

from __future__ import annotations

import asyncio

from service.database import Database
from service.errors import DatabaseError

_PATIENCE = 2.0


async def is_ready(database: Database) -> bool:
    """Whether the database answers within two seconds."""
    try:
        async with asyncio.timeout(_PATIENCE), database.connection() as connection:
            return await connection.fetchval("SELECT 1", ()) == 1
    except (DatabaseError, TimeoutError):
        return False
