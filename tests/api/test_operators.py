"""/healthz and /metrics: for operators."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from arranging.accounts import NewTenant
from arranging.application import Api, problem, until
from arranging.documents import CHECKOUT
from arranging.drafts import draft_of
from arranging.factories import Factory

PATHS = ("/healthz", "/metrics")
TOKEN = "an operator's tokén"


async def statuses(client: httpx.AsyncClient) -> list[int]:
    return [(await client.get(path)).status_code for path in PATHS]


async def test_the_report_says_of_every_check_whether_it_is_ok(api: Api) -> None:
    answer = await (await api.client()).get("/healthz")
    content = answer.json()
    assert (answer.status_code, content["status"], content["failing"]) == (200, "ok", [])
    assert {"database", "isolation", "pool"} <= set(content["checks"])
    assert all(check["ok"] for check in content["checks"].values())


async def test_the_report_says_what_fails(api: Api, superuser: Any) -> None:
    superuser.execute("ALTER TABLE quarry.brands NO FORCE ROW LEVEL SECURITY")
    superuser.commit()
    nobody = await api.client()
    answer = await nobody.get("/healthz")
    assert (answer.status_code, answer.json()["status"], answer.json()["failing"]) == (
        503,
        "unavailable",
        ["isolation"],
    )
    api.state["database"].pool.raw.terminate()
    answer = await nobody.get("/healthz")
    assert answer.status_code == 503
    assert "database" in answer.json()["failing"]


@pytest.mark.parametrize("environment", ["test", "development", "staging"])
async def test_they_are_open_where_no_token_is_set(serve: Any, acme: NewTenant, environment: str) -> None:
    api = await serve(environment=environment)
    assert await statuses(await api.client()) == await statuses(await api.client(acme)) == [200, 200]


async def test_production_has_none_without_a_token(serve: Any, acme: NewTenant) -> None:
    api = await serve(environment="production")
    for client in (await api.client(), await api.client(acme), await api.client(Authorization="Bearer ")):
        for path in PATHS:
            problem(await client.get(path), 404, "not_found")


@pytest.mark.parametrize("environment", ["production", "test"])
async def test_a_token_that_is_set_is_asked_for(serve: Any, acme: NewTenant, environment: str) -> None:
    api = await serve(
        environment=environment, operator_token=(SecretStr("another one, of last week"), SecretStr(TOKEN))
    )
    for client in (await api.client(), await api.client(acme), await api.client(Authorization="Bearer x")):
        for path in PATHS:
            assert problem(await client.get(path), 401, "unauthorized")
    for path in PATHS:
        headers = {"Authorization": f"Bearer {TOKEN}".encode()}
        assert (await (await api.client()).get(path, headers=headers)).status_code == 200
    for path in ("/livez", "/readyz"):
        assert (await (await api.client()).get(path)).status_code == 200


async def test_guesses_of_the_operators_token_are_limited(serve: Any) -> None:
    api = await serve(operator_token=(SecretStr(TOKEN),), rate_limit_operator="3/minute")
    client = await api.client(Authorization="Bearer guess")
    assert [(await client.get("/metrics")).status_code for _ in range(5)] == [401] * 3 + [429] * 2
    right = await api.client(Authorization=f"Bearer {TOKEN}".encode())
    assert (await right.get("/metrics")).status_code == 200


async def test_the_operators_token_opens_no_tenant(serve: Any) -> None:
    api = await serve(operator_token=(SecretStr("operator"),))
    problem(await (await api.client(Authorization="Bearer operator")).get("/v1/campaigns"), 401, "unauthorized")


async def test_the_metrics_count_requests_and_name_no_tenant(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    draft = draft_of("brands")
    assert (await client.post("/v1/brands", json=draft)).status_code == 201
    await client.get(f"/v1/campaigns/{(await new.campaign(acme)).id}")
    answer = await (await api.client()).get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'method="POST",status="201"' in answer.text
    for secret in (str(acme.id), acme.domain, str(acme.owner.id), draft["email"], draft["phone"], "192.0.2.7"):
        assert secret not in answer.text


async def test_the_time_of_answers_is_told_by_the_path_as_it_is_declared(
    api: Api, new: Factory, acme: NewTenant
) -> None:
    campaign = await new.campaign(acme)
    await (await api.client(acme)).get(f"/v1/campaigns/{campaign.id}")
    answer = await (await api.client()).get("/metrics")
    assert 'quarry_request_seconds_count{method="GET",route="/v1/campaigns/{id}"}' in answer.text
    assert str(campaign.id) not in answer.text


async def test_the_report_tells_sizes_and_ages(api: Api) -> None:
    checks = (await (await api.client()).get("/healthz")).json()["checks"]
    assert checks["growth"]["bytes"] > 1_000_000
    assert checks["transactions"]["age"] > 0
    assert checks["migrations"] == {"ok": True, "pending": []}
    assert checks["redis"] == {"ok": True, "state": "not used"}


async def test_a_clock_that_is_minutes_away_from_the_database_s_is_told(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) - timedelta(minutes=3)

    monkeypatch.setattr("service.operations.health.datetime", Slow)
    report = (await (await api.client()).get("/healthz")).json()
    assert report["failing"] == ["clock"]
    assert report["checks"]["clock"]["seconds_ahead"] == pytest.approx(180, abs=1)


async def test_every_check_stands_in_the_manual(api: Api) -> None:
    checks = (await (await api.client()).get("/healthz")).json()["checks"]
    manual = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = manual.partition("| check of `/healthz` |")[2].partition("\n\n")[0]
    listed = [name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(listed) == sorted(checks)


async def test_the_report_says_that_redis_is_down(serve: Any, redis: Any) -> None:
    api = await serve(redis_url=SecretStr(redis.url))
    nobody = await api.client()

    async def state() -> str:
        return str((await nobody.get("/healthz")).json()["checks"]["redis"]["state"])

    await until(state, "up".__eq__)
    redis.stop()
    answer = await nobody.get("/healthz")
    assert (answer.status_code, answer.json()["failing"]) == (503, ["redis"])
    assert (await nobody.get("/readyz")).status_code == 200


async def test_errors_are_told_by_statement_and_code(api: Api, acme: NewTenant) -> None:
    client, draft = await api.client(acme), draft_of("brands")
    assert [(await client.post("/v1/brands", json=draft)).status_code for _ in range(2)] == [201, 409]
    answer = await (await api.client()).get("/metrics")
    assert 'quarry_statement_errors_total{code="conflict",statement="brands.create"}' in answer.text


@pytest.mark.parametrize(("state", "said"), [("53100", "no room left on its disk"), ("53200", "out of memory")])
async def test_what_the_database_has_run_out_of_is_told(
    api: Api, acme: NewTenant, superuser: Any, state: str, said: str
) -> None:
    superuser.execute(
        "CREATE FUNCTION quarry.full() RETURNS trigger LANGUAGE plpgsql AS"
        f" 'BEGIN RAISE ''full'' USING ERRCODE = ''{state}''; END';"
        "CREATE TRIGGER full_up BEFORE INSERT ON quarry.campaigns FOR EACH ROW EXECUTE FUNCTION quarry.full()"
    )
    superuser.commit()
    refused = await (await api.client(acme)).post("/v1/campaigns", json={"name": "A"})
    assert said in problem(refused, 503, "unavailable")["detail"]
    metrics = (await (await api.client()).get("/metrics")).text
    assert re.search(r'quarry_database_refused_total\{sqlstate_class="53"\} [1-9]', metrics)
