"""Pages of lists that only commits can change. As long as the commit numbers are those in the ETag that a client sends, its page
is up to date: the answer is 304, and the list is not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter

from service.engine import EngineWork
from service.http import answers, rendered
from service.http.answers import Page
from service.http.call import Call
from service.http.inputs import Parsed
from service.http.single import SingleRead
from service.positions import Position
from service.statements.reads import JointResult
from service.tenancy.direct import NotDirect

M = TypeVar("M", bound=BaseModel)
W = TypeVar("W", bound=EngineWork)


async def numbered_page(
    call: Call[W],
    query: Parsed[Any],
    items: TypeAdapter[list[M]],
    read: Callable[[W], Awaitable[list[M]]],
) -> Page[M]:
    """One page of a list that can be changed only by commits of the tenant, or by changes of shared data.

    `read` reads the rows, and `items` serializes them. The page's weak ETag is a hash of the API's revision (reference.py), the
    tenant, the URL, the number of the tenant's last commit, and the number of changes of shared data. If the client sends this
    ETag as If-None-Match, the answer is 304 and `read` is not called.
    """

    def is_known(etag: str) -> bool:
        # If-None-Match: * asks for 304 if the list exists. Whether it does (its campaign may not) is known only after reading.
        return not query.error and call.if_none_match != ["*"] and answers.holds(etag, call.if_none_match)

    async def operation(work: W) -> Page[M]:
        etag = await _etag(call, work)
        if is_known(etag):
            return answers.not_modified(etag)
        asked = read(work)
        if (documents := await rendered.documents_of(asked)) is not None:
            return rendered.page(documents, query.get().limit, etag)
        return answers.page(items, await asked, query.get().limit, etag=etag)

    def result(together: JointResult) -> Page[M]:
        if together.stamp is None:
            raise NotDirect
        etag = _etag_of(call, *together.stamp)
        if together.is_rendered:
            return rendered.page(together.documents, query.get().limit, etag)
        return answers.page(items, together.rows, query.get().limit, etag=etag)

    # With If-None-Match, the numbers are read first, because the rows may not be needed. Then `operation` runs after the caller
    # has been admitted, because it is an `async def`.
    single = None if call.if_none_match else SingleRead(read, result, may_be_rendered=True, has_numbers=True)
    return await call.run(operation, single=single)


async def _etag(call: Call[Any], work: EngineWork) -> str:
    # The numbers are read before the rows, so the rows can't be older than the numbers. With older rows, a client that sends the
    # ETag would get 304 although its rows are out of date. Newer rows do no harm: the next request gets a different ETag.
    reading = work.reading
    if reading is not None and (numbers := reading.place()) is not None:
        epoch = call.state["watermarks"].epoch
        reading.require(numbers[0])
    else:
        place = await work.log.place()
        epoch, numbers = place.epoch, (place.head, place.shared_number)
        if reading is not None:
            reading.pass_by()
    return _etag_of(call, epoch, *numbers)


def _etag_of(call: Call[Any], epoch: int, number: int, shared: int) -> str:
    url = call.request.url
    # The hash includes the tenant: a browser sends the ETag that it has stored for this URL even after a user of another tenant
    # has signed in, and this user must not get 304.
    text = f"{call.state['revision']} {call.caller.tenant} {Position(epoch, number)} {shared} {url.path}?{url.query}"
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'
