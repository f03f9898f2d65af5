"""/v1/campaigns/{campaign_id}/contents"""

from __future__ import annotations

from pydantic import TypeAdapter
from starlette.responses import Response

from service.api import answers
from service.api.caller import Call
from service.api.inputs import KEPT, NO_BODY, Body, LongText, Name, Patch, Url
from service.api.pages import PageQuery
from service.api.preconditions import expected
from service.errors import NotFound
from service.repos.contents import Content, Kind, Status
from service.repos.rows import removed, settled
from service.work import Work

_CONTENTS = TypeAdapter(list[Content])


class ContentQuery(PageQuery):
    """Filters of the list."""

    status: Status | None = None
    kind: Kind | None = None


class ContentDraft(Body):
    """A new content."""

    kind: Kind
    title: Name
    body: LongText | None = None
    url: Url | None = None
    status: Status = "draft"


class ContentPatch(Patch):
    """The fields of a content to change."""

    kind: Kind = KEPT
    title: Name = KEPT
    body: LongText | None = None
    url: Url | None = None
    status: Status = KEPT


async def page(call: Call) -> Response:
    """List the contents of a campaign, newest first."""
    query = call.query(ContentQuery)

    async def operation(work: Work) -> list[Content]:
        campaign_id = call.id("campaign_id")
        rows = [] if query.error else await work.contents.page(campaign_id, **query.get().arguments())
        if not rows and not await work.campaigns.exists(campaign_id):
            raise NotFound
        query.get()
        return rows

    return answers.page(_CONTENTS, await call.run(operation), query.get().limit)


async def create(call: Call) -> Response:
    """Create a content of a campaign."""
    body = await call.body(ContentDraft)

    async def operation(work: Work) -> Content:
        campaign_id = call.id("campaign_id")
        if body.error and not await work.campaigns.exists(campaign_id):
            raise NotFound
        return await work.contents.create(campaign_id, **dict(body.get()))

    content = await call.run(operation)
    return answers.entity(Content, content, 201, location=f"/v1/campaigns/{content.campaign_id}/contents/{content.id}")


async def find(call: Call) -> Response:
    """One content."""
    return answers.entity(Content, await call.run(lambda work: work.contents.find(call.id("campaign_id"), call.id())))


async def update(call: Call) -> Response:
    """Change the given fields of a content."""
    change, precondition = await call.body(ContentPatch), call.precondition

    async def operation(work: Work) -> Content:
        campaign_id, id = call.id("campaign_id"), call.id()
        version = await expected(lambda: work.contents.find(campaign_id, id), change, precondition)
        fields = change.get().fields()
        return settled(await work.contents.update(campaign_id, id, version=version, given=list(fields), **fields))

    return answers.entity(Content, await call.run(operation))


async def remove(call: Call) -> Response:
    """Delete a content; it can be restored."""
    precondition = call.precondition

    async def operation(work: Work) -> None:
        campaign_id, id = call.id("campaign_id"), call.id()
        version = await expected(lambda: work.contents.find(campaign_id, id), NO_BODY, precondition)
        removed(await work.contents.remove(campaign_id, id, version=version))

    await call.run(operation)
    return answers.nothing()


async def restore(call: Call) -> Response:
    """Bring a deleted content back."""
    return answers.entity(
        Content, await call.run(lambda work: work.contents.restore(call.id("campaign_id"), call.id()))
    )
