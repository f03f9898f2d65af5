"""Migrations: yoyo on the plain SQL files of `sql/migrations/`, safe to start on several instances at once."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import psycopg
import yoyo
from yoyo.exceptions import BadMigration, LockTimeout, MigrationConflict
from yoyo.migrations import topological_sort

from service import files
from service.addresses import Address
from service.errors import OperatorError

Say = Callable[[str], None]
Direction = Literal["apply", "rollback"]

_LOCK = 7_301_915_204_411
"""The advisory lock of `quarry migrate`; any constant that nothing else uses."""
_YOYO = "quarry-yoyo"
"""The application name of every yoyo that got its address here; others may see it in pg_stat_activity."""


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
    return f"postgresql+psycopg{_libpq_url(address, schema, _YOYO).removeprefix('postgresql')}"


def sources() -> tuple[Path, ...]:
    """The two folders of migrations: what exists once, then the tenant tables."""
    return files.sql("migrations", "shared"), files.sql("migrations", "tenant")


def ordered(folders: Sequence[Path] | None = None) -> list[Path]:
    """The files of all migrations, in the order in which an empty database gets them. Raises MigrationError."""
    with _reported():
        return [Path(migration.path) for migration in topological_sort(_read(folders))]


def status(address: Address, schema: str, folders: Sequence[Path] | None = None) -> list[Status]:
    """All migrations: applied ones in the order of application, pending ones, then those whose file is gone."""
    with _reported(), psycopg.connect(_libpq_url(address, schema, "quarry"), autocommit=True) as connection:
        applied = _applied(connection)
        kept = _checksums(connection)
        ordered = list(topological_sort(_read(folders)))
        ordered.sort(key=lambda each: (each.id not in applied, str(applied.get(each.id))))
        found = []
        for migration in ordered:
            when = applied.pop(migration.id, None)
            known = kept.get((migration.id, when)) if when else None
            found.append(Status(migration.id, when, is_changed=known not in (None, checksum(Path(migration.path)))))
        return found + [Status(name, when, is_missing=True) for name, when in applied.items()]


def up(
    address: Address, schema: str, say: Say, folders: Sequence[Path] | None = None, *, patience: float = 10.0
) -> list[str]:
    """Apply what is pending, each in a transaction of its own; answers the ids. Raises MigrationError.

    Waits for other instances of this as long as they take, for an ordinary yoyo `patience` seconds.
    """
    done: list[str] = []
    with _locked(address, schema, say, patience) as backend:
        migrations = _read(folders)
        try:
            for migration in backend.to_apply(migrations):
                say(f"applying {migration.id}")
                _run(backend, migration, "apply")
                done.append(migration.id)
        except BaseException:
            # Those before the failed one are applied, and an edit of their files is to be noticed.
            with contextlib.suppress(psycopg.Error):
                backend.run_post_apply(migrations)
            raise
        # Also when nothing was pending: a killed run may have left an applied one without its checksum.
        backend.run_post_apply(migrations)
    return done


def down(address: Address, schema: str, count: int, say: Say, folders: Sequence[Path] | None = None) -> list[str]:
    """Take the `count` migrations that were applied last back; answers the ids. Raises MigrationError."""
    with _locked(address, schema, say) as backend:
        applied = _applied(backend)
        known = {migration.id: migration for migration in _read(folders)}
        chosen = sorted(applied, key=lambda id: applied[id], reverse=True)[:count]
        for id in chosen:
            if id not in known or not _way_back(known[id]).exists():
                raise MigrationError(f"there is no file that takes {id} back", "use the version that applied it")
        for id in chosen:
            say(f"rolling back {id}")
            _run(backend, known[id], "rollback")
        return chosen


def checksum(path: Path) -> str:
    """What the post-apply hook keeps of an applied file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(backend: Any, migration: Any, direction: Direction) -> None:
    """Run a migration and note it in one transaction, so that a killed run leaves both or neither."""
    path = Path(migration.path) if direction == "apply" else _way_back(migration)
    with _explained(path):
        migration.load()
        if not migration.use_transactions:
            (backend.apply_one if direction == "apply" else backend.rollback_one)(migration)
            return
        with backend.copy() as own, own.transaction():
            migration.process_steps(own, direction)
            own.log_migration(migration, direction)
            (own.mark_one if direction == "apply" else own.unmark_one)(migration, log=False)


def _read(folders: Sequence[Path] | None) -> Any:
    return yoyo.read_migrations(*map(str, folders or sources()))


def _way_back(migration: Any) -> Path:
    return Path(migration.path).with_suffix(".rollback.sql")


def _libpq_url(address: Address, schema: str, name: str) -> str:
    parts = urlsplit(address.url)
    given = {"connect_timeout": str(math.ceil(address.connect_timeout)), **dict(parse_qsl(parts.query))}
    options = f"{given.get('options', '')} -c search_path={schema}"
    if address.role is not None:
        options += f" -c role={address.role}"
    if (name_of_database := unquote(parts.path[1:])) != parts.path[1:]:
        # Decoded here, because yoyo takes the path as it is.
        given["dbname"] = name_of_database
    given |= {**address.libpq, "options": options.strip(), "application_name": name}
    return f"postgresql://{parts.netloc}{parts.path}?{urlencode(given, quote_via=quote)}"


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    """Failures other than a migration's own: of the connection, of the files, of a lock."""
    try:
        yield
    except LockTimeout as error:
        raise OperatorError(
            f"another process is migrating: {str(error).partition(' (')[0]}",
            'wait for it; if it is gone: yoyo break-lock --database "$(quarry db url --yoyo)"',
        ) from error
    except psycopg.errors.InvalidSchemaName as error:
        raise OperatorError("the schema does not exist", "run `quarry db create` first") from error
    except psycopg.Error as error:
        raise OperatorError(f"migrations stop: {_first_line(error)}", "see `quarry db test`") from error
    except (BadMigration, MigrationConflict, KeyError, ValueError) as error:
        raise MigrationError(f"the migrations can't be read: {_first_line(error)}", "correct the file") from error


@contextlib.contextmanager
def _locked(address: Address, schema: str, say: Say, patience: float = 10.0) -> Iterator[Any]:
    """Instances wait for each other on an advisory lock, which a dead one can't keep; yoyo's own row comes after it."""
    _name_user()
    with _reported(), psycopg.connect(_libpq_url(address, schema, "quarry"), autocommit=True) as holder:
        if not _value(holder, "SELECT pg_try_advisory_lock(%s)", _LOCK):
            say("waiting for another instance that is migrating")
            holder.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        if not _value(holder, "SELECT to_regnamespace(quote_ident(%s)) IS NOT NULL", schema):
            raise OperatorError(f"the schema {schema} does not exist", "run `quarry db create` first")
        _clear_dead_lock(holder)
        with yoyo.get_backend(yoyo_url(address, schema)) as backend:
            backend.ensure_internal_schema_updated()
            with backend.lock(timeout=patience):
                yield backend


def _clear_dead_lock(holder: psycopg.Connection[Any]) -> None:
    """Remove the row of a yoyo that is gone: no such process on this host, and none connected from another one."""
    if _value(holder, "SELECT to_regclass('yoyo_lock') IS NULL"):
        return
    pid = _value(holder, "SELECT pid FROM yoyo_lock")
    connected = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = %s AND datname = current_database())"
    )
    if pid is not None and not _is_alive(pid) and not _value(holder, connected, _YOYO):
        holder.execute("DELETE FROM yoyo_lock WHERE pid = %s", (pid,))


def _value(connection: psycopg.Connection[Any], statement: Any, *values: object) -> Any:
    row = connection.execute(statement, values).fetchone()
    return None if row is None else row[0]


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


def _name_user() -> None:
    """Name a user that has no name, as in some containers: yoyo logs it and would fail."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = str(os.getuid())


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


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say which statement of the file at `path` failed."""
    try:
        # yoyo prints what a SELECT answers; stdout is for the data of commands.
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore", ResourceWarning)
            yield
    except psycopg.Error as error:
        statement = _failed_statement(error.__traceback__)
        place = _place(path, statement, error.diag.statement_position)
        what = " ".join(_code(statement).split())[:120] if statement else "COMMIT"
        raise MigrationError(
            f"{place}: {error.diag.message_primary or _first_line(error)}, in: {what}",
            "nothing of this migration was kept; correct the file and run it again",
        ) from error


def _failed_statement(trace: TracebackType | None) -> str | None:
    """The statement that yoyo was executing: it keeps it in a local of the frame that the error came through."""
    found = None
    while trace is not None:
        found = trace.tb_frame.f_locals.get("stmt", found)
        trace = trace.tb_next
    return found if isinstance(found, str) else None


def _place(path: Path, statement: str | None, position: str | None) -> str:
    """File and line: of the character that the server names (counted from 1), else of the statement's beginning."""
    if statement is None:
        return path.name
    before, found, _ = path.read_text(encoding="utf-8").partition(statement.strip())
    offset = int(position) - 1 if position else len(statement) - len(_code(statement))
    lines = before.count("\n") + statement[:offset].count("\n")
    return f"{path.name}:{lines + 1}" if found else path.name


def _code(statement: str) -> str:
    """The statement without the comments before it."""
    return re.sub(r"\A(\s|--[^\n]*(\n|\Z))+", "", statement)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
