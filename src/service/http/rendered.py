"""Answers to reads whose JSON PostgreSQL has rendered. They are the same, byte for byte, as those made of row models."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from service.engine import EngineWork
from service.http import answers
from service.http.answers import Entity, Page
from service.http.call import Call
from service.http.pages import Cursor
from service.http.single import SingleRead
from service.statements.reads import JointResult, ReadCall
from service.tenancy.direct import NotDirect

M = TypeVar("M", bound=BaseModel)
W = TypeVar("W", bound=EngineWork)


class _Tagged(BaseModel):
    """The two fields of a rendered row that its ETag is made of."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    version: int | None = None


async def read_entity(call: Call[W], model: type[M], read: Callable[[W], Awaitable[M]]) -> Entity[M]:
    """The answer to a GET of one entity: `read` returns the call of a method whose rows are of this model, without awaiting it.

    `read` may be called several times, once before the caller is admitted (see SingleRead). Raises what Call.run raises, and
    NotFound if there is no row.
    """

    def result(together: JointResult) -> Entity[M]:
        return _entity(together.documents) if together.is_rendered else answers.entity(model, together.rows)

    async def operation(work: W) -> Entity[M]:
        asked = read(work)
        documents = await documents_of(asked)
        return answers.entity(model, await asked) if documents is None else _entity(documents)

    return await call.run(operation, single=SingleRead(read, result, may_be_rendered=True))


async def documents_of(asked: Awaitable[Any]) -> list[str] | None:
    """The rows of a call as JSON texts, if PostgreSQL can render them. None otherwise: then the call itself is to be awaited."""
    if isinstance(asked, ReadCall) and asked.can_render:
        with contextlib.suppress(NotDirect):
            return await asked.documents()
    return None


def _entity(documents: list[str]) -> Entity[M]:
    [document] = documents
    answer: Entity[M] = Entity(document, Entity.status)
    tagged = _Tagged.model_validate_json(document)
    if tagged.version is not None:
        answer.tagged = (tagged.id, tagged.version)
    return answer


def page(documents: list[str], limit: int, etag: str) -> Page[M]:
    """An answer with one page of a list, as answers.page makes it of rows. `documents` may have one more than `limit`."""
    following = "null"
    if len(documents) > limit:
        documents = documents[:limit]
        following = f'"{Cursor.model_validate_json(documents[-1]).encode()}"'
    return answers.page_of(f'{{"items":[{",".join(documents)}],"next":{following}}}'.encode(), etag)
