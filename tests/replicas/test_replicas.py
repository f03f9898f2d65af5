"""Reading from a replica: what may be a second old is read there, and nothing older, whatever becomes of the replica."""

from __future__ import annotations

import asyncio
import math
from time import monotonic
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from arranging.accounts import NewTenant
from arranging.application import Api
from arranging.factories import Factory
from arranging.proxy import proxied
from arranging.restartable import Restartable
from arranging.standby import Standby
from replicas.conftest import Serve, replica_is
from service.api.routes import ENDPOINTS
from service.errors import Behind, NotFound
from service.repos.campaigns import Campaign
from service.settings.settings import Settings
from service.work import Work

_WHERE = "SELECT pg_is_in_recovery()"
_READ_THERE = ("quarry_replica_reads_total", {"outcome": "replica"})


async def names(work: Work) -> list[str]:
    return [campaign.name for campaign in await work.campaigns.page(limit=200)]


async def is_on_replica(work: Work) -> bool:
    """Whether the work's transaction is on a replica."""
    await work.log.head()
    return bool(await work.connection.fetchval(_WHERE, ()))


async def read_where(api: Api, tenant: NewTenant, **options: Any) -> tuple[bool, list[str]]:
    """Whether it was the replica that answered, and which campaigns there are."""

    async def look(work: Work) -> tuple[bool, list[str]]:
        return await is_on_replica(work), await names(work)

    return await Work.run(api.state["database"], look, tenant.id, read_only=True, may_lag=True, **options)


async def follow(api: Api, tenant: NewTenant) -> None:
    """Wait until the process knows the tenant's numbers, without which it reads from no replica."""
    async with asyncio.timeout(30):
        while api.state["watermarks"].needed(tenant.id, at_least=0, now=monotonic()) is None:
            api.state["watermarks"].use(tenant.id, monotonic())
            await asyncio.sleep(0.01)


@pytest.fixture
async def api(serve: Serve, acme: NewTenant) -> Api:
    """Without a cache, so that every read is one of a server; it follows acme."""
    started = await serve(cache_ttl=0.0)
    await follow(started, acme)
    return started


async def test_reading_goes_to_the_replica(api: Api, acme: NewTenant) -> None:
    assert await read_where(api, acme) == (True, [])


async def test_work_that_may_not_lag_stays_on_the_primary(api: Api, acme: NewTenant) -> None:
    assert not await Work.run(api.state["database"], is_on_replica, acme.id, read_only=True)


async def test_a_tenant_that_is_not_followed_yet_is_read_from_the_primary(api: Api, elsewhere: Factory) -> None:
    assert await read_where(api, await elsewhere.tenant("unread")) == (False, [])


async def test_own_writes_are_waited_for(api: Api, acme: NewTenant, elsewhere: Factory) -> None:
    client = await api.client(acme)
    for n in range(20):
        await client.post("/v1/campaigns", json={"name": f"Summer {n}"})
        _, found = await read_where(api, acme)
        assert len(found) == n + 1


async def test_own_writes_that_the_replica_lacks_are_read_from_the_primary(
    api: Api, acme: NewTenant, standby: Standby
) -> None:
    await standby.paused()
    async with Work(api.state["database"], acme.id) as work:
        await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
    assert await read_where(api, acme) == (False, ["Summer"])


async def test_a_token_is_waited_for_or_leads_to_the_primary(
    api: Api, acme: NewTenant, elsewhere: Factory, standby: Standby
) -> None:
    await standby.paused()
    async with Work(elsewhere.database, acme.id) as work:
        await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
    assert await read_where(api, acme, at_least=work.number) == (False, ["Summer"])


async def test_writes_of_others_are_seen_within_the_second_that_a_read_may_be_old(
    api: Api, acme: NewTenant, elsewhere: Factory, standby: Standby
) -> None:
    await standby.paused()
    await elsewhere.campaign(acme)
    written_at = monotonic()
    async with asyncio.timeout(30):
        while not (await read_where(api, acme))[1]:
            await asyncio.sleep(0.02)
    assert monotonic() - written_at < 5.0


async def test_a_replica_that_is_behind_is_left_alone_and_found_again(
    api: Api, acme: NewTenant, elsewhere: Factory, standby: Standby
) -> None:
    await standby.paused()
    await elsewhere.campaign(acme)
    await follow_to(api, acme, elsewhere)
    for _ in range(3):
        assert not (await read_where(api, acme))[0]
    await standby.resumed()
    async with asyncio.timeout(30):
        while not (await read_where(api, acme))[0]:
            await asyncio.sleep(0.05)


async def follow_to(api: Api, tenant: NewTenant, elsewhere: Factory) -> None:
    """Wait until the process knows what is committed now."""
    async with Work(elsewhere.database, tenant.id, read_only=True) as work:
        head = await work.log.head()
    async with asyncio.timeout(30):
        while (api.state["watermarks"].known(tenant.id) or 0) < head:
            await asyncio.sleep(0.01)


async def test_a_session_begun_elsewhere_is_known_at_once(
    api: Api, acme: NewTenant, elsewhere: Factory, standby: Standby
) -> None:
    await standby.paused()
    client = await api.client(acme)
    assert (await client.get("/v1/campaigns")).status_code == 200


async def test_a_list_is_never_vouched_for_by_a_number_that_it_lacks(
    serve: Serve, acme: NewTenant, elsewhere: Factory, standby: Standby
) -> None:
    api = await serve()
    client = await api.client(acme)
    await follow(api, acme)
    for n in range(10):
        if n % 5 == 0:
            await standby.paused()
        await elsewhere.campaign(acme, f"Summer {n}")
        answer = await client.get("/v1/campaigns", params={"limit": 200})
        await follow_to(api, acme, elsewhere)
        again = await client.get(
            "/v1/campaigns", params={"limit": 200}, headers={"If-None-Match": answer.headers["etag"]}
        )
        shown = answer if again.status_code == 304 else again
        assert len(shown.json()["items"]) == n + 1
        if n % 5 == 2:
            await standby.resumed()


async def test_what_vouches_for_a_list_is_what_the_replica_had(
    serve: Serve, acme: NewTenant, elsewhere: Factory, standby: Standby
) -> None:
    api = await serve()
    await follow(api, acme)
    async with Work(api.state["database"], acme.id, read_only=True, may_lag=True) as work:
        head = await work.log.head()
        assert await work.connection.fetchval(_WHERE, ())
        await standby.paused()
        await elsewhere.campaign(acme)
        await follow_to(api, acme, elsewhere)
        assert work.reading is not None
        numbers = work.reading.place()
        assert numbers is not None
        assert numbers[0] <= head
        assert await names(work) == []


async def test_a_replica_s_answer_is_not_taken_for_the_newest(
    serve: Serve, acme: NewTenant, elsewhere: Factory, standby: Standby
) -> None:
    api = await serve()
    await follow(api, acme)
    async with Work(api.state["database"], acme.id, read_only=True, may_lag=True) as work:
        assert await names(work) == []
        assert work.reading is not None
        assert work.reading.read_at(monotonic()) == -math.inf


async def test_a_server_that_has_been_promoted_has_reached_nothing(acme: NewTenant, elsewhere: Factory) -> None:
    with pytest.raises(Behind):
        async with Work(elsewhere.database, acme.id) as work:
            await work.connection.execute("SELECT app.reach(1, 0, 0, '0')")


async def test_a_lost_replica_costs_no_request(api: Api, acme: NewTenant, standby: Standby) -> None:
    client = await api.client(acme)
    await asyncio.to_thread(standby.stop)
    try:
        assert {(await client.get("/v1/campaigns")).status_code for _ in range(20)} == {200}
        await replica_is(api.state, "lost")
    finally:
        await asyncio.to_thread(standby.start_again)
    await replica_is(api.state, "up")
    assert (await read_where(api, acme))[0]


async def test_a_connection_lost_during_a_read_costs_a_repetition_on_the_primary(
    api: Api, acme: NewTenant, standby: Standby
) -> None:
    seen = []

    async def read(work: Work) -> list[str]:
        seen.append(await is_on_replica(work))
        if work.attempt == 1:
            await asyncio.to_thread(
                standby.execute, f"SELECT pg_terminate_backend({work.connection.raw.get_server_pid()})"
            )
        return await names(work)

    assert await Work.run(api.state["database"], read, acme.id, read_only=True, may_lag=True) == []
    assert seen == [True, False]


async def test_a_read_that_replay_cancels_is_repeated_on_the_primary(
    api: Api, acme: NewTenant, own_server: Restartable, own_settings: Settings, standby: Standby
) -> None:
    standby.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
    standby.execute("SELECT pg_reload_conf()")
    seen = []

    async def read(work: Work) -> list[str]:
        found = await names(work)
        seen.append(await is_on_replica(work))
        if work.attempt == 1:
            root = await asyncpg.connect(own_settings.administration().url)
            await root.execute("BEGIN; LOCK TABLE quarry.campaigns IN ACCESS EXCLUSIVE MODE; COMMIT")
            await root.close()
            async with asyncio.timeout(30):
                while True:
                    found = await names(work)
        return found

    assert await Work.run(api.state["database"], read, acme.id, read_only=True, may_lag=True) == []
    assert seen == [True, False]


async def test_a_row_that_is_not_there_is_asked_for_once(api: Api, acme: NewTenant) -> None:
    attempts = []

    async def read(work: Work) -> Campaign:
        attempts.append(work.attempt)
        return await work.campaigns.find(acme.owner.id)

    with pytest.raises(NotFound):
        await Work.run(api.state["database"], read, acme.id, read_only=True, may_lag=True)
    assert attempts == [1]


async def test_every_path_that_reads_can_be_read_from_a_replica(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    created = (await client.post("/v1/campaigns", json={"name": "Summer"})).json()
    paths = [
        each.path.replace("{campaign_id}", created["id"]).replace("{id}", created["id"])
        for each in ENDPOINTS
        if each.method == "GET" and each.path.startswith("/v1/") and "stream" not in each.path
    ]
    await follow(api, acme)
    before = REGISTRY.get_sample_value(*_READ_THERE) or 0.0
    for path in paths:
        assert (await client.get(path)).status_code in (200, 404), path
    assert (REGISTRY.get_sample_value(*_READ_THERE) or 0.0) - before > 15


async def test_health_names_the_replica_and_how_far_it_is_behind(
    api: Api, acme: NewTenant, elsewhere: Factory, own_server: Restartable, standby: Standby
) -> None:
    await asyncio.to_thread(standby.await_replay, own_server.server)
    assert await lag(api, lambda each: each["behind_bytes"] == 0) == 0.0
    await standby.paused()
    await elsewhere.campaign(acme)
    assert await lag(api, lambda each: bool(each["behind_bytes"])) > 0.0


async def test_a_replica_that_is_behind_for_longer_than_a_read_may_be_old_is_not_asked(
    api: Api, elsewhere: Factory, acme: NewTenant, standby: Standby
) -> None:
    quiet = await elsewhere.tenant(f"quiet-{acme.domain.partition('.')[0]}")
    await follow(api, quiet)
    await standby.paused()
    # Of another tenant: all that is known of this one the replica has.
    await elsewhere.campaign(acme)
    await replica_is(api.state, "behind")
    assert not (await read_where(api, quiet))[0]


async def test_a_replica_that_is_lost_while_it_is_asked_costs_no_request(
    serve: Serve, acme: NewTenant, settings: Settings, standby: Standby
) -> None:
    async with proxied(standby.server.host, standby.server.port) as proxy:
        [direct] = settings.database_replica_urls
        url = direct.get_secret_value().replace(f":{standby.server.port}/", f":{proxy.port}/")
        api = await serve(cache_ttl=0.0, database_replica_urls=(SecretStr(url),))
        await follow(api, acme)
        assert (await read_where(api, acme))[0]
        proxy.on_request = lambda sent: "drop" if b"app.reach" in sent else None
        assert await read_where(api, acme) == (False, [])
        assert REGISTRY.get_sample_value("quarry_pool_in_use") == 0


async def lag(api: Api, is_meant: Any) -> float:
    """The seconds that health says, once it says what is meant."""
    async with asyncio.timeout(30):
        while True:
            check = (await api.state["health"].report())["replicas"]
            [found] = check["replicas"]
            if found["state"] in ("up", "behind") and found["behind_bytes"] is not None and is_meant(found):
                assert check["ok"]
                return float(found["behind_seconds"])
            await asyncio.sleep(0.05)


async def test_a_server_that_is_no_replica_is_never_read_from(
    serve: Serve, acme: NewTenant, own_settings: Settings
) -> None:
    api = await serve("not a replica", cache_ttl=0.0, database_replica_urls=(own_settings.database_url,))
    await follow(api, acme)
    assert await read_where(api, acme) == (False, [])
    assert not (await api.state["health"].report())["replicas"]["ok"]
