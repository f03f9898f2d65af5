"""The savepoints of a transaction. They have names and may be nested; a transaction may open at most SAVEPOINT_CEILING."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator

import structlog

from service.database.lazy_connection import Executor
from service.errors import DatabaseError, TooManySavepoints

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.transactions")

SAVEPOINT_CEILING = 60
"""Maximum number of savepoints in a transaction. PostgreSQL keeps at most 64 subtransactions of a backend in shared memory. If a
transaction has more, the visibility checks of all backends become slower."""
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
        """Set a savepoint. If the block raises an exception, roll back to the savepoint and raise the exception again.

        `name` begins with a lower-case letter, followed by lower-case letters, digits and _.

        Raises TooManySavepoints if the transaction has already opened 60 savepoints.
        """
        if not _NAME.match(name):
            raise ValueError(f"a savepoint's name is a lower-case word, not {name!r}")
        if self._opened >= SAVEPOINT_CEILING:
            raise TooManySavepoints
        self._opened += 1
        if self._opened == SAVEPOINT_WARNING:
            log.warning("many_savepoints", opened=self._opened, ceiling=SAVEPOINT_CEILING)
        # The depth makes the names of nested savepoints unique. A counter would do so too, but make every statement a new text.
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
            # ROLLBACK TO does not remove the savepoint. Without RELEASE, savepoints opened in a loop would be nested ever deeper.
            await self._connection.execute(f"ROLLBACK TO {mark};RELEASE {mark}")
        except DatabaseError:
            # This error is only logged, because the caller raises the block's own error. The aborted transaction can't commit.
            log.warning("savepoint_rollback_failed", exc_info=True)
