"""/v1/campaigns"""

from __future__ import annotations

from datetime import date
from uuid import UUID

from pydantic import TypeAdapter, ValidationInfo, field_validator
from starlette.responses import Response

from service.api import answers
from service.api.caller import Call
from service.api.inputs import KEPT, NO_BODY, Body, Currency, Day, LongText, MinorUnits, Name, Patch
from service.api.pages import PageQuery
from service.api.preconditions import expected
from service.repos.campaigns import Campaign, Status
from service.repos.rows import removed, settled
from service.work import Work

_CAMPAIGNS = TypeAdapter(list[Campaign])


class CampaignQuery(PageQuery):
    """Filters of the list; `q` is the beginning of the name, in any case of letters."""

    status: Status | None = None
    owner_id: UUID | None = None
    brand_id: UUID | None = None
    q: Name | None = None


class CampaignDraft(Body):
    """A new campaign; its owner is the caller unless another is named."""

    name: Name
    description: LongText | None = None
    status: Status = "draft"
    owner_id: UUID | None = None
    brand_id: UUID | None = None
    budget_minor: MinorUnits = 0
    currency: Currency = "USD"
    starts_on: Day | None = None
    ends_on: Day | None = None

    @field_validator("ends_on")
    @classmethod
    def _ends_after_it_starts(cls, ends_on: date | None, info: ValidationInfo) -> date | None:
        starts_on = info.data.get("starts_on")
        if starts_on is not None and ends_on is not None and ends_on < starts_on:
            raise ValueError("a campaign does not end before it starts")
        return ends_on


class CampaignPatch(Patch):
    """The fields of a campaign to change."""

    name: Name = KEPT
    description: LongText | None = None
    status: Status = KEPT
    owner_id: UUID = KEPT
    brand_id: UUID | None = None
    budget_minor: MinorUnits = KEPT
    currency: Currency = KEPT
    starts_on: Day | None = None
    ends_on: Day | None = None


async def page(call: Call) -> Response:
    """List the campaigns, newest first."""
    query = call.query(CampaignQuery)
    rows = await call.run(lambda work: work.campaigns.page(**query.get().arguments()))
    return answers.page(_CAMPAIGNS, rows, query.get().limit)


async def create(call: Call) -> Response:
    """Create a campaign."""
    body = await call.body(CampaignDraft)

    async def operation(work: Work) -> Campaign:
        fields = dict(body.get())
        fields["owner_id"] = fields["owner_id"] or call.caller.user_id
        return await work.campaigns.create(**fields)

    campaign = await call.run(operation)
    return answers.entity(Campaign, campaign, 201, location=f"/v1/campaigns/{campaign.id}")


async def find(call: Call) -> Response:
    """One campaign."""
    return answers.entity(Campaign, await call.run(lambda work: work.campaigns.find(call.id())))


async def update(call: Call) -> Response:
    """Change the given fields of a campaign."""
    change, precondition = await call.body(CampaignPatch), call.precondition

    async def operation(work: Work) -> Campaign:
        id = call.id()
        version = await expected(lambda: work.campaigns.find(id), change, precondition)
        fields = change.get().fields()
        return settled(await work.campaigns.update(id, version=version, given=list(fields), **fields))

    return answers.entity(Campaign, await call.run(operation))


async def remove(call: Call) -> Response:
    """Delete a campaign; it can be restored."""
    precondition = call.precondition

    async def operation(work: Work) -> None:
        id = call.id()
        version = await expected(lambda: work.campaigns.find(id), NO_BODY, precondition)
        removed(await work.campaigns.remove(id, version=version))

    await call.run(operation)
    return answers.nothing()


async def restore(call: Call) -> Response:
    """Bring a deleted campaign back."""
    return answers.entity(Campaign, await call.run(lambda work: work.campaigns.restore(call.id())))
