"""Seed sets: idempotent, in order, each statement as the role that its scope names."""

from __future__ import annotations

from typing import Any

import pytest

from factories import Factory
from service import seeding
from service.errors import InUse, OperatorError
from service.settings import Settings
from service.statements import StatementError


def quietly(_: str) -> None:
    """Nobody reads the progress."""


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
    acme = await new.tenant("acme")
    superuser.execute(
        "INSERT INTO quarry.brands (tenant_id, brand_name, username, email, email_index, phone, phone_index)"
        " VALUES (%s, 'B', 'bbb', '', sha256('e'), '', sha256('p'))", (acme.id,),
    )  # fmt: skip
    superuser.execute(
        "INSERT INTO quarry.brand_niches (tenant_id, brand_id, niche_id)"
        " SELECT b.tenant_id, b.id, n.id FROM quarry.brands AS b, app.niches AS n LIMIT 1"
    )
    superuser.commit()
    with pytest.raises(InUse):
        await seeding.truncate(settings, "base", quietly)
    assert superuser.execute("SELECT count(*) FROM app.niches").fetchone() == (24,)


async def test_truncating_a_set_leaves_other_tenants_alone(settings: Settings, superuser: Any, new: Factory) -> None:
    await new.campaign(await new.tenant("bystander"))
    await seeding.seed(settings, "demo", quietly)
    await seeding.truncate(settings, "demo", quietly)
    assert superuser.execute("SELECT domain FROM app.tenants").fetchall() == [("bystander.example",)]
    assert superuser.execute("SELECT count(*) FROM quarry.campaigns").fetchone() == (1,)


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
