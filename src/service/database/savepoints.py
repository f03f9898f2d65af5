"""Savepoints: explicit, named, nested, few."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator

import structlog

from service.database.lazy_connection import Executor
from service.errors import DatabaseError, TooManySavepoints

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.transactions")

SAVEPOINT_CEILING = 60
"""With more than 64 subtransactions a backend's list of them overflows, and visibility checks of all other backends slow down."""
SAVEPOINT_WARNING = 32

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")


class Savepoints:
    """The savepoints of one transaction."""

    def __init__(self, connection: Executor) -> None:
        self._connection = connection
        self._opened = 0
        self._depth = 0

    @contextlib.asynccontextmanager
    async def open(self, name: str) -> AsyncIterator[None]:
        """Undo what the block did if it raises, and re-raise the exception. `name` is a plain lower-case word.

        Raises TooManySavepoints when a transaction would open its 61st savepoint.
        """
        if not _NAME.match(name):
            raise ValueError(f"a savepoint's name is a lower-case word, not {name!r}")
        if self._opened >= SAVEPOINT_CEILING:
            raise TooManySavepoints
        self._opened += 1
        if self._opened == SAVEPOINT_WARNING:
            log.warning("many_savepoints", opened=self._opened, ceiling=SAVEPOINT_CEILING)
        # The depth gives nested savepoints of one name different marks, and keeps the number of different statements small.
        mark = f"{name}_{self._depth}"
        await self._connection.execute(f"SAVEPOINT {mark}")
        self._depth += 1
        try:
            yield
        except BaseException:
            await self._undo(mark)
            raise
        else:
            await self._connection.execute(f"RELEASE {mark}")
        finally:
            self._depth -= 1

    async def _undo(self, mark: str) -> None:
        if not self._connection.is_in_transaction():
            return
        try:
            # Without RELEASE the savepoint would still exist, so a loop would nest ever more of them.
            await self._connection.execute(f"ROLLBACK TO {mark};RELEASE {mark}")
        except DatabaseError:
            # The error that led here is the one to report; the transaction will not commit.
            log.warning("savepoint_rollback_failed", exc_info=True)
