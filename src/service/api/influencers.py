"""Handlers of /v1/influencers: the influencers that an agency works with."""

from __future__ import annotations

from pydantic import Field, TypeAdapter

from service.api.call import Call
from service.api.fields import Email, LongText, Name, NicheIds, PastDay, Phone, PhoneFilter, Url, Username
from service.errors import NotFound
from service.http import answers
from service.http.answers import Created, Entity, Nothing, Page
from service.http.inputs import KEPT, NO_BODY, Body, Parsed, Patch, example
from service.http.numbered_pages import numbered_page
from service.http.pages import PageQuery
from service.http.preconditions import Precondition, expected
from service.http.rendered import read_entity
from service.profiles import change_profile, create_profile
from service.repos.influencers import Gender, Influencer
from service.statements.outcomes import check_removed
from service.work import Work

_INFLUENCERS = TypeAdapter(list[Influencer])


class InfluencerQuery(PageQuery):
    """The query parameters of the list of influencers. `q` selects those whose name begins with this text, ignoring case."""

    username: Username | None = None
    email: Email | None = None
    phone: PhoneFilter | None = None
    is_active: bool | None = None
    q: Name | None = None


class InfluencerDraft(Body):
    """A new influencer, with its niches."""

    model_config = example(
        name="Mina Park",
        username="mina.park",
        email="mina@example.com",
        phone="+14155550123",
        date_of_birth="1998-04-12",
        gender="female",
        niche_ids=[],
    )

    name: Name
    username: Username
    email: Email
    phone: Phone
    date_of_birth: PastDay | None = None
    gender: Gender | None = None
    bio: LongText | None = None
    profile_image: Url | None = None
    is_active: bool = True
    niche_ids: NicheIds = Field(default=[])


class InfluencerPatch(Patch):
    """The fields of an influencer to change; `niche_ids` replaces all niches of the influencer."""

    model_config = example(bio="Slow travel and good coffee.")

    name: Name = KEPT
    username: Username = KEPT
    email: Email = KEPT
    phone: Phone = KEPT
    date_of_birth: PastDay | None = None
    gender: Gender | None = None
    bio: LongText | None = None
    profile_image: Url | None = None
    is_active: bool = KEPT
    niche_ids: NicheIds = KEPT


async def page(call: Call, query: Parsed[InfluencerQuery]) -> Page[Influencer]:
    """List the influencers with their niches, newest first."""
    return await numbered_page(call, query, _INFLUENCERS, lambda work: work.influencers.page(**query.get().arguments()))


async def create(call: Call, body: Parsed[InfluencerDraft]) -> Created[Influencer]:
    """Create an influencer with its niches."""

    async def operation(work: Work) -> Created[Influencer]:
        influencer = await create_profile(work.influencers, dict(body.get()))
        return answers.created(Influencer, influencer, f"/v1/influencers/{influencer.id}")

    return await call.write(operation)


async def find(call: Call) -> Entity[Influencer]:
    """Get one influencer with its niches."""
    return await read_entity(call, Influencer, lambda work: work.influencers.find(call.id()))


async def update(call: Call, body: Parsed[InfluencerPatch], precondition: Precondition) -> Entity[Influencer]:
    """Change the given fields of an influencer."""

    async def operation(work: Work) -> Entity[Influencer]:
        id = call.id()
        version = await expected(lambda: work.influencers.find(id), body, precondition)
        return answers.entity(Influencer, await change_profile(work.influencers, id, version, body.get().fields()))

    return await call.write(operation)


async def remove(call: Call, precondition: Precondition) -> Nothing:
    """Delete an influencer. A deleted influencer can be restored.

    An influencer with the status `invited` or `accepted` on a campaign can't be deleted, unless that campaign is deleted.
    """

    async def operation(work: Work) -> Nothing:
        id = call.id()
        version = await expected(lambda: work.influencers.find(id), NO_BODY, precondition)
        check_removed(await work.influencers.remove(id, version=version))
        return answers.nothing()

    return await call.write(operation)


async def restore(call: Call) -> Entity[Influencer]:
    """Restore a deleted influencer."""

    async def operation(work: Work) -> Entity[Influencer]:
        return answers.entity(Influencer, await work.influencers.restore(call.id()))

    return await call.write(operation)


async def attach(call: Call) -> Entity[Influencer]:
    """Attach a niche to an influencer."""

    async def operation(work: Work) -> Entity[Influencer]:
        id, niche_id = call.id(), call.id("niche_id")
        await work.niches.find(niche_id)
        await work.influencers.attach_niche(id, niche_id)
        return answers.entity(Influencer, await work.influencers.find(id))

    return await call.write(operation)


async def detach(call: Call) -> Nothing:
    """Detach a niche from an influencer."""

    async def operation(work: Work) -> Nothing:
        if not await work.influencers.detach_niche(call.id(), call.id("niche_id")):
            raise NotFound("There is no such niche on this influencer.")
        return answers.nothing()

    return await call.write(operation)
