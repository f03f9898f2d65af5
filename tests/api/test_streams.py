"""GET /v1/changes/stream: where a stream begins, that nothing is missing in it, and what it says when something is."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from arranging.accounts import NewTenant
from arranging.application import Api, until, wrong_fields
from arranging.factories import Factory
from arranging.streams import Sent, streaming
from changes.followers import NEVER, change, prune
from service.changes import ring, subscription
from service.database.database import Database
from service.http import streaming as module
from service.work import Work


@pytest.fixture
async def token(new: Factory, acme: NewTenant) -> str:
    return await new.token(acme)


@pytest.fixture
async def epoch(database: Database) -> int:
    async with Work(database, None) as work:
        return await work.installation.enter_epoch()


@pytest.fixture
async def head(database: Database, acme: NewTenant, token: str) -> Callable[[], Any]:
    """Asks where acme is."""

    async def ask() -> int:
        async with Work(database, acme.id, read_only=True) as work:
            return await work.log.head()

    return ask


@pytest.fixture
def forget(superuser: Any) -> Callable[[NewTenant], None]:
    """Prunes all that a tenant has committed so far."""

    def forget(tenant: NewTenant) -> None:
        prune(superuser, tenant)
        superuser.commit()

    return forget


def reset(reason: str, head: str) -> Sent:
    return Sent("reset", head, {"reason": reason, "head": head})


def ready(since: str, head: str, floor: str) -> Sent:
    return Sent("ready", since, {"since": since, "head": head, "floor": floor})


async def test_a_stream_begins_with_its_place(api: Api, epoch: int, token: str, head: Any) -> None:
    async with streaming(api, token) as stream:
        at = f"{epoch}-{await head()}"
        assert await stream.next() == ready(at, at, f"{epoch}-0")
    assert stream.status == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-store"


async def test_a_browser_is_told_first_when_to_come_again(api: Api, token: str) -> None:
    async with streaming(api, token) as stream:
        await stream.next()
    first, _, rest = stream.text.partition("\n\n")
    assert 1000 <= int(first.removeprefix("retry: ")) <= 3000
    assert rest.startswith("id: ")


async def test_what_is_committed_after_ready_is_delivered_in_order(
    api: Api, acme: NewTenant, epoch: int, token: str, database: Database
) -> None:
    async with streaming(api, token) as stream:
        await stream.next()
        last = await change(database, acme, times=3)
        assert await stream.commits(3) == [f"{epoch}-{number}" for number in range(last - 2, last + 1)]


async def test_what_is_committed_before_ready_is_taken_is_delivered_too(
    api: Api, acme: NewTenant, epoch: int, token: str, head: Any, database: Database
) -> None:
    before = await head()
    async with streaming(api, token, is_stuck=True) as stream:
        await until(open_streams(api), lambda count: count == 1)
        last = await change(database, acme, times=2)
        stream.takes.set()
        assert (await stream.next()).id == f"{epoch}-{before}"
        assert await stream.commits(2) == [f"{epoch}-{last - 1}", f"{epoch}-{last}"]


def open_streams(api: Api) -> Callable[[], Any]:
    async def ask() -> int:
        return int(api.state["feed"].report()["streams"])

    return ask


async def test_streams_that_are_opened_amid_commits_miss_none(
    api: Api, acme: NewTenant, token: str, database: Database
) -> None:
    async def follow() -> list[str]:
        async with streaming(api, token) as stream:
            return [(await stream.next()).id, *await stream.commits(5)]

    async with writing(database, acme):
        followed = await asyncio.gather(*(follow() for _ in range(20)))
    for ids in followed:
        numbers = [int(id.partition("-")[2]) for id in ids]
        assert numbers == list(range(numbers[0], numbers[0] + 6))


@contextlib.asynccontextmanager
async def writing(database: Database, tenant: NewTenant) -> AsyncIterator[None]:
    """Commit after commit while the block lasts."""
    is_over = asyncio.Event()

    async def write() -> None:
        while not is_over.is_set():
            await change(database, tenant)

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        is_over.set()
        await task


async def test_an_event_is_the_item_of_a_page(
    api: Api, new: Factory, acme: NewTenant, token: str, database: Database
) -> None:
    client = await api.client(acme)
    async with streaming(api, token) as stream:
        since = (await stream.next()).id
        await new.brand(acme)
        await new.token(acme)
        sent = [(await stream.next()).data for _ in range(2)]
    assert sent == (await client.get("/v1/changes", params={"since": since})).json()["items"]
    assert [len(each["changes"]) for each in sent] == [1, 0]


async def test_another_tenants_commits_are_never_in_a_stream(
    api: Api, new: Factory, acme: NewTenant, globex: NewTenant, token: str, database: Database
) -> None:
    async with streaming(api, token) as stream, streaming(api, await new.token(globex)) as others:
        await others.next()
        since = int((await stream.next()).id.partition("-")[2])
        for _ in range(3):
            await change(database, globex)
            last = await change(database, acme)
        numbers = [int(id.partition("-")[2]) for id in await stream.commits(3)]
        await others.commits(3)
    assert numbers == list(range(since + 1, last + 1))
    rows = [set(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", each.text)) for each in (stream, others)]
    assert [len(each) for each in rows] == [3, 3]
    assert not rows[0] & rows[1]


@pytest.mark.parametrize("is_in_memory", [True, False])
@pytest.mark.parametrize("way", ["last-event-id", "since"])
async def test_a_stream_is_resumed_with_exactly_what_was_missed(
    api: Api, acme: NewTenant, epoch: int, token: str, database: Database, way: str, is_in_memory: bool
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        if is_in_memory:
            await (await stack.enter_async_context(streaming(api, token))).next()
        seen = f"{epoch}-{await change(database, acme)}"
        last = await change(database, acme, times=3)
        headers, query = ({way: seen}, {}) if way == "last-event-id" else ({}, {way: seen})
        stream = await stack.enter_async_context(streaming(api, token, headers=headers, **query))
        assert await stream.next() == ready(seen, f"{epoch}-{last}", f"{epoch}-0")
        assert await stream.commits(3) == [f"{epoch}-{number}" for number in range(last - 2, last + 1)]
        last = await change(database, acme)
        assert await stream.commits(1) == [f"{epoch}-{last}"]


async def test_a_stream_is_resumed_over_more_than_is_read_at_a_time(
    api: Api, acme: NewTenant, epoch: int, token: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "_CATCH_UP", 2)
    last = await change(database, acme, times=7)
    async with streaming(api, token, since=f"{epoch}-{last - 7}") as stream:
        await stream.next()
        assert await stream.commits(7) == [f"{epoch}-{number}" for number in range(last - 6, last + 1)]


async def test_last_event_id_goes_before_since(
    api: Api, acme: NewTenant, epoch: int, token: str, database: Database
) -> None:
    last = await change(database, acme, times=3)
    async with streaming(api, token, headers={"Last-Event-ID": f"{epoch}-{last - 1}"}, since=f"{epoch}-1") as stream:
        assert (await stream.next()).data["since"] == f"{epoch}-{last - 1}"
        assert await stream.commits(1) == [f"{epoch}-{last}"]


async def test_a_query_that_can_not_be_read_is_refused_whatever_the_header_says(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme, **{"Last-Event-ID": ";"})
    assert wrong_fields(await client.get("/v1/changes/stream?since=")) == ["since"]


async def test_an_empty_last_event_id_is_none(api: Api, epoch: int, token: str) -> None:
    async with streaming(api, token, headers={"Last-Event-ID": ""}, since=f"{epoch}-1") as stream:
        assert (await stream.next()).data["since"] == f"{epoch}-1"


async def test_a_large_commit_is_cut_in_a_stream_too(
    api: Api, acme: NewTenant, token: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "MOST_CHANGES", 2)
    monkeypatch.setattr("service.changes.relay.MOST_CHANGES", 2)
    async with streaming(api, token) as stream:
        await stream.next()
        async with Work(database, acme.id) as work:
            made = [await work.campaigns.create(name="Summer", owner_id=acme.owner.id) for _ in range(3)]
        cut = (await stream.next()).data
    assert ([each["id"] for each in cut["changes"]], cut["truncated"]) == ([str(each.id) for each in made[:2]], True)


async def test_a_place_that_is_not_kept_any_more_is_told_and_the_stream_goes_on(
    api: Api, acme: NewTenant, epoch: int, token: str, database: Database, forget: Any
) -> None:
    at = f"{epoch}-{await change(database, acme)}"
    forget(acme)
    async with streaming(api, token, headers={"Last-Event-ID": f"{epoch}-1"}) as stream:
        assert [await stream.next() for _ in range(2)] == [reset("pruned", at), ready(at, at, at)]
        last = await change(database, acme)
        assert await stream.commits(1) == [f"{epoch}-{last}"]


@pytest.mark.parametrize("place", ["{epoch}-{after}", "{earlier}-1", "{later}-1", "x", "1", "-", "01-1", "9" * 40])
async def test_a_place_of_another_life_is_told_and_the_stream_goes_on(
    api: Api, acme: NewTenant, epoch: int, token: str, head: Any, database: Database, place: str
) -> None:
    number = await head()
    at = f"{epoch}-{number}"
    id = place.format(epoch=epoch, after=number + 1, earlier=epoch - 1, later=epoch + 1)
    async with streaming(api, token, headers={"Last-Event-ID": id}) as stream:
        assert [await stream.next() for _ in range(2)] == [reset("epoch", at), ready(at, at, f"{epoch}-0")]
        last = await change(database, acme)
        assert await stream.commits(1) == [f"{epoch}-{last}"]


async def test_another_life_that_begins_meanwhile_is_told(
    api: Api, acme: NewTenant, epoch: int, token: str, head: Any, platform: Database, database: Database
) -> None:
    async with streaming(api, token) as stream:
        await stream.next()
        async with Work(platform, None) as work:
            assert await work.installation.raise_epoch() == epoch + 1
        at = f"{epoch + 1}-{await head()}"
        assert [await stream.next() for _ in range(2)] == [reset("epoch", at), ready(at, at, f"{epoch + 1}-0")]
        last = await change(database, acme)
        assert await stream.commits(1) == [f"{epoch + 1}-{last}"]


async def test_what_was_pruned_while_its_reader_was_slow_is_told(
    api: Api, acme: NewTenant, epoch: int, token: str, database: Database, forget: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "_MOST_FRAMES", 2)
    monkeypatch.setattr(module, "_SEND_PATIENCE", NEVER)
    async with streaming(api, token, is_stuck=True) as stream:
        await until(open_streams(api), lambda count: count == 1)
        at = f"{epoch}-{await change(database, acme, times=4)}"
        forget(acme)
        (followed,) = api.state["feed"]._relay.rings.values()
        await until(lambda: asyncio.sleep(0, followed.head), lambda number: at == f"{epoch}-{number}")
        stream.takes.set()
        assert (await stream.next()).kind == "ready"
        assert [await stream.next() for _ in range(2)] == [reset("pruned", at), ready(at, at, at)]
