"""yoyo's backend for psycopg, for `quarry migrate` and for the `yoyo` command with the address of `quarry db url --yoyo`.

It differs in two points. When a statement outside a transaction fails, yoyo runs the rollback statements that it has paired
by position with the earlier statements, whether or not they belong together. Here nothing is undone. And if a connection
is closed while it waits for another one's work, that work does not fail.
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
"""How an address names this backend (pyproject.toml registers it)."""


class QuarryBackend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """Applies migrations; a file that fails outside a transaction stays as far as it came."""

    DatabaseError: Any

    @contextlib.contextmanager
    def disable_transactions(self) -> Iterator[None]:
        """Run a file's statements one by one, without yoyo's undo."""
        caught: Any = self.DatabaseError
        with super().disable_transactions():
            # yoyo undoes what it catches, and it catches what this attribute says.
            self.DatabaseError = _Never
            try:
                yield
            finally:
                self.DatabaseError = caught

    def _check_transactional_ddl(self) -> bool:
        """PostgreSQL's DDL is transactional. yoyo tries it with a table, and takes any failure for a no."""
        return True

    def _delete_lock_row(self, pid: int) -> None:
        """Give yoyo's lock back; on a new connection where this one was cut while another one worked."""
        try:
            super()._delete_lock_row(pid)
        except psycopg.OperationalError:
            with self.copy() as again:
                super(QuarryBackend, again)._delete_lock_row(pid)

    def connect(self, dburi: Any) -> Any:
        """Connect. If the environment would lead to another server, exit with a message: yoyo has no other way to report it."""
        try:
            check_environment(os.environ)
        except ValueError as error:
            raise SystemExit(str(error)) from error
        return super().connect(dburi)


class _Never(Exception):
    """Nobody raises it."""


def connect(url: str) -> Any:
    """The backend for an address, connected."""
    backend = QuarryBackend(parse_uri(url), default_migration_table)
    backend.init_database()
    return backend
