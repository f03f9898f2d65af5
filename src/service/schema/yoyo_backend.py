"""A backend of yoyo for PostgreSQL. `quarry migrate` uses it; so does the command `yoyo` with a URL of `quarry db url --yoyo`.

It differs from yoyo's own backend in two ways. First, if a statement outside a transaction fails, yoyo's backend rolls back the
earlier statements of the file. For this it pairs apply and rollback statements by their position, even if they do not belong
together. This backend rolls back nothing. Second, the connection that holds yoyo's lock is idle while another connection runs
the migration. If the idle connection is closed meanwhile, the migration does not fail with this backend.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import psycopg
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import default_migration_table

from service.addresses import check_environment

SCHEME = "postgresql+quarry"
"""The URL scheme by which yoyo selects this backend. It is registered in pyproject.toml."""


class QuarryBackend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """The backend. If a statement of a file fails outside a transaction, the statements before it stay in effect."""

    DatabaseError: Any

    @contextlib.contextmanager
    def disable_transactions(self) -> Iterator[None]:
        """Run the statements of the block outside a transaction. If one fails, yoyo does not roll back the earlier ones."""
        caught: Any = self.DatabaseError
        with super().disable_transactions():
            # yoyo rolls statements back if it catches an exception of the class in this attribute. _Never is never raised.
            self.DatabaseError = _Never
            try:
                yield
            finally:
                self.DatabaseError = caught

    def _check_transactional_ddl(self) -> bool:
        """True, without a test. yoyo's test creates a table, and if this fails for any reason, yoyo uses no transactions."""
        return True

    def _delete_lock_row(self, pid: int) -> None:
        """Release yoyo's lock. If this connection was closed while another one ran the migration, open a new one."""
        try:
            super()._delete_lock_row(pid)
        except psycopg.OperationalError:
            with self.copy() as again:
                super(QuarryBackend, again)._delete_lock_row(pid)

    def connect(self, dburi: Any) -> Any:
        """Connect. If check_environment() raises ValueError, exit with its message, because yoyo itself can't show it."""
        try:
            check_environment(os.environ)
        except ValueError as error:
            raise SystemExit(str(error)) from error
        return super().connect(dburi)


class _Never(Exception):
    """An exception that is never raised."""


def connect(url: str) -> Any:
    """A backend that is connected to `url`, a URL that migrations.yoyo_url() has returned."""
    backend = QuarryBackend(parse_uri(url), default_migration_table)
    backend.init_database()
    return backend
