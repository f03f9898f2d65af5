"""Seed sets: idempotent, in order, each statement as the role that its scope names."""

from __future__ import annotations

from typing import Any

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import InUse, OperatorError
from service.operations import seeding
from service.personal.keyring import KeyringError
from service.settings.settings import Settings
from service.statements.statement import StatementError
from service.tenancy.identity import TenantId
from service.work import Work


def quietly(_: str) -> None:
    """Nobody reads the progress."""


def tenant_of(superuser: Any, domain: str) -> TenantId:
    [id] = superuser.execute("SELECT id FROM app.tenants WHERE domain = %s", (domain,)).fetchone()
    superuser.rollback()
    return TenantId(id)


def commits(superuser: Any) -> int:
    [count] = superuser.execute("SELECT count(*) FROM app.commits").fetchone()
    superuser.rollback()
    return int(count)


async def test_base_corrects_what_differs_and_leaves_switched_off_what_somebody_switched_off(
    settings: Settings, superuser: Any
) -> None:
    await seeding.seed(settings, "base", quietly)
    superuser.execute("UPDATE app.niches SET icon = 'x', is_active = false WHERE name = 'Food'")
    superuser.commit()
    said: list[str] = []
    await seeding.seed(settings, "base", said.append)
    assert said == ["base: niches.niches 1 rows"]
    row = superuser.execute("SELECT icon <> 'x', is_active FROM app.niches WHERE name = 'Food'").fetchone()
    assert row == (True, False)


async def test_every_niche_has_icon_and_description(settings: Settings, superuser: Any) -> None:
    await seeding.seed(settings, "base", quietly)
    complete = "SELECT count(*), count(*) FILTER (WHERE icon <> '' AND description <> '') FROM app.niches"
    assert superuser.execute(complete).fetchone() == (24, 24)


async def test_niches_in_use_are_not_taken_away(settings: Settings, superuser: Any, new: Factory) -> None:
    await seeding.seed(settings, "base", quietly)
    [niche] = superuser.execute("SELECT id FROM app.niches LIMIT 1").fetchone()
    superuser.rollback()
    await new.brand(await new.tenant("acme"), niche_ids=[niche])
    with pytest.raises(InUse):
        await seeding.truncate(settings, "base", quietly)
    assert superuser.execute("SELECT count(*) FROM app.niches").fetchone() == (24,)


async def test_truncating_a_set_leaves_other_tenants_alone(settings: Settings, superuser: Any, new: Factory) -> None:
    await new.campaign(await new.tenant("bystander"))
    await seeding.seed(settings, "demo", quietly)
    superuser.execute(
        "INSERT INTO quarry.idempotency_keys (tenant_id, caller_id, key, fingerprint, expires_at)"
        " SELECT id, id, 'k', sha256('f'), now() + interval '1 day' FROM app.tenants WHERE domain = 'acme.example'"
    )
    superuser.commit()
    await seeding.truncate(settings, "demo", quietly)
    assert superuser.execute("SELECT domain FROM app.tenants").fetchall() == [("bystander.example",)]
    assert superuser.execute("SELECT count(*) FROM quarry.campaigns").fetchone() == (1,)


async def test_demo_people_are_found_by_their_addresses_and_can_be_read(
    settings: Settings, database: Database, superuser: Any
) -> None:
    await seeding.seed(settings, "base", quietly)
    said: list[str] = []
    await seeding.seed(settings, "demo", said.append)
    assert said[-1] == "demo: sealed 8 users, 10 influencers, 10 brands"
    async with Work(database, tenant_of(superuser, "globex.example"), read_only=True) as work:
        [viewer] = await work.users.page(email="viewer@globex.example")
        [influencer] = await work.influencers.page(email="ada.lind@creators.example")
        brands = {brand.username: brand for brand in await work.brands.page()}
        [campaign] = [each for each in await work.campaigns.page() if each.brand_id is not None]
        counts = [len(await work.campaign_influencers.page(each.id)) for each in await work.campaigns.page()]
    assert (viewer.role, [niche.name for niche in influencer.niches]) == ("viewer", ["Beauty", "Fashion"])
    assert campaign.brand_id == brands["bright.bottle"].id
    assert [name for name, brand in brands.items() if brand.is_profile_completed] == ["bright.bottle"]
    assert (len(brands), brands["trailhead"].poc_email, sorted(counts)) == (5, None, [0, 0, 1, 1, 2])


async def test_demo_leaves_what_somebody_has_changed_or_taken_away(
    settings: Settings, database: Database, superuser: Any
) -> None:
    await seeding.seed(settings, "base", quietly)
    await seeding.seed(settings, "demo", quietly)
    async with Work(database, tenant_of(superuser, "acme.example")) as work:
        campaigns = {campaign.name: campaign.id for campaign in await work.campaigns.page()}
        brands = {brand.username: brand for brand in await work.brands.page()}
        people = {influencer.username: influencer for influencer in await work.influencers.page()}
        [viewer] = await work.users.page(role="viewer")
        [owner], [admin] = await work.users.page(role="owner"), await work.users.page(role="admin")
        await work.users.remove(viewer.id)
        await work.users.update(admin.id, given=["email", "role"], email="boss@acme.example", role="owner")
        for name, id in campaigns.items():
            await work.campaigns.update(id, given=["owner_id", "name"], owner_id=admin.id, name=f"Our {name}")
        await work.campaigns.update(campaigns["Spring Clean"], given=["brand_id"], brand_id=None)
        await work.brands.remove(brands["bright.bottle"].id)
        await work.brands.update(
            brands["trailhead"].id, given=["username", "email"], username="trail", email="t@t.example"
        )
        await work.brands.detach_niche(brands["morrow.tea"].id, brands["morrow.tea"].niches[0].id)
        await work.campaign_influencers.remove(campaigns["Always On"], people["chi.nakamura"].id)
        await work.influencers.remove(people["emil.marek"].id)
        await work.campaigns.remove(campaigns["Winter Warmers"])
    for gone in (None, owner.id):
        if gone is not None:
            async with Work(database, tenant_of(superuser, "acme.example")) as work:
                await work.users.remove(gone)
        before, said = commits(superuser), list[str]()
        await seeding.seed(settings, "demo", said.append)
        assert [line for line in said if not line.endswith(" 0 rows")] == ["demo: 1_tenants.tenants 2 rows"]
        assert commits(superuser) == before


async def test_demo_adds_no_users_beside_others_who_may_have_their_addresses(
    settings: Settings, database: Database, new: Factory
) -> None:
    acme = await new.tenant("acme")
    said: list[str] = []
    await seeding.seed(settings, "demo", said.append)
    assert said[-1] == "demo: sealed 4 users, 10 influencers, 10 brands"
    async with Work(database, acme.id, read_only=True) as work:
        assert [user.email for user in await work.users.page()] == ["owner@acme.example"]


async def test_what_cannot_be_sealed_is_told(settings: Settings, superuser: Any) -> None:
    await seeding.seed(settings, "demo", quietly)
    superuser.execute("UPDATE quarry.influencers SET email = '\\x00ff' WHERE username = 'ada.lind'")
    superuser.commit()
    said: list[str] = []
    await seeding.seed(settings, "demo", said.append)
    assert [line for line in said if "A sealed value can't be opened" in line] == said[-2:]


async def test_demo_needs_keys_that_can_be_used(settings: Settings, superuser: Any) -> None:
    with pytest.raises(KeyringError, match="PII_INDEX_KEY is not"):
        await seeding.seed(settings.model_copy(update={"pii_index_key": None}), "demo", quietly)
    assert superuser.execute("SELECT count(*) FROM app.tenants").fetchone() == (0,)


async def test_what_a_role_may_not_do_names_the_statement(settings: Settings, superuser: Any) -> None:
    superuser.execute("REVOKE INSERT ON quarry.campaigns FROM quarry_app")
    superuser.commit()
    await seeding.seed(settings, "base", quietly)
    with pytest.raises(OperatorError, match=r"3_campaigns\.sql:\d+: quarry_app may not do that"):
        await seeding.seed(settings, "demo", quietly)


async def test_missing_parameter_names_the_statement(settings: Settings) -> None:
    with pytest.raises(StatementError, match="needs a value for tenants"):
        await seeding.seed(settings, "load", quietly)


@pytest.mark.parametrize("name", ["demo", "load"])
async def test_production_refuses_demonstrations(settings: Settings, name: str) -> None:
    production = settings.model_copy(update={"environment": "production"})
    with pytest.raises(OperatorError, match="refused in production"):
        await seeding.seed(production, name, quietly)


async def test_production_takes_base_data(settings: Settings) -> None:
    said: list[str] = []
    await seeding.seed(settings.model_copy(update={"environment": "production"}), "base", said.append)
    assert said == ["base: niches.niches 24 rows"]
