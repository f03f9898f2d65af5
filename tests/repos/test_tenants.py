"""Tenants: what a tenant sees of itself, and what the platform sees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import Conflict, Forbidden
from service.statements.outcomes import changed_row
from service.work import Work


async def test_a_domain_leads_to_its_tenant_before_anything_is_bound(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, None) as work:
        entry = await work.tenants.find_by_domain("acme.example")
        assert entry is not None
        assert (entry.id, entry.status) == (acme.id, "active")
        assert await work.tenants.find_by_domain("nobody.example") is None


async def test_a_domain_is_taken_once(platform: Database, new: Factory) -> None:
    await new.tenant("acme")
    with pytest.raises(Conflict) as refused:
        await new.tenant("acme")
    assert refused.value.field == "domain"


async def test_the_serving_role_can_not_list_or_suspend_tenants(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    await new.tenant("globex")
    async with Work(database, acme.id) as work:
        assert [tenant.id for tenant in await work.tenants.page()] == [acme.id]
    with pytest.raises(Forbidden):
        async with Work(database, acme.id) as work:
            await work.tenants.set_status("acme.example", "suspended")


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": None, "z": 3}}, {"a": {"y": 2, "z": 3}}),
        ({"a": [1]}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
        ({"a": {"b": 1}}, {"a": [None, 1]}, {"a": [None, 1]}),
        ({"a": 1}, {}, {"a": 1}),
    ],
)
async def test_features_are_merged(database: Database, new: Factory, before: dict, patch: dict, after: dict) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        await work.tenants.update(given=["features"], features=json.dumps(before))
        changed = changed_row(await work.tenants.update(given=["features"], features=json.dumps(patch)))
    assert changed.features == after


async def test_what_was_deleted_long_ago_is_deleted_for_good_unless_something_refers_to_it(
    database: Database, new: Factory, superuser: Any
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    rows = {}
    for tenant in (acme, globex):
        brand, used, lately = [await new.brand(tenant) for _ in range(3)]
        campaign = await new.campaign(tenant, brand_id=used.id)
        async with Work(database, tenant.id) as work:
            await work.campaigns.remove(campaign.id)
            for each in (brand, used, lately):
                await work.brands.remove(each.id)
        rows[tenant.id] = brand, used, lately
    old = [each.id for brand, used, _ in rows.values() for each in (brand, used)]
    superuser.execute("UPDATE quarry.brands SET deleted_at = now() - interval '1 year' WHERE id = ANY (%s)", [old])
    superuser.commit()
    async with Work(database, acme.id) as work:
        assert await work.tenants.prune_deleted(100) == 1
        assert await work.tenants.prune_deleted(100) == 0
    left = {row[0] for row in superuser.execute("SELECT id FROM quarry.brands")}
    assert left == {each.id for brands in rows.values() for each in brands} - {rows[acme.id][0].id}
