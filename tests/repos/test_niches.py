"""Niches: shared by all tenants, written by the platform."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import Forbidden, NotFound
from service.work import Work


async def test_niches_are_read_with_any_tenant_or_none(database: Database, new: Factory, superuser: Any) -> None:
    acme = await new.tenant("acme")
    superuser.execute("INSERT INTO app.niches (name, is_active) VALUES ('Fashion', true), ('Fax', false)")
    superuser.commit()
    pages = []
    for tenant in (acme.id, None):
        async with Work(database, tenant) as work:
            pages.append(await work.niches.page())
            assert [niche.name for niche in await work.niches.page(is_active=True)] == ["Fashion"]
            last = pages[-1][-1]
            assert await work.niches.page(after_created_at=last.created_at, after_id=last.id) == []
            assert await work.niches.find(last.id) == last
            with pytest.raises(NotFound):
                await work.niches.find(uuid4())
    assert pages[0] == pages[1]
    assert {niche.name for niche in pages[0]} == {"Fashion", "Fax"}


async def test_the_serving_role_writes_none(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    for text in (
        "INSERT INTO app.niches (name) VALUES ('Mine')",
        "UPDATE app.niches SET name = 'x'",
        "DELETE FROM app.niches",
    ):
        with pytest.raises(Forbidden):
            async with Work(database, acme.id) as work:
                await work.connection.execute(text)
