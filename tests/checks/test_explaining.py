"""The plan that a statement has for given values, or for any."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from checks.planting import Garden
from service.checks import entries as catalogue
from service.checks.review.explaining import explain
from service.checks.runs.trials import undone
from service.engine import EngineWork
from service.errors import OperatorError
from service.work import Work

TENANT = UUID(int=7)
ENTRIES = {entry.label: entry for entry in catalogue.entries(Work)}
ID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def plan(garden: Garden) -> Any:
    """The plan of a statement of the service, as one text: `await plan("campaigns.find", id="…")`."""

    async def plan(label: str, *, analyze: bool = False, **values: str) -> str:
        return "\n".join(await explain(garden.connection, ENTRIES[label], TENANT, values, analyze=analyze))

    return plan


async def test_values_make_the_plan_theirs(plan: Any) -> None:
    lines = await plan("campaigns.find", id=ID)
    assert f"campaigns.id = '{ID}'::uuid" in lines
    assert f"campaigns.tenant_id = '{TENANT}'::uuid" in lines


async def test_without_a_value_the_plan_is_for_any(plan: Any) -> None:
    lines = (await plan("campaigns.page", status="draft")).split("\n")
    assert lines[0] == "-- generic: limit not given"
    assert any("campaigns.status = $2" in line for line in lines)


async def test_optional_lines_are_in_where_their_parameter_is_given(plan: Any) -> None:
    assert "status = 'draft'::text" in await plan("campaigns.page", limit="5", status="draft")
    assert "status = " not in await plan("campaigns.page", limit="5")


async def test_the_policies_apply_as_they_do_to_the_service(plan: Any) -> None:
    assert "app.current_tenant()" in await plan("campaigns.count")


async def test_a_statement_is_run_when_asked_for_and_undone(plan: Any, garden: Garden) -> None:
    hash = r"\x" + 32 * "00"
    async with undone(garden.connection):
        await garden.connection.execute(
            "INSERT INTO app.tenants (id, name, domain) VALUES ($1, 'Acme', 'acme.example')", TENANT
        )
        text = await plan("otps.create", analyze=True, phone_index=hash, code_index=hash, lifetime="1 hour")
        assert "actual" in text
        assert "Buffers: " in text
        assert await garden.connection.fetchval("SELECT count(*) FROM otps") == 0


async def test_nothing_of_it_stays_on_the_connection(plan: Any, garden: Garden) -> None:
    settings = "SELECT current_user, current_setting('app.tenant_id'), current_setting('plan_cache_mode')"
    before = await garden.connection.fetchrow(settings)
    await plan("campaigns.find", id=ID)
    assert await garden.connection.fetchrow(settings) == before
    assert await garden.connection.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name = 'explained'") == 0


@pytest.mark.parametrize(
    ("label", "given", "message", "remedy"),
    [
        pytest.param(
            "campaigns.page",
            {"state": "draft"},
            "campaigns.page has no parameter 'state'",
            "did you mean 'status'?",
            id="misspelt",
        ),
        pytest.param(
            "campaigns.find",
            {"tenant_id": ID},
            "campaigns.find has no parameter 'tenant_id'",
            "known are id",
            id="the-tenant",
        ),
        pytest.param(
            "campaigns.find",
            {"id": "one"},
            'campaigns.find: invalid input syntax for type uuid: "one"',
            "values are written as in SQL, without quotes",
            id="no-value",
        ),
        pytest.param("tenants.current", {"id": ID}, "tenants.current has no parameter 'id'", "", id="none-at-all"),
    ],
)
async def test_what_is_no_parameter_or_no_value_is_refused(
    plan: Any, label: str, given: dict[str, str], message: str, remedy: str
) -> None:
    with pytest.raises(OperatorError) as refused:
        await plan(label, **given)
    assert (refused.value.message, refused.value.remedy) == (message, remedy)


async def test_to_run_it_every_value_is_needed(plan: Any) -> None:
    with pytest.raises(OperatorError) as refused:
        await plan("campaigns.page", analyze=True)
    assert (refused.value.message, refused.value.remedy) == (
        "to run campaigns.page it needs limit",
        "write them as name=value",
    )


async def test_every_statement_of_the_service_has_a_plan(garden: Garden) -> None:
    for entry in ENTRIES.values():
        lines = await explain(garden.connection, entry, TENANT, {})
        assert any("cost=" in line for line in lines), entry.label


def test_a_file_whose_repository_is_attached_nowhere_is_named() -> None:
    with pytest.raises(
        OperatorError, match=r"sql/queries/brands\.sql belongs to no repository of EngineWork"
    ) as refused:
        catalogue.entries(EngineWork)
    assert refused.value.remedy == "write `brands = Attached(…)` in service/engine.py"
