"""Pages of a list: the query parameters of every list, and the cursor that leads from one page to the next."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from service.http.inputs import Body

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR = re.compile(r"[A-Za-z0-9_-]{32}\Z")
"""The text of a cursor: 24 bytes in base64, 8 for `created_at` and 16 for `id`."""


class Cursor(BaseModel):
    """The values that the last row of a page is ordered by. The next page begins after this row."""

    model_config = ConfigDict(frozen=True)

    created_at: datetime
    id: UUID

    def encode(self) -> str:
        """The cursor as opaque text."""
        microseconds = (self.created_at - _EPOCH) // _MICROSECOND
        return base64.urlsafe_b64encode(microseconds.to_bytes(8, "big", signed=True) + self.id.bytes).decode()


def decode_cursor(text: object) -> Cursor:
    """Turn a text that `Cursor.encode` has made back into a cursor. Raises ValueError if the text is no cursor."""
    try:
        if not _CURSOR.match(str(text)):
            raise ValueError
        raw = base64.urlsafe_b64decode(str(text))
        created_at = _EPOCH + int.from_bytes(raw[:8], "big", signed=True) * _MICROSECOND
        return Cursor(created_at=created_at, id=UUID(bytes=raw[8:]))
    except (ValueError, OverflowError):
        raise ValueError("this is not a cursor of this list") from None


class Entity(Protocol):
    """A row that has the two columns that lists are ordered by."""

    @property
    def created_at(self) -> datetime: ...
    @property
    def id(self) -> UUID: ...


def cursor_of(row: Entity) -> str:
    """The cursor of the page that begins after `row`, as text."""
    return Cursor(created_at=row.created_at, id=row.id).encode()


class PageQuery(Body):
    """The query parameters of every list that is ordered by time: the most rows of a page, and the cursor to begin after."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    after: Annotated[
        Cursor | None,
        PlainValidator(decode_cursor),
        WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_-]{32}$"}),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """The arguments for the method `page` of a repository.

        They ask for one row more than the client does: if this row exists, there is a next page.
        """
        given = {name: getattr(self, name) for name in self.model_fields_set - {"limit", "after"}}
        if self.after is not None:
            given |= {"after_created_at": self.after.created_at, "after_id": self.after.id}
        return given | {"limit": self.limit + 1}
