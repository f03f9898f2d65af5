"""/livez and /readyz"""

from __future__ import annotations

from typing import Any

import pytest

from arranging.application import Api
from arranging.factories import Factory
from service.database.database import Database
from service.operations import health
from service.operations.health import DatabaseHealth
from service.schema import own_schemas
from service.settings.settings import Settings


async def test_the_process_lives_and_is_ready(api: Api) -> None:
    nobody = await api.client()
    for path in ("/livez", "/readyz"):
        answer = await nobody.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert answer.headers["content-type"] == "application/json"


async def test_without_its_database_it_lives_but_is_not_ready(api: Api) -> None:
    nobody = await api.client()
    api.state["database"].pool.raw.terminate()
    assert (await nobody.get("/livez")).status_code == 200
    answer = await nobody.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "failing": ["database"]})


async def test_with_pending_migrations_it_is_not_ready(api: Api, superuser: Any) -> None:
    superuser.execute("DELETE FROM quarry._yoyo_migration WHERE migration_id = '0013.serve-operators'")
    superuser.commit()
    answer = await (await api.client()).get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "failing": ["migrations"]})
    report = (await (await api.client()).get("/healthz")).json()
    assert report["checks"]["migrations"]["pending"] == ["0013.serve-operators"]


async def test_a_tenant_s_own_schema_that_is_behind_is_reported_and_keeps_nobody_else_from_being_served(
    api: Api, new: Factory, settings: Settings, superuser: Any
) -> None:
    await own_schemas.build(settings.address("quarry_owner"), "quarry", "acme", lambda _: None)
    await new.tenant("acme", schema="acme")
    assert (await (await api.client()).get("/healthz")).json()["checks"]["own_schemas"]["ok"]
    superuser.execute("DELETE FROM acme._yoyo_migration WHERE migration_id = '0013.serve-operators'")
    superuser.commit()
    report = (await (await api.client()).get("/healthz")).json()
    assert report["failing"] == ["own_schemas"]
    assert report["checks"]["own_schemas"]["pending"] == {"acme": ["0013.serve-operators"]}
    assert (await (await api.client()).get("/readyz")).status_code == 200


async def test_a_database_before_the_function_that_tells_is_not_ready(api: Api, superuser: Any) -> None:
    superuser.execute("DROP FUNCTION quarry.applied_migrations()")
    superuser.commit()
    answer = await (await api.client()).get("/readyz")
    assert (answer.status_code, answer.json()["failing"]) == (503, ["migrations"])


async def test_migrations_of_a_later_version_do_no_harm(api: Api, superuser: Any) -> None:
    superuser.execute(
        "INSERT INTO quarry._yoyo_migration (migration_id, migration_hash) VALUES ('9999.later', 'later')"
    )
    superuser.commit()
    assert (await (await api.client()).get("/readyz")).status_code == 200


async def test_readiness_is_asked_for_once_a_second(api: Api, superuser: Any) -> None:
    nobody = await api.client()
    assert (await nobody.get("/readyz")).status_code == 200
    api.state["database"].pool.raw.terminate()
    assert (await nobody.get("/readyz")).status_code == 200
    api.state["health"]._asked_at -= 1
    assert (await nobody.get("/readyz")).status_code == 503


async def test_a_slow_look_at_the_catalog_is_not_repeated_by_every_probe(
    database: Database, superuser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_SLOW", 0.0)
    rested, fresh = (DatabaseHealth(database, max_age=60.0) for _ in range(2))
    assert (await rested.report())["isolation"]["ok"]
    superuser.execute("ALTER TABLE quarry.users NO FORCE ROW LEVEL SECURITY")
    superuser.commit()
    assert [(await each.report())["isolation"]["ok"] for each in (rested, fresh)] == [True, False]
