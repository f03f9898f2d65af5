"""Applies the SQL files of `sql/migrations/` with yoyo, and rolls them back. Processes that do so at once take turns."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import psycopg
from yoyo.migrations import topological_sort

from service.addresses import Address
from service.errors import OperatorError
from service.schema import migration_turns, yoyo_backend
from service.schema.migration_errors import READ_ONLY, MigrationError, explained, refuse_copying, reported, texts_of
from service.schema.migration_files import Source, checksum, is_of_tenants, read, way_back
from service.texts import Say

Direction = Literal["apply", "rollback"]
Verify = Callable[[psycopg.Connection[Any]], set[str] | None]
"""A function that checks the catalog within the transaction of a connection, and returns the faults; None if it can't check."""

YOYO = "quarry-yoyo"
"""The application name (in pg_stat_activity) of sessions that yoyo opens with a URL from `yoyo_url`."""


@dataclass(frozen=True)
class Status:
    """One migration: when it was applied (UTC; None if it is pending), and whether its file was edited or removed afterwards."""

    id: str
    applied_at: datetime | None
    is_changed: bool = False
    is_missing: bool = False
    is_of_tenants: bool = False
    """Whether the migration is for tenant tables, which exist in the shared schema and in tenants' own schemas."""
    is_noted: bool = False
    """Whether the checksum of the applied file is stored. Without the checksum, a later edit of the file is not noticed."""

    @property
    def is_settled(self) -> bool:
        """Whether the function `up` has nothing to do for this migration."""
        return self.is_missing or (self.applied_at is not None and self.is_noted)


def yoyo_url(address: Address, schema: str) -> str:
    """`address` as a URL for yoyo. Its scheme selects yoyo_backend.py; its options set role, search_path and time-outs."""
    return f"{yoyo_backend.SCHEME}{_libpq_url(address, schema, YOYO).removeprefix('postgresql')}"


def status(address: Address, schema: str, folders: Source = None) -> list[Status]:
    """All migrations: the applied ones in the order of application, the pending ones, and those whose file is missing."""
    ((_, found),) = statuses(address, [schema], folders)
    return found


def statuses(address: Address, schemas: Sequence[str], folders: Source = None) -> Iterator[tuple[str, list[Status]]]:
    """For each of `schemas`, yields its name and the result of `status` for this schema."""
    with reported():
        ordered = list(topological_sort(read(folders)))
        checksums = {migration.id: checksum(Path(migration.path)) for migration in ordered}
        with connected(address, "pg_catalog") as connection:
            for schema in schemas:
                connection.execute("SELECT set_config('search_path', quote_ident(%s), false)", [schema])
                yield schema, _status(connection, ordered, checksums)


def _status(connection: Any, ordered: Sequence[Any], checksums: Mapping[str, str]) -> list[Status]:
    applied, kept = _applied(connection), _checksums(connection)
    found = []
    for migration in sorted(ordered, key=lambda each: (each.id not in applied, str(applied.get(each.id)))):
        when = applied.pop(migration.id, None)
        known = kept.get((migration.id, when)) if when else None
        found.append(
            Status(
                migration.id,
                when,
                is_changed=known not in (None, checksums[migration.id]),
                is_of_tenants=is_of_tenants(migration),
                is_noted=known is not None,
            )
        )
    return found + [Status(name, when, is_missing=True) for name, when in applied.items()]


def connected(address: Address, schema: str) -> psycopg.Connection[Any]:
    """Open a connection in autocommit mode. Its role, search_path and time-outs are those of yoyo's connections."""
    return psycopg.connect(_libpq_url(address, schema, "quarry"), autocommit=True)


def up(
    address: Address, schema: str, say: Say, folders: Source = None,
    *, beside: bool = False, patience: float = 10.0, verify: Verify | None = None,
) -> list[str]:  # fmt: skip
    """Apply the pending migrations, each in its own transaction; returns their ids. Raises MigrationError.

    `verify` is called before the first and after the last pending migration. If the second call finds a fault that the first
    did not, MigrationError is raised. The last migration is then not recorded as applied, and is rolled back if it runs in a
    transaction.

    With `beside`, `schema` is the own schema of a tenant: migrations of tenant tables are applied, the others are only recorded
    as applied. Waits for other processes of Quarry without limit, but for a plain `yoyo` command at most `patience` seconds.
    """
    done: list[str] = []
    with _locked(address, schema, say, patience) as backend:
        migrations = read(folders)
        if beside:
            backend.mark_migrations([each for each in backend.to_apply(migrations) if not is_of_tenants(each)])
        pending = list(backend.to_apply(migrations))
        before = _wrong(backend, verify) if pending else None
        try:
            for migration in pending:
                say(f"applying {migration.id}{f' in {schema}' if beside else ''}")
                is_last = migration is pending[-1] and before is not None
                _run(backend, migration, "apply", verify if is_last else None, before or set())
                done.append(migration.id)
        except BaseException:
            # The migrations before the failed one stay applied. Store their checksums, so that later edits are noticed.
            with contextlib.suppress(psycopg.Error), backend.copy() as own:
                own.run_post_apply(migrations)
            raise
        # Store the checksums even if nothing was pending: an earlier run may have been killed before it stored them.
        with backend.copy() as own:
            own.run_post_apply(migrations)
    return done


def last(address: Address, schema: str, count: int, folders: Source = None) -> list[str]:
    """The ids of the `count` migrations that were applied last, in reverse order of application.

    Raises MigrationError if one of them has no rollback file.
    """
    with reported(), connected(address, schema) as connection:
        applied = _applied(connection)
        files = {migration.id: migration for migration in read(folders)}
    chosen = sorted(applied, key=lambda id: applied[id], reverse=True)[:count]
    for id in chosen:
        if id not in files:
            raise MigrationError(f"there is no file that takes {id} back", "use the version that applied it")
        if not way_back(files[id]).exists():
            raise MigrationError(
                f"there is no file that takes {id} back",
                f"write {way_back(files[id]).name} beside it, or write a new migration that undoes it",
            )
    return chosen


def take_back(
    address: Address, schema: str, ids: Sequence[str], say: Say, folders: Source = None,
    *, beside: bool = False,
) -> list[str]:  # fmt: skip
    """Roll back those of the migrations `ids` that are applied, in the order of `ids`. Returns what was rolled back.

    With `beside`, `schema` is the own schema of a tenant, and only migrations of tenant tables are rolled back. Raises
    MigrationError if a statement fails.
    """
    done = []
    with _locked(address, schema, say) as backend:
        applied = _applied(backend)
        files = {migration.id: migration for migration in read(folders)}
        for id in ids:
            if id in applied and not (beside and not is_of_tenants(files[id])):
                say(f"rolling back {id}{f' in {schema}' if beside else ''}")
                _run(backend, files[id], "rollback")
                done.append(id)
        return done


def _wrong(backend: Any, verify: Verify | None) -> set[str] | None:
    """The faults that `verify` finds in the catalog as it is now; None if there is no `verify`, or if it can't check."""
    if verify is None:
        return None
    with backend.copy() as own, own.transaction(rollback_on_exit=True):
        return verify(own.connection)


def _run(
    backend: Any,
    migration: Any,
    direction: Direction,
    verify: Verify | None = None,
    before: AbstractSet[str] = frozenset(),
) -> None:
    """Apply a migration or roll it back, and record this in the same transaction, so that a killed process does both or neither.

    The statements of a migration outside a transaction run before the transaction that records it. Raises MigrationError if a
    statement fails, or if `verify` then finds faults of the catalog that are not in `before`.
    """
    path = Path(migration.path) if direction == "apply" else way_back(migration)
    migration.load()
    refuse_copying(path, texts_of(migration.steps, direction))
    with explained(path, is_transactional=migration.use_transactions):
        if not migration.use_transactions:
            with backend.copy() as own:
                migration.process_steps(own, direction)
        with backend.copy() as own, own.transaction():
            if migration.use_transactions:
                migration.process_steps(own, direction)
            if verify is not None and (added := sorted((verify(own.connection) or set()) - before)):
                kept = "nothing of this migration was kept" if migration.use_transactions else "its statements stand"
                raise MigrationError(
                    f"{path.name}: the service would not serve from this catalog: {'; '.join(added)}",
                    f"{kept}, and it is not noted as applied; correct the file and run it again",
                )
            own.log_migration(migration, direction)
            (own.mark_one if direction == "apply" else own.unmark_one)(migration, log=False)


def _libpq_url(address: Address, schema: str, name: str) -> str:
    parts = urlsplit(address.url)
    given = {"connect_timeout": str(math.ceil(address.connect_timeout)), **dict(parse_qsl(parts.query))}
    # idle_session_timeout is switched off: the connection that holds the lock is idle while another connection migrates.
    options = f"{given.get('options', '')} -c search_path={schema} -c idle_session_timeout=0"
    if address.role is not None:
        options += f" -c role={address.role}"
    if (name_of_database := unquote(parts.path[1:])) != parts.path[1:]:
        # The database's name is decoded here and given as `dbname`, because yoyo does not decode the path of the URL.
        given["dbname"] = name_of_database
    given |= {**address.libpq, "options": options.strip(), "application_name": name}
    return f"postgresql://{parts.netloc}{parts.path}?{urlencode(given, quote_via=quote)}"


@contextlib.contextmanager
def _locked(address: Address, schema: str, say: Say, patience: float = 10.0) -> Iterator[Any]:
    """Take the two locks that let only one process migrate, and yield the yoyo backend. The locks are held during the block.

    The first is an advisory lock, for which other processes of Quarry wait. The server releases it if the process dies. The
    second is yoyo's own lock, a row in yoyo_lock, for which plain `yoyo` commands wait too.
    """
    migration_turns.name_user()
    with reported(), contextlib.closing(connected(address, schema)) as holder:
        migration_turns.wait(holder, say)
        if (encoding := migration_turns.value(holder, "SHOW server_encoding")) != "UTF8":
            raise OperatorError(
                f"the database is encoded as {encoding}, and Quarry needs UTF8",
                "make another one: `quarry db create` does, or CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
            )
        if not migration_turns.value(holder, "SELECT to_regnamespace(quote_ident(%s)) IS NOT NULL", schema):
            raise OperatorError(f"the schema {schema} does not exist", "run `quarry db create` first")
        if migration_turns.value(holder, "SELECT current_setting('transaction_read_only') = 'on'"):
            raise OperatorError("the database is read-only", READ_ONLY)
        migration_turns.clear_dead_lock(holder, YOYO)
        with yoyo_backend.connect(yoyo_url(address, schema)) as backend:
            backend.ensure_internal_schema_updated()
            with backend.lock(timeout=patience):
                yield backend


def _applied(connection: Any) -> dict[str, datetime]:
    try:
        rows = connection.execute("SELECT migration_id, applied_at_utc FROM _yoyo_migration ORDER BY 2").fetchall()
    except psycopg.errors.UndefinedTable:
        return {}
    return dict(rows)


def _checksums(connection: Any) -> dict[tuple[str, datetime], str]:
    try:
        rows = connection.execute("SELECT migration_id, applied_at_utc, checksum FROM _migration_checksums").fetchall()
    except psycopg.errors.UndefinedTable:
        return {}
    return {(name, when): kept for name, when, kept in rows}
