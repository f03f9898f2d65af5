"""Contents: the statements through the repository, as the serving role."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import NotFound
from service.statements.outcomes import changed_row, check_removed
from service.work import Work


async def test_a_content_belongs_to_one_campaign_of_one_tenant(database: Database, new: Factory) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    campaign, other = await new.campaign(acme), await new.campaign(acme)
    content = await new.content(acme, campaign)
    for tenant, parent in ((acme, other.id), (acme, uuid4()), (globex, campaign.id)):
        async with Work(database, tenant.id) as work:
            assert await work.contents.update(parent, content.id, given=["title"], title="Other") is None
            assert await work.contents.remove(parent, content.id) is None
            assert await work.contents.page(parent) == []
            for refused in (work.contents.find, work.contents.restore):
                with pytest.raises(NotFound):
                    await refused(parent, content.id)
    async with Work(database, acme.id) as work:
        assert await work.contents.find(campaign.id, content.id) == content
    async with Work(database, globex.id) as work:
        assert await work.contents.create(campaign.id, kind="post", title="A") is None


async def test_contents_go_and_come_back_with_their_campaign(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme)
    content = await new.content(acme, campaign)
    async with Work(database, acme.id) as work:
        check_removed(await work.campaigns.remove(campaign.id))
        assert await work.contents.page(campaign.id) == []
        assert await work.contents.update(campaign.id, content.id, given=[]) is None
        assert await work.contents.create(campaign.id, kind="post", title="A") is None
        await work.campaigns.restore(campaign.id)
        assert await work.contents.page(campaign.id) == [content]


async def test_a_content_can_not_slip_into_a_campaign_that_is_being_deleted(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme)
    async with Work(database, acme.id) as work:
        check_removed(await work.campaigns.remove(campaign.id))
        late = asyncio.ensure_future(
            Work.run(database, lambda other: other.contents.create(campaign.id, kind="post", title="Late"), acme.id)
        )
        while not await work.connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)", ()):
            assert not late.done()
    assert await late is None


async def test_a_change_keeps_what_is_not_given(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme)
    content = await new.content(acme, campaign, body="Body", url="https://example.com", status="approved")
    async with Work(database, acme.id) as work:
        changed = changed_row(
            await work.contents.update(
                campaign.id, content.id, version=1, given=["title", "body"], title="New", url="x"
            )
        )
    kept = {name: getattr(content, name) for name in ("id", "campaign_id", "kind", "url", "status", "created_at")}
    assert kept.items() <= dict(changed).items()
    assert (changed.title, changed.body, changed.version) == ("New", None, 2)
