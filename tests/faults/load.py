"""Clients of the service that write and read until they are told to stop, and know what they were told."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import httpx

from arranging.accounts import NewTenant
from arranging.documented import surprise_of
from faults.fleet import Fleet

_PATIENCE = 120.0
_PASSING = frozenset({"503 unavailable", "503 commit_unknown", "504 timeout", "409 in_progress", "connection lost"})
"""Answers after which a write is repeated, with its key."""
_PACE = 0.01
_AGAIN = 0.05

CAMPAIGNS, CAMPAIGN, CONTENTS = "/v1/campaigns", "/v1/campaigns/{id}", "/v1/campaigns/{campaign_id}/contents"


@dataclass(eq=False)
class Flight:
    """A request that is on its way, and how far it got."""

    url: str
    is_new: bool = False
    """Whether it has opened its connection itself, which the service may not have noticed yet."""
    is_sent: bool = False
    is_begun: bool = False
    outcome: str = ""

    async def follow(self, event: str, _: Mapping[str, Any]) -> None:
        """What the client says of it."""
        match event:
            case "connection.connect_tcp.started":
                self.is_new = True
            case "http11.send_request_body.complete":
                self.is_sent = True
            case "http11.receive_response_headers.complete":
                self.is_begun = True


@dataclass(eq=False)
class Row:
    """A row that somebody was told is there; `key` is the one of the write that made it, and its name."""

    tenant: NewTenant
    table: str
    id: str
    key: str
    version: int
    changed_by: str
    position: str


@dataclass
class Streak:
    """Successes of one instance without a failure between them."""

    length: int = 0
    since: float = 0.0

    def note(self, *, is_success: bool) -> None:
        if not is_success:
            self.length = 0
            return
        if self.length == 0:
            self.since = monotonic()
        self.length += 1


@dataclass
class Load:
    """Writers and readers of several tenants, on whatever instances there are."""

    fleet: Fleet
    client: httpx.AsyncClient
    tokens: dict[NewTenant, str]
    seed: int
    answers: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    rows: list[Row] = field(default_factory=list)
    positions: dict[NewTenant, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Of every acknowledged write."""
    wrong: list[str] = field(default_factory=list)
    """Whatever no client should ever be told."""
    flights: set[Flight] = field(default_factory=set)
    lost: Counter[str] = field(default_factory=Counter)
    """Requests that an instance did not do, by its address."""
    streaks: dict[str, Streak] = field(default_factory=lambda: defaultdict(Streak))
    leaving: set[str] = field(default_factory=set)
    """Instances that were told to stop: they alone may close a connection without an answer."""
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def writes(self) -> int:
        """How many were acknowledged."""
        return sum(map(len, self.positions.values()))

    def accepted(self, url: str) -> list[Flight]:
        """Requests that the instance has: all of it was sent over a connection that it knows, or the answer has begun."""
        return [
            each for each in self.flights if each.url == url and (each.is_begun or (each.is_sent and not each.is_new))
        ]

    async def ask(
        self, url: str, tenant: NewTenant, method: str, path: str, *, of: str, json: Any = None, **headers: str
    ) -> tuple[str, httpx.Response | None]:
        """One request; answers what came of it. `of` is the path as it is documented."""
        flight = Flight(url)
        self.flights.add(flight)
        answer = None
        try:
            answer = await self.client.request(
                method, f"{url}{path}", json=json, extensions={"trace": flight.follow},
                headers={"Authorization": f"Bearer {self.tokens[tenant]}"} | headers,
            )  # fmt: skip
            code = answer.json().get("code", "") if answer.status_code >= 400 else ""
            flight.outcome = f"{answer.status_code} {code}".strip()
            # The server's own, which no application sends.
            told = {name: value for name, value in answer.headers.items() if name not in ("date", "connection")}
            if surprise := surprise_of(method.lower(), of, answer.status_code, told, answer.content):
                self.wrong.append(f"{method} {of} {answer.status_code}: {surprise}")
        except httpx.TimeoutException as error:
            flight.outcome = "no answer"
            self.wrong.append(f"{method} {of}: {type(error).__name__}")
        except httpx.TransportError as error:
            flight.outcome = "connection lost"
            if url not in self.leaving:
                self.wrong.append(f"{method} {of}: {error!r} of an instance that nobody has stopped")
        finally:
            self.flights.discard(flight)
        self.answers[flight.outcome] += 1
        is_failure = flight.outcome in _PASSING or flight.outcome == "no answer"
        self.lost[url] += is_failure
        self.streaks[url].note(is_success=not is_failure)
        return flight.outcome, answer

    async def write(self, writer: int) -> None:
        """Make and change rows, one after the other; each request is repeated with its key until it is answered."""
        chance = random.Random(self.seed * 1000 + writer)
        made: list[Row] = []
        n = 0
        while not self.done.is_set():
            n += 1
            key = f"{self.seed}-{writer}-{n}"
            kind = chance.random()
            if not made or kind < 0.4:
                row = await self._create(chance, key)
                made += [] if row is None else [row]
            elif kind < 0.8:
                await self._change(chance, key, chance.choice(made))
            else:
                await self._add(chance, key, chance.choice(made))
            # No more than two cores can answer beside all that goes on.
            await asyncio.sleep(_PACE)

    async def _create(self, chance: random.Random, key: str) -> Row | None:
        tenant = chance.choice(list(self.tokens))
        body = {"name": f"{tenant.domain} {key}"}
        answer = await self._until_final(chance, tenant, key, "POST", CAMPAIGNS, of=CAMPAIGNS, json=body)
        return None if answer is None else self._note(tenant, "campaigns", key, answer)

    async def _change(self, chance: random.Random, key: str, row: Row) -> None:
        """A change of the version that its only writer knows."""
        answer = await self._until_final(
            chance, row.tenant, key, "PATCH", f"{CAMPAIGNS}/{row.id}", of=CAMPAIGN, json={"description": key},
            **{"If-Match": f'"{row.version}"'},
        )  # fmt: skip
        if answer is None:
            return
        changed = answer.json()
        if (changed["version"], changed["description"]) != (row.version + 1, key):
            self.wrong.append(f"{key} was told {changed['version']} {changed['description']} after {row.version}")
        row.version, row.changed_by, row.position = row.version + 1, key, answer.headers["consistency"]

    async def _add(self, chance: random.Random, key: str, row: Row) -> None:
        answer = await self._until_final(
            chance, row.tenant, key, "POST", f"{CAMPAIGNS}/{row.id}/contents", of=CONTENTS,
            json={"kind": "post", "title": f"{row.tenant.domain} {key}"},
        )  # fmt: skip
        if answer is not None:
            self._note(row.tenant, "contents", key, answer)

    async def _until_final(
        self, chance: random.Random, tenant: NewTenant, key: str, method: str, path: str, **given: Any
    ) -> httpx.Response | None:
        async with asyncio.timeout(_PATIENCE):
            while True:
                url = chance.choice(self.fleet.urls)
                outcome, answer = await self.ask(url, tenant, method, path, **given, **{"Idempotency-Key": key})
                if answer is not None and answer.is_success:
                    self.replayed += "idempotency-replayed" in answer.headers
                    self.positions[tenant].append(answer.headers["consistency"])
                    return answer
                if outcome not in _PASSING:
                    self.wrong.append(f"{method} {path} with {key}: {outcome}")
                    return None
                # As clients do that were asked to come again.
                await asyncio.sleep(_AGAIN)

    def _note(self, tenant: NewTenant, table: str, key: str, answer: httpx.Response) -> Row:
        made = answer.json()
        row = Row(tenant, table, made["id"], key, made["version"], "", answer.headers["consistency"])
        self.rows.append(row)
        return row

    async def read(self, reader: int) -> None:
        """Read rows with the position of their last write, lists, and rows of others, until told to stop."""
        chance = random.Random(self.seed * 1000 + 500 + reader)
        while not self.done.is_set():
            tenant, other = chance.sample(list(self.tokens), 2)
            rows = [row for row in self.rows[-200:] if row.table == "campaigns"]
            url, kind = chance.choice(self.fleet.urls), chance.random()
            if rows and kind < 0.5:
                await self._read_row(url, chance.choice(rows))
            elif kind < 0.8:
                await self._read_list(url, tenant)
            elif strange := [row for row in rows if row.tenant is other]:
                row = chance.choice(strange)
                outcome, _ = await self.ask(url, tenant, "GET", f"{CAMPAIGNS}/{row.id}", of=CAMPAIGN)
                if outcome != "404 not_found" and outcome not in _PASSING:
                    self.wrong.append(f"a row of another tenant: {outcome}")
            await asyncio.sleep(_PACE)

    async def _read_row(self, url: str, row: Row) -> None:
        known, position = row.version, row.position
        outcome, answer = await self.ask(
            url, row.tenant, "GET", f"{CAMPAIGNS}/{row.id}", of=CAMPAIGN, Consistency=position
        )
        if answer is None or not answer.is_success:
            if outcome not in _PASSING:
                self.wrong.append(f"{row.key} was acknowledged and is {outcome}")
        elif answer.json()["version"] < known or answer.json()["name"] != f"{row.tenant.domain} {row.key}":
            self.wrong.append(f"{row.key} at {position} is {answer.text}, not {known}")

    async def _read_list(self, url: str, tenant: NewTenant) -> None:
        outcome, answer = await self.ask(url, tenant, "GET", f"{CAMPAIGNS}?limit=50", of=CAMPAIGNS)
        if answer is None or not answer.is_success:
            if outcome not in _PASSING:
                self.wrong.append(f"a list: {outcome}")
        elif strange := [each for each in answer.json()["items"] if not each["name"].startswith(tenant.domain)]:
            self.wrong.append(f"{tenant.domain} was shown {strange}")

    async def counted(self, sample: str) -> float:
        """A metric's sample, of all instances together."""
        total = 0.0
        for url in self.fleet.urls:
            text = (await self.client.get(f"{url}/metrics")).text
            total += sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{sample} "))
        return total

    async def burst(self, url: str, size: int) -> int:
        """So many reads of one instance at once; answers how many succeeded."""
        tenants = list(self.tokens)
        asked = [
            self.ask(url, tenants[n % len(tenants)], "GET", f"{CAMPAIGNS}?limit={n + 1}", of=CAMPAIGNS)
            for n in range(size)
        ]
        return sum(outcome == "200" for outcome, _ in await asyncio.gather(*asked))
