"""Handlers of /v1/niches: fields of interest, such as fashion, which are the same for all tenants."""

from __future__ import annotations

from pydantic import TypeAdapter

from service.api.call import Call
from service.http.answers import Entity, Page
from service.http.inputs import Parsed
from service.http.numbered_pages import numbered_page
from service.http.pages import PageQuery
from service.http.rendered import read_entity
from service.repos.niches import Niche

_NICHES = TypeAdapter(list[Niche])


class NicheQuery(PageQuery):
    """The query parameters of the list of niches. `is_active` selects the niches with this value."""

    is_active: bool | None = None


async def page(call: Call, query: Parsed[NicheQuery]) -> Page[Niche]:
    """List the niches, newest first."""
    return await numbered_page(call, query, _NICHES, lambda work: work.niches.page(**query.get().arguments()))


async def find(call: Call) -> Entity[Niche]:
    """Get one niche."""
    return await read_entity(call, Niche, lambda work: work.niches.find(call.id()))
