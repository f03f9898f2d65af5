"""Handlers of /v1/campaigns/{campaign_id}/contents: the contents (posts, videos and others) made for a campaign."""

from __future__ import annotations

from pydantic import TypeAdapter

from service.api.call import Call
from service.api.fields import LongText, Name, Url
from service.errors import NotFound
from service.http import answers
from service.http.answers import Created, Entity, Nothing, Page
from service.http.inputs import KEPT, NO_BODY, Body, Parsed, Patch, example
from service.http.numbered_pages import numbered_page
from service.http.pages import PageQuery
from service.http.preconditions import Precondition, expected
from service.http.rendered import read_entity
from service.repos.contents import Content, Kind, Status
from service.statements.outcomes import changed_row, check_removed
from service.work import Work

_CONTENTS = TypeAdapter(list[Content])


class ContentQuery(PageQuery):
    """The query parameters of the list of contents. `status` and `kind` select the contents with these values."""

    status: Status | None = None
    kind: Kind | None = None


class ContentDraft(Body):
    """A new content (post, reel, story, video or article) of a campaign."""

    model_config = example(kind="reel", title="Behind the scenes", url="https://example.com/reel")

    kind: Kind
    title: Name
    body: LongText | None = None
    url: Url | None = None
    status: Status = "draft"


class ContentPatch(Patch):
    """The fields of a content to change."""

    model_config = example(status="published")

    kind: Kind = KEPT
    title: Name = KEPT
    body: LongText | None = None
    url: Url | None = None
    status: Status = KEPT


_MISSING = "There is no such campaign."


async def page(call: Call, query: Parsed[ContentQuery]) -> Page[Content]:
    """List the contents of a campaign, newest first."""

    async def operation(work: Work) -> list[Content]:
        campaign_id = call.id("campaign_id")
        rows = [] if query.error else await work.contents.page(campaign_id, **query.get().arguments())
        if not rows and not await work.campaigns.exists(campaign_id):
            raise NotFound(_MISSING)
        query.get()
        return rows

    return await numbered_page(call, query, _CONTENTS, operation)


async def create(call: Call, body: Parsed[ContentDraft]) -> Created[Content]:
    """Create a content (post, reel, story, video or article) of a campaign."""

    async def operation(work: Work) -> Created[Content]:
        campaign_id = call.id("campaign_id")
        if body.error and not await work.campaigns.exists(campaign_id):
            raise NotFound(_MISSING)
        content = await work.contents.create(campaign_id, **dict(body.get()))
        if content is None:
            raise NotFound(_MISSING)
        return answers.created(Content, content, f"/v1/campaigns/{content.campaign_id}/contents/{content.id}")

    return await call.write(operation)


async def find(call: Call) -> Entity[Content]:
    """Get one content of a campaign."""
    return await read_entity(call, Content, lambda work: work.contents.find(call.id("campaign_id"), call.id()))


async def update(call: Call, body: Parsed[ContentPatch], precondition: Precondition) -> Entity[Content]:
    """Change the given fields of a content."""

    async def operation(work: Work) -> Entity[Content]:
        campaign_id, id = call.id("campaign_id"), call.id()
        version = await expected(lambda: work.contents.find(campaign_id, id), body, precondition)
        fields = body.get().fields()
        outcome = await work.contents.update(campaign_id, id, version=version, given=list(fields), **fields)
        return answers.entity(Content, changed_row(outcome))

    return await call.write(operation)


async def remove(call: Call, precondition: Precondition) -> Nothing:
    """Delete a content. A deleted content can be restored."""

    async def operation(work: Work) -> Nothing:
        campaign_id, id = call.id("campaign_id"), call.id()
        version = await expected(lambda: work.contents.find(campaign_id, id), NO_BODY, precondition)
        check_removed(await work.contents.remove(campaign_id, id, version=version))
        return answers.nothing()

    return await call.write(operation)


async def restore(call: Call) -> Entity[Content]:
    """Restore a deleted content."""

    async def operation(work: Work) -> Entity[Content]:
        return answers.entity(Content, await work.contents.restore(call.id("campaign_id"), call.id()))

    return await call.write(operation)
