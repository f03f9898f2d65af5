"""Migrations: yoyo on the plain SQL files of `sql/migrations/`, safe to start on several instances at once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg
import yoyo
from yoyo.exceptions import LockTimeout

from service import files
from service.addresses import Address
from service.errors import OperatorError

_LOCK = 7_301_915_204_411
"""The advisory lock of `quarry migrate`; any constant that nothing else uses."""


class MigrationError(OperatorError):
    """A migration failed; its transaction was rolled back and it left nothing behind."""


@dataclass(frozen=True)
class Status:
    """One migration: when it was applied (UTC, None: pending), and whether its file was edited or lost since."""

    id: str
    applied_at: datetime | None
    is_changed: bool = False
    is_missing: bool = False


def yoyo_url(address: Address, schema: str) -> str:
    """The address as yoyo takes it: psycopg's dialect, with role and search path as start-up options."""
    parts = urlsplit(address.url)
    options = f"-c search_path={schema}"
    if address.role is not None:
        options = f"-c role={address.role} {options}"
    query = urlencode({**dict(parse_qsl(parts.query)), "options": options}, quote_via=quote)
    return f"postgresql+psycopg://{parts.netloc}{parts.path}?{query}"


def status(address: Address, schema: str) -> list[Status]:
    """All migrations in the order of application: the files', then applied ones whose file is gone."""
    with _backend(address, schema) as backend:
        applied = _applied(backend)
        checksums = _checksums(backend)
        found = []
        for migration in _ordered(backend):
            when = applied.pop(migration.id, None)
            kept = checksums.get((migration.id, when)) if when else None
            found.append(Status(migration.id, when, is_changed=kept not in (None, checksum(Path(migration.path)))))
        return found + [Status(name, when, is_missing=True) for name, when in applied.items()]


def up(address: Address, schema: str, say: Callable[[str], None]) -> list[str]:
    """Apply what is pending, each in a transaction of its own; answers the ids. Raises MigrationError."""
    with _locked(address, schema) as backend:
        migrations = _read()
        pending = backend.to_apply(migrations)
        for migration in pending:
            say(f"applying {migration.id}")
            with _explained(migration):
                backend.apply_one(migration)
        if pending:
            backend.run_post_apply(migrations)
        return [migration.id for migration in pending]


def down(address: Address, schema: str, count: int, say: Callable[[str], None]) -> list[str]:
    """Take the last `count` migrations back; answers the ids. Raises MigrationError."""
    with _locked(address, schema) as backend:
        chosen = list(backend.to_rollback(_read()))[:count]
        for migration in chosen:
            say(f"rolling back {migration.id}")
            with _explained(migration):
                backend.rollback_one(migration)
        return [migration.id for migration in chosen]


def checksum(path: Path) -> str:
    """What the post-apply hook keeps of an applied file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sources() -> tuple[str, str]:
    """The two folders of migrations: what exists once, then the tenant tables."""
    return str(files.sql("migrations", "shared")), str(files.sql("migrations", "tenant"))


def _read() -> Any:
    return yoyo.read_migrations(*sources())


def _ordered(backend: Any) -> list[Any]:
    migrations = _read()
    applied = list(backend.to_rollback(migrations))
    return [*reversed(applied), *backend.to_apply(migrations)]


@contextlib.contextmanager
def _backend(address: Address, schema: str) -> Iterator[Any]:
    try:
        backend = yoyo.get_backend(yoyo_url(address, schema))
    except psycopg.OperationalError as error:
        raise OperatorError(
            f"the database can't be reached for migrations: {str(error).splitlines()[0]}", "see `quarry db test`"
        ) from error
    with backend:
        try:
            backend.ensure_internal_schema_updated()
        except psycopg.errors.InvalidSchemaName as error:
            raise OperatorError(f"the schema {schema} does not exist", "run `quarry db create` first") from error
        yield backend


@contextlib.contextmanager
def _locked(address: Address, schema: str) -> Iterator[Any]:
    """Instances wait for each other on an advisory lock, which a dead one can't keep; yoyo's own row comes after it."""
    with psycopg.connect(yoyo_url(address, schema).replace("+psycopg", "", 1), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        with _backend(address, schema) as backend:
            _clear_dead_lock(holder)
            try:
                with backend.lock():
                    yield backend
            except LockTimeout as error:
                raise OperatorError(
                    f"another process is migrating: {error}", "wait for it, or run `yoyo break-lock` if it is gone"
                ) from error


def _clear_dead_lock(holder: psycopg.Connection[Any]) -> None:
    row = holder.execute("SELECT pid FROM yoyo_lock").fetchone()
    if row is not None and not _is_alive(row[0]):
        holder.execute("DELETE FROM yoyo_lock WHERE pid = %s", (row[0],))


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _applied(backend: Any) -> dict[str, datetime]:
    rows = backend.execute(
        "SELECT migration_id, applied_at_utc FROM _yoyo_migration ORDER BY applied_at_utc"
    ).fetchall()
    return dict(rows)


def _checksums(backend: Any) -> dict[tuple[str, datetime], str]:
    try:
        rows = backend.execute("SELECT migration_id, applied_at_utc, checksum FROM _migration_checksums").fetchall()
    except psycopg.errors.UndefinedTable:
        return {}
    return {(name, when): kept for name, when, kept in rows}


@contextlib.contextmanager
def _explained(migration: Any) -> Iterator[None]:
    """Say which statement of which file failed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            yield
    except psycopg.Error as error:
        statement = _failed_statement(error.__traceback__)
        place = _place(Path(migration.path), statement)
        first = re.sub(r"\s+", " ", statement)[:120] if statement else "the transaction"
        message = error.diag.message_primary or str(error).partition("\n")[0]
        raise MigrationError(
            f"{place}: {message}, in: {first}", "nothing of this migration was kept; correct the file and run it again"
        ) from error


def _failed_statement(trace: TracebackType | None) -> str | None:
    """The statement that yoyo was executing: it keeps it in a local of the frame that the error came through."""
    found = None
    while trace is not None:
        found = trace.tb_frame.f_locals.get("stmt", found)
        trace = trace.tb_next
    return found if isinstance(found, str) else None


def _place(path: Path, statement: str | None) -> str:
    for candidate in (path, path.with_name(f"{path.stem}.rollback.sql")):
        if statement and candidate.exists():
            before, found, _ = candidate.read_text(encoding="utf-8").partition(statement.strip())
            if found:
                return f"{candidate.name}:{before.count(chr(10)) + 1}"
    return path.name
