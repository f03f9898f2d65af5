"""Subscribers of change streams as clients write them: they come again with their last id, and keep what they saw."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Subscriber:
    """Follows one tenant's stream through whatever service is there, and leaves it every now and then."""

    token: str
    services: Callable[[], list[str]]
    chance: random.Random
    events: dict[int, Any] = field(default_factory=dict)
    seen: int = 0
    resets: list[Any] = field(default_factory=list)
    disconnects: int = 0
    last_id: str = ""
    lost: int = 0

    async def follow(self, client: httpx.AsyncClient, since: str) -> None:
        """Go on until cancelled."""
        self.last_id = since
        while True:
            headers = {"Authorization": f"Bearer {self.token}", "Last-Event-ID": self.last_id}
            url = f"{self.chance.choice(self.services())}/v1/changes/stream"
            try:
                async with client.stream("GET", url, headers=headers) as answer:
                    assert answer.status_code in (200, 503, 504), answer.status_code
                    if answer.status_code == 200:
                        await self._read(answer)
                self.disconnects += 1
            except httpx.TransportError:
                self.lost += 1
            await asyncio.sleep(self.chance.uniform(0.0, 0.05))

    async def _read(self, answer: httpx.Response) -> None:
        patience = self.chance.randint(1, 60)
        kind, id = "", ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                id = value
            elif name == "event":
                kind = value
            elif name == "data":
                if kind == "reset":
                    self.resets.append(json.loads(value))
                if kind == "commit":
                    self._take(json.loads(value))
                self.last_id = id
                patience -= 1
                if patience == 0:
                    return

    def _take(self, event: Any) -> None:
        self.seen += 1
        number = int(event["id"].partition("-")[2])
        assert self.events.setdefault(number, event) == event, "one number, two events"
