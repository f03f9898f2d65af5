"""That the roles of requests may do what statements do, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from checks.planting import Caught, Garden, Plant
from service.checks import entries as catalogue
from service.checks import proving
from service.checks.proofs import catalog
from service.checks.rules import privileges
from service.checks.runs.trials import undone
from service.work import Work

OF = "tenant_id = :tenant_id AND id = :id"
FIND = Plant(f"SELECT name FROM campaigns WHERE {OF}", "maybe", "name: str", "id: UUID")
NEW = Plant(
    "INSERT INTO campaigns (tenant_id, name, owner_id) VALUES (:tenant_id, :name, :owner_id)",
    "count",
    takes="name: str, owner_id: UUID",
)
SET = Plant(f"UPDATE campaigns SET name = :name WHERE {OF}", "count", takes="id: UUID, name: str")
ERASE = Plant(f"DELETE FROM campaigns WHERE {OF}", "count", takes="id: UUID")
COUNT = Plant("SELECT count(*) FROM app.heads WHERE tenant_id = :tenant_id", "value")
CALL = Plant(
    "SELECT h.head FROM app.heads(ARRAY[:tenant_id::uuid]) AS h",
    row="head: int | None",
    header="-- unbounded: one\n-- calls: app.heads because it is a test",
)


@pytest.mark.parametrize(
    ("plant", "revoked", "lacks", "remedy"),
    [
        pytest.param(
            FIND,
            "SELECT ON campaigns FROM quarry_app; GRANT SELECT (tenant_id, id) ON campaigns TO quarry_app",
            "SELECT quarry.campaigns.name",
            "SELECT (name) ON quarry.campaigns",
            id="a-column-read",
        ),
        pytest.param(
            NEW,
            "INSERT (owner_id) ON campaigns FROM quarry_app",
            "INSERT quarry.campaigns.owner_id",
            "INSERT (owner_id) ON quarry.campaigns",
            id="a-column-inserted",
        ),
        pytest.param(
            SET,
            "UPDATE (name) ON campaigns FROM quarry_app",
            "UPDATE quarry.campaigns.name",
            "UPDATE (name) ON quarry.campaigns",
            id="a-column-updated",
        ),
        pytest.param(
            ERASE,
            "DELETE ON campaigns FROM quarry_app",
            "DELETE quarry.campaigns",
            "DELETE ON quarry.campaigns",
            id="rows-deleted",
        ),
        pytest.param(
            Plant(
                "SELECT id FROM sign_in_failures WHERE tenant_id = :tenant_id AND id = :id FOR UPDATE",
                "maybe",
                takes="id: UUID",
            ),
            "UPDATE ON sign_in_failures FROM quarry_app",
            "UPDATE quarry.sign_in_failures",
            "UPDATE ON quarry.sign_in_failures",
            id="rows-locked",
        ),
        pytest.param(
            CALL,
            "EXECUTE ON FUNCTION app.heads(uuid[]) FROM quarry_app",
            "execute app.heads()",
            "EXECUTE ON FUNCTION app.heads(tenants uuid[])",
            id="a-function-called",
        ),
    ],
)
async def test_a_privilege_that_a_statement_lacks_is_told_with_its_grant(
    only: Any, plant: Plant, revoked: str, lacks: str, remedy: str
) -> None:
    found = await only("privilege-missing", plant, ddl=f"REVOKE {revoked}")
    assert (found.marked, found.finding.message) == ("planted", f"quarry_app may not {lacks}")
    assert found.finding.remedy == f"GRANT {remedy} TO quarry_app in a migration"


@pytest.mark.parametrize(
    "plant", [FIND, NEW, SET, ERASE, CALL, COUNT], ids=["read", "inserted", "updated", "deleted", "called", "counted"]
)
async def test_a_statement_that_has_its_privileges_is_well(judge: Any, plant: Plant) -> None:
    assert await judge(plant) == []


async def test_the_platforms_role_needs_its_own(only: Any) -> None:
    plant = Plant(
        "UPDATE app.tenants SET name = :name WHERE id = :id",
        "count",
        takes="id: UUID, name: str",
        header="-- scope: platform",
    )
    found = await only("privilege-missing", plant.where("name = :name", "version = 2").but(takes="id: UUID"), plant)
    assert found.finding.message == "quarry_platform may not UPDATE app.tenants.version"


async def test_a_privilege_that_nothing_needs_is_told_where_it_was_granted(garden: Garden) -> None:
    connection = garden.connection
    known = await catalog.load(connection)
    subjects = await proving.prove(connection, known, catalogue.entries(Work))
    elsewhere = await privileges.elsewhere(connection, known)

    async def unneeded(without: str = "") -> list[Caught]:
        kept = [subject for subject in subjects if subject.entry.label != without]
        return [Caught(each) for each in privileges.check(kept, known, await privileges.granted(connection), elsewhere)]

    assert await unneeded() == []
    [erased] = await unneeded("campaigns.erase")
    assert (erased.finding.code, erased.finding.subject) == ("privilege-unneeded", "quarry_app")
    assert erased.finding.message == "it may DELETE quarry.campaigns, and no statement does"
    assert erased.finding.span.path.name == "0005.create-campaigns.sql"
    assert erased.marked == "GRANT SELECT, DELETE ON campaigns TO quarry_app"
    assert erased.finding.remedy == "REVOKE DELETE ON quarry.campaigns FROM quarry_app in a migration"
    async with undone(connection):
        await connection.execute(
            "GRANT UPDATE (version) ON campaigns TO quarry_app; GRANT EXECUTE ON FUNCTION app.raise_epoch() TO quarry_app;"
            "GRANT UPDATE (version) ON app.niches TO quarry_platform"
        )
        remedies = [each.finding.remedy for each in await unneeded()]
    assert remedies == [
        "REVOKE UPDATE (version) ON quarry.campaigns FROM quarry_app in a migration",
        "REVOKE EXECUTE ON FUNCTION app.raise_epoch() FROM quarry_app in a migration",
    ]
