"""Turns exceptions during migrations into errors whose message tells the operator what failed and what to do."""

from __future__ import annotations

import contextlib
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from yoyo.exceptions import BadMigration, LockTimeout, MigrationConflict

from service.errors import OperatorError

_FROM_STDIN = re.compile(r"\ACOPY\b.*\bFROM\s+STDIN\b", re.IGNORECASE | re.DOTALL)
READ_ONLY = "name the primary in DATABASE_MIGRATION_URL, or take back what has set default_transaction_read_only there"


class MigrationError(OperatorError):
    """A migration failed, or its file can't be used. If the migration ran in a transaction, it was rolled back.

    If it ran outside a transaction, the remedy names those of its statements that had already taken effect.
    """


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turn exceptions of the block into OperatorErrors if the connection, yoyo's lock or a file causes them."""
    try:
        yield
    except LockTimeout as error:
        raise OperatorError(
            f"another process is migrating: {str(error).partition(' (')[0]}",
            'wait for it; if it is gone: yoyo break-lock --database "$(quarry db url --yoyo)"',
        ) from error
    except psycopg.errors.InvalidSchemaName as error:
        raise OperatorError("the schema does not exist", "run `quarry db create` first") from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise OperatorError("migrations stop: the database is read-only", READ_ONLY) from error
    except psycopg.ProgrammingError as error:
        if error.sqlstate is None:
            # libpq's message is not shown, because it repeats parts of the malformed address, and these may be secret.
            raise OperatorError("migrations stop: the address can't be read", "see `quarry config show`") from None
        raise OperatorError(f"migrations stop: {_first_line(error)}", "see `quarry db test`") from error
    except psycopg.Error as error:
        raise OperatorError(f"migrations stop: {_first_line(error)}", "see `quarry db test`") from error
    except (BadMigration, MigrationConflict, KeyError, ValueError) as error:
        raise MigrationError(f"the migrations can't be read: {_first_line(error)}", "correct the file") from error


@contextlib.contextmanager
def explained(path: Path, *, is_transactional: bool = True) -> Iterator[None]:
    """Turn an error of PostgreSQL into a MigrationError that says which statement of the file at `path` failed.

    If the migration runs outside a transaction (`is_transactional` is false), the error also names the statements of the file
    that had already taken effect.
    """
    try:
        # yoyo prints the results of SELECT statements. They are sent to stderr, because stdout is for the output of the command.
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore", ResourceWarning)
            yield
    except psycopg.Error as error:
        statement = _failed_statement(error.__traceback__)
        place = _place(path, statement, error.diag.statement_position)
        what = " ".join(_code(statement).split())[:120] if statement else "COMMIT"
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            raise MigrationError(f"{place}: the database is read-only", READ_ONLY) from error
        message = f"{place}: {error.diag.message_primary or _first_line(error)}, in: {what}"
        if isinstance(error, psycopg.errors.RaiseException):
            # The migration itself raised this error (RAISE EXCEPTION), so the error's own message explains it to the operator.
            message = f"{place}: {error.diag.message_primary}"
            raise MigrationError(message, "this one was refused by its own file, and nothing of it was kept") from error
        if is_transactional:
            # True for a statement that can't be run in a transaction, such as CREATE INDEX CONCURRENTLY.
            outside = isinstance(error, psycopg.errors.ActiveSqlTransaction)
            how = (
                "put it into a file of its own with `-- transactional: false` below its `-- depends:`"
                if outside
                else "correct the file"
            )
            raise MigrationError(message, f"nothing of this migration was kept; {how}, and run it again") from error
        raise MigrationError(message, _left_behind(_executed(error.__traceback__), statement)) from error


def _left_behind(executed: list[str], failed: str | None) -> str:
    """The remedy if a file runs outside a transaction: the statement `failed` has failed, those in `executed` ran before."""
    standing = [" ".join(_code(each).split())[:120] for each in executed]
    standing = [each for each in standing if not each.upper().startswith(("SET ", "RESET "))]
    if standing:
        what = f"outside a transaction nothing is undone, these statements stand: {' '.join(standing)}"
        remedy = f"{what} Undo them by hand, or correct the file so that it may find them done; then run it again"
    else:
        remedy = "no statement before it has changed anything; correct the file and run it again"
    if failed is not None and re.search(r"\bCONCURRENTLY\b", failed, re.IGNORECASE):
        remedy += ". It may have left an invalid index, which is to be dropped first"
    return remedy


def _executed(trace: TracebackType | None) -> list[str]:
    """The statements that yoyo ran before the failed one. They are read from yoyo's local variables in the traceback."""
    steps: list[Any] = []
    direction = "apply"
    while trace is not None:
        steps = trace.tb_frame.f_locals.get("executed_steps", steps)
        direction = trace.tb_frame.f_locals.get("direction", direction)
        trace = trace.tb_next
    return texts_of(steps, direction)


def texts_of(steps: Sequence[Any], direction: str) -> list[str]:
    """The SQL statements in yoyo's `steps` that apply a migration, or roll it back if `direction` is `rollback`."""
    texts = [getattr(each.step, f"_{direction}") for each in steps]
    return [text for text in texts if isinstance(text, str)]


def refuse_copying(path: Path, statements: Sequence[str]) -> None:
    """Raise MigrationError if a statement is COPY FROM stdin. It would wait for rows that nobody sends during a migration."""
    for statement in statements:
        if _FROM_STDIN.search(_code(statement)):
            raise MigrationError(
                f"{_place(path, statement, None)}: COPY … FROM stdin has nothing to read from in a migration",
                "write the rows as INSERT … VALUES",
            )


def _failed_statement(trace: TracebackType | None) -> str | None:
    """The statement that yoyo was executing when the error occurred: the local variable `stmt` in the traceback."""
    found = None
    while trace is not None:
        found = trace.tb_frame.f_locals.get("stmt", found)
        trace = trace.tb_next
    return found if isinstance(found, str) else None


def _place(path: Path, statement: str | None, position: str | None) -> str:
    """The name of the file, and the line of the error in it. `position` counts the characters of the statement up to the error.

    If `position` is None, the line is the one in which the statement begins.
    """
    if statement is None:
        return path.name
    before, found, _ = path.read_text(encoding="utf-8").partition(statement.strip())
    offset = int(position) - 1 if position else len(statement) - len(_code(statement))
    lines = before.count("\n") + statement[:offset].count("\n")
    return f"{path.name}:{lines + 1}" if found else path.name


def _code(statement: str) -> str:
    """The statement without the comments and blanks that precede it."""
    return re.sub(r"\A(\s|--[^\n]*(\n|\Z))+", "", statement)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
