"""Handlers of /v1/audit: who has changed which row, and which sign-ins have failed."""

from __future__ import annotations

import base64
import re
import struct
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, TypeAdapter, WithJsonSchema

from service.api.call import Call
from service.http import answers
from service.http.answers import Page
from service.http.inputs import Body, Parsed
from service.http.pages import PageQuery
from service.repos.log import AuditedChange, Operation
from service.repos.sign_in_failures import SignInFailure

_CURSOR = struct.Struct(">qi")
_CURSOR_TEXT = re.compile(r"[A-Za-z0-9_-]{16}\Z")
_SHOWN = {"password_hash": "password", "deleted_at": "is_deleted", "revoked_at": "is_revoked"}
"""Maps columns of tables to the names under which the audit shows them, if these are different."""


class AuditEntry(BaseModel):
    """A change of one row: by whom, when, and from where.

    `actor_id` is the id of a user or an API key. It is null if an operator or the service itself has changed the row.
    """

    id: str
    at: datetime
    actor_id: UUID | None
    session_id: UUID | None
    ip: str | None
    request_id: str | None
    table: str
    op: Operation
    row_id: UUID
    columns: list[str] | None


class AuditCursor(BaseModel):
    """Identifies the last change of a page by the number of its commit, and its ordinal in the commit."""

    model_config = ConfigDict(frozen=True)

    number: int
    ordinal: int


def _decoded(text: object) -> AuditCursor:
    if not _CURSOR_TEXT.match(str(text)):
        raise ValueError("this is not a cursor of this list")
    number, ordinal = _CURSOR.unpack(base64.urlsafe_b64decode(str(text)))
    return AuditCursor(number=number, ordinal=ordinal)


class AuditQuery(Body):
    """The query parameters of the audit. The list is restricted to changes with the given values."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    after: Annotated[
        AuditCursor | None,
        PlainValidator(_decoded),
        WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_-]{16}$"}),
    ] = None
    actor_id: UUID | None = None
    table: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,63}$")] | None = None
    row_id: UUID | None = None
    request_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None

    def arguments(self) -> dict[str, Any]:
        """The arguments for the repository's method `Log.audit`."""
        arguments: dict[str, Any] = {"limit": self.limit + 1}
        arguments |= {"actor_id": self.actor_id, "table_name": self.table, "row_id": self.row_id}
        arguments["request_id"] = self.request_id
        if self.after is not None:
            arguments |= {"after_number": self.after.number, "after_ordinal": self.after.ordinal}
        return arguments


class FailureQuery(PageQuery):
    """The query parameters of the list of failed sign-ins. With `user_id`, only those of this user are listed."""

    user_id: UUID | None = None


_ENTRIES = TypeAdapter(list[AuditEntry])
_FAILURES = TypeAdapter(list[SignInFailure])


async def page(call: Call, query: Parsed[AuditQuery]) -> Page[AuditEntry]:
    """List who changed which row, when and from where, newest first."""
    rows = await call.run(lambda work: work.log.audit(**query.get().arguments()))
    limit = query.get().limit
    cursors = {_id(row): _CURSOR.pack(row.number, row.ordinal) for row in rows}
    return answers.page(
        _ENTRIES,
        [_entry(row) for row in rows],
        limit,
        lambda entry: base64.urlsafe_b64encode(cursors[entry.id]).decode(),
    )


async def sign_ins(call: Call, query: Parsed[FailureQuery]) -> Page[SignInFailure]:
    """List the sign-ins that failed, newest first."""
    # Failed sign-ins have no commit numbers, so it can't be checked whether a replica has the latest ones. The primary is asked.
    rows = await call.run(lambda work: work.sign_in_failures.page(**query.get().arguments()), may_lag=False)
    return answers.page(_FAILURES, rows, query.get().limit)


def _id(row: AuditedChange) -> str:
    return f"{row.number}-{row.ordinal}"


def _entry(row: AuditedChange) -> AuditEntry:
    columns = row.columns and [_SHOWN.get(name, name) for name in row.columns if not name.endswith("_index")]
    return AuditEntry(
        id=_id(row), at=row.at, actor_id=row.actor_id, session_id=row.session_id,
        ip=None if row.ip is None else str(row.ip), request_id=row.request_id, table=row.table_name,
        op=row.operation, row_id=row.row_id, columns=columns,
    )  # fmt: skip
