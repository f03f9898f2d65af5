"""Pages of lists that change only with commits. While the commit numbers stay the same, the list does too, and is not read."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter

from service.engine import EngineWork
from service.http import answers
from service.http.answers import Page
from service.http.call import Call
from service.http.inputs import Parsed
from service.positions import Position

M = TypeVar("M", bound=BaseModel)
W = TypeVar("W", bound=EngineWork)


async def numbered_page(
    call: Call[W],
    query: Parsed[Any],
    items: TypeAdapter[list[M]],
    read: Callable[[W], Awaitable[list[M]]],
) -> Page[M]:
    """One page of a list that only commits of the tenant and of the shared data can change.

    Its weak ETag is a hash of the API's revision (reference.py), the tenant, the URL, and the numbers of the last commit of the
    tenant and of the shared data. If the client already has the page with this ETag, the answer is 304 and `read` is not called.
    """

    async def operation(work: W) -> Page[M]:
        etag = await _etag(call, work)
        # If-None-Match: * matches if the list exists, and only reading shows whether it does.
        if not query.error and call.if_none_match != ["*"] and answers.holds(etag, call.if_none_match):
            return answers.not_modified(etag)
        rows = await read(work)
        return answers.page(items, rows, query.get().limit, etag=etag)

    return await call.run(operation)


async def _etag(call: Call[Any], work: EngineWork) -> str:
    # The numbers are read before the rows, so the rows can't be older than the numbers. If they were, a later request with this
    # ETag would get 304 for stale rows. Rows that are newer than the numbers do no harm.
    reading = work.reading
    if reading is not None and (numbers := reading.place()) is not None:
        epoch = call.state["watermarks"].epoch
        reading.require(numbers[0])
    else:
        place = await work.log.place()
        epoch, numbers = place.epoch, (place.head, place.shared_number)
        if reading is not None:
            reading.pass_by()
    url = call.request.url
    # The hash includes the tenant, because a browser sends its ETag for this URL even after another user has signed in.
    text = f"{call.state['revision']} {work.tenant} {Position(epoch, numbers[0])} {numbers[1]} {url.path}?{url.query}"
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'
