"""yoyo's backend for psycopg, for `quarry migrate` and for the `yoyo` command with the address of `quarry db url --yoyo`.

It differs from yoyo's own backend in two points. First, when a statement outside a transaction fails, yoyo runs the rollback
statements that it has paired by position with the earlier statements, whether or not they belong together. This backend undoes
nothing. Second, the connection that holds yoyo's lock is idle while another connection runs the migration. If the idle one is
closed meanwhile, the migration does not fail.
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
"""The URL scheme that selects this backend (pyproject.toml registers it)."""


class QuarryBackend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """Applies migrations. If a file fails outside a transaction, the statements before the failed one stay in effect."""

    DatabaseError: Any

    @contextlib.contextmanager
    def disable_transactions(self) -> Iterator[None]:
        """Run a file's statements outside a transaction. If a statement fails, yoyo does not undo the earlier ones."""
        caught: Any = self.DatabaseError
        with super().disable_transactions():
            # yoyo undoes statements when it catches an error of the class in this attribute. _Never is never raised.
            self.DatabaseError = _Never
            try:
                yield
            finally:
                self.DatabaseError = caught

    def _check_transactional_ddl(self) -> bool:
        """Always true for PostgreSQL. yoyo would create a test table, and take any failure for a lack of transactional DDL."""
        return True

    def _delete_lock_row(self, pid: int) -> None:
        """Release yoyo's lock. If this connection was closed while another one ran the migration, a new connection is used."""
        try:
            super()._delete_lock_row(pid)
        except psycopg.OperationalError:
            with self.copy() as again:
                super(QuarryBackend, again)._delete_lock_row(pid)

    def connect(self, dburi: Any) -> Any:
        """Connect. If check_environment() refuses a variable, exit with its message: yoyo itself could not show the message."""
        try:
            check_environment(os.environ)
        except ValueError as error:
            raise SystemExit(str(error)) from error
        return super().connect(dburi)


class _Never(Exception):
    """An exception that is never raised."""


def connect(url: str) -> Any:
    """A backend that is connected to `url`, which comes from migrations.yoyo_url()."""
    backend = QuarryBackend(parse_uri(url), default_migration_table)
    backend.init_database()
    return backend
