"""Translates exceptions of asyncpg, including the errors that PostgreSQL reports, into ServiceErrors.

An error that PostgreSQL reports is classified by its SQLSTATE. For other exceptions the caller says whether the connection is
lost, because their classes don't show it: asyncpg raises half a dozen classes then, some of them also in other cases. The
messages of the ServiceErrors never repeat PostgreSQL's messages.
"""

from __future__ import annotations

import asyncpg

from service.errors import (
    Behind,
    Conflict,
    Contention,
    DatabaseError,
    FieldError,
    Forbidden,
    InUse,
    InvalidInput,
    MissingReference,
    NotFound,
    ReadOnly,
    ServiceError,
    SessionReadOnly,
    StalePlan,
    TenantUnbound,
    Timeout,
    TransactionAborted,
    Unavailable,
)

_PASSING = {"40001": Contention, "40P01": Contention, "TN008": Behind}
_UNAVAILABLE = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "58030"})
_EXHAUSTED = {
    "53100": "The database has no room left on its disk; nothing was changed.",
    "53200": "The database is out of memory; nothing was changed.",
    "53300": "The database has too many connections; nothing was changed.",
}
_INVALID_CLASSES = frozenset({"22"})
_SUFFIXES = ("_check", "_key", "_fkey")


def translate(error: Exception, *, connection_lost: bool, only_removes: bool = False) -> Exception:
    """The ServiceError for an exception of a statement or of an attempt to connect; `error` itself if its class is unknown.

    The caller raises the result `from error`. `only_removes` says that the statement deletes rows and inserts none. The texts
    of the server's messages are not used, because they depend on the server's language.
    """
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        return _of_server(error, connection_lost=connection_lost, only_removes=only_removes)
    if isinstance(error, asyncpg.DataError):
        return InvalidInput()
    if isinstance(error, asyncpg.OutdatedSchemaCacheError):
        return StalePlan()
    if isinstance(error, TimeoutError) and not connection_lost:
        return Timeout()
    if connection_lost or isinstance(error, OSError | TimeoutError):
        return Unavailable()
    return error


def _of_server(error: asyncpg.PostgresError, *, connection_lost: bool, only_removes: bool) -> ServiceError:
    state = error.sqlstate or ""
    if (passing := _PASSING.get(state)) is not None:
        return passing()
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return StalePlan()
    if state in _EXHAUSTED:
        return Unavailable(_EXHAUSTED[state])
    if state in _UNAVAILABLE or state.startswith("08") or (connection_lost and not state.startswith("28")):
        return Unavailable()
    if state == "57014":
        return Timeout()
    if state == "55P03":
        return Timeout("The row is locked by other work; nothing was changed.")
    return _of_statement(error, state, only_removes=only_removes)


def _of_statement(error: asyncpg.PostgresError, state: str, *, only_removes: bool) -> ServiceError:
    field = field_of(getattr(error, "constraint_name", None), getattr(error, "table_name", None))
    match state:
        case "23505":
            return Conflict(f"The {field} is taken." if field else None, field=field)
        case "23503":
            # The error is the same whether the statement refers to a missing row, or deletes a row that others refer to.
            if only_removes:
                return InUse()
            return MissingReference(errors=(FieldError(field or "", "There is no such row."),))
        case "23514" | "23502" | "23P01":
            column = field or getattr(error, "column_name", None) or ""
            return InvalidInput(errors=(FieldError(column, "This value is not allowed."),))
        case "TN001":
            return TenantUnbound()
        case "TN004":
            return Forbidden("A row keeps its tenant and its id.")
        case "TN005":
            return Conflict("The last owner of a tenant can't be removed, demoted or deactivated.")
        case "TN006":
            return InUse("Live rows still refer to this one; change or delete them first.")
        case "42P01" | "42883" | "3F000":
            return DatabaseError(
                "The database is not the one of this version: run `quarry migrate up`, where its data is."
            )
        case "25006":
            # During maintenance our functions raise this error; otherwise PostgreSQL does, for a read-only session or server.
            is_ours = getattr(error, "server_source_function", None) == "exec_stmt_raise"
            return ReadOnly() if is_ours else SessionReadOnly()
        case "25P02":
            return TransactionAborted()
        case "42501":
            return Forbidden()
        case "P0002":
            return NotFound()
    if state[:2] in _INVALID_CLASSES:
        return InvalidInput()
    return DatabaseError(f"The database answered {state or 'an error'}.")


def field_of(constraint: str | None, table: str | None) -> str | None:
    """The field that a constraint is about, derived from its name: for `users_tenant_id_email_key` of `users` it is `email`."""
    if not constraint or not table or constraint.endswith("_pkey"):
        return None
    for suffix in _SUFFIXES:
        if constraint.endswith(suffix):
            constraint = constraint.removesuffix(suffix)
            break
    name = constraint.removeprefix(f"{table}_").removeprefix("tenant_id_").removesuffix("_index")
    return name or None
