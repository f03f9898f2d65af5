"""Handlers of /v1/campaigns: the campaigns of an agency."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from pydantic import TypeAdapter, ValidationInfo, field_validator

from service.api.call import Call
from service.api.fields import Currency, Day, LongText, MinorUnits, Name
from service.http import answers
from service.http.answers import Created, Entity, Nothing, Page
from service.http.inputs import KEPT, NO_BODY, Body, Parsed, Patch, example
from service.http.numbered_pages import numbered_page
from service.http.pages import PageQuery
from service.http.preconditions import Precondition, expected
from service.http.rendered import read_entity
from service.repos.campaigns import Campaign, Status
from service.statements.outcomes import changed_row, check_removed
from service.work import Work

_CAMPAIGNS = TypeAdapter(list[Campaign])


class CampaignQuery(PageQuery):
    """The query parameters of the list of campaigns. `q` selects those whose name begins with this text, ignoring case."""

    status: Status | None = None
    owner_id: UUID | None = None
    brand_id: UUID | None = None
    q: Name | None = None


class CampaignDraft(Body):
    """A new campaign. Without `owner_id`, its owner is the caller, or the user who created the caller's API key."""

    model_config = example(name="Summer Launch", budget_minor=500_000, currency="USD", starts_on="2026-06-01")

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

    model_config = example(status="active", ends_on=None)

    name: Name = KEPT
    description: LongText | None = None
    status: Status = KEPT
    owner_id: UUID = KEPT
    brand_id: UUID | None = None
    budget_minor: MinorUnits = KEPT
    currency: Currency = KEPT
    starts_on: Day | None = None
    ends_on: Day | None = None


async def page(call: Call, query: Parsed[CampaignQuery]) -> Page[Campaign]:
    """List the campaigns, newest first."""
    return await numbered_page(call, query, _CAMPAIGNS, lambda work: work.campaigns.page(**query.get().arguments()))


async def create(call: Call, body: Parsed[CampaignDraft]) -> Created[Campaign]:
    """Create a campaign."""

    async def operation(work: Work) -> Created[Campaign]:
        fields = dict(body.get())
        fields["owner_id"] = fields["owner_id"] or call.caller.user_id
        campaign = await work.campaigns.create(**fields)
        return answers.created(Campaign, campaign, f"/v1/campaigns/{campaign.id}")

    return await call.write(operation)


async def find(call: Call) -> Entity[Campaign]:
    """Get one campaign."""
    return await read_entity(call, Campaign, lambda work: work.campaigns.find(call.id()))


async def update(call: Call, body: Parsed[CampaignPatch], precondition: Precondition) -> Entity[Campaign]:
    """Change the given fields of a campaign."""

    async def operation(work: Work) -> Entity[Campaign]:
        id = call.id()
        version = await expected(lambda: work.campaigns.find(id), body, precondition)
        fields = body.get().fields()
        outcome = await work.campaigns.update(id, version=version, given=list(fields), **fields)
        return answers.entity(Campaign, changed_row(outcome))

    return await call.write(operation)


async def remove(call: Call, precondition: Precondition) -> Nothing:
    """Delete a campaign. A deleted campaign can be restored."""

    async def operation(work: Work) -> Nothing:
        id = call.id()
        version = await expected(lambda: work.campaigns.find(id), NO_BODY, precondition)
        check_removed(await work.campaigns.remove(id, version=version))
        return answers.nothing()

    return await call.write(operation)


async def restore(call: Call) -> Entity[Campaign]:
    """Restore a deleted campaign."""

    async def operation(work: Work) -> Entity[Campaign]:
        return answers.entity(Campaign, await work.campaigns.restore(call.id()))

    return await call.write(operation)
