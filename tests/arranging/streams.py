"""Change streams of the application as they come, which httpx shows only once they have ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from arranging.application import Api

PATIENCE = 30.0


@dataclass(frozen=True)
class Sent:
    """What is sent at a time: an event, or a comment, whose `kind` is empty and whose text is its `data`."""

    kind: str
    id: str
    data: Any


class Stream:
    """A stream that is read. While `takes` is not set nothing is taken that is sent; see `streaming`."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.text = ""
        self.is_whole = False
        """Whether it was ended as an answer is, not cut off."""
        self.takes = asyncio.Event()
        self.takes.set()
        self.has_left = asyncio.Event()
        self._sent: asyncio.Queue[Sent | None] = asyncio.Queue()

    async def next(self) -> Sent:
        """The next event; comments are passed over."""
        # Of all of them together: comments come for ever.
        async with asyncio.timeout(PATIENCE):
            while not (sent := await self._next()).kind:
                pass
        return sent

    async def commits(self, count: int) -> list[str]:
        """The ids of the next events, which must be commits."""
        events = [await self.next() for _ in range(count)]
        assert [event.kind for event in events] == ["commit"] * count, events
        assert [event.id for event in events] == [event.data["id"] for event in events]
        return [event.id for event in events]

    async def comment(self) -> str:
        """The next thing that is sent, which must be a comment."""
        async with asyncio.timeout(PATIENCE):
            sent = await self._next()
        assert not sent.kind, sent
        return str(sent.data)

    async def rest(self) -> list[Sent]:
        """All that is sent before the stream ends, as it must within half a minute."""
        rest = []
        async with asyncio.timeout(PATIENCE):
            while (sent := await self._sent.get()) is not None:
                rest.append(sent)
        return rest

    async def receive(self) -> Any:
        """What the client has to say: that it is gone."""
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take what the application sends."""
        await self.takes.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self.is_whole = not message.get("more_body", False)
        text = message.get("body", b"").decode()
        self.text += text
        for block in text.split("\n\n")[:-1]:
            sent = _read(block)
            if sent is not None:
                self._sent.put_nowait(sent)

    def end(self) -> None:
        """The application is done with it."""
        self._sent.put_nowait(None)

    async def _next(self) -> Sent:
        sent = await self._sent.get()
        assert sent is not None, f"the stream has ended: {self.status} {self.text}"
        return sent


@contextlib.asynccontextmanager
async def streaming(
    api: Api,
    token: str | None,
    *,
    method: str = "GET",
    is_stuck: bool = False,
    headers: dict[str, str] | None = None,
    **query: str,
) -> AsyncIterator[Stream]:
    """A stream opened with a token, which is left with the block; `is_stuck` does not take even its beginning."""
    given = {"host": "quarry.test", **(headers or {}), **({"authorization": f"Bearer {token}"} if token else {})}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": "/v1/changes/stream", "raw_path": b"/v1/changes/stream", "root_path": "",
        "query_string": urlencode(query).encode(), "client": ("192.0.2.7", 4711), "server": ("quarry.test", 80),
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "state": dict(api.state),
    }  # fmt: skip
    stream = Stream()
    if is_stuck:
        stream.takes.clear()
    task = asyncio.create_task(api.app(scope, stream.receive, stream.send))
    task.add_done_callback(lambda _: stream.end())
    try:
        yield stream
    finally:
        stream.has_left.set()
        stream.takes.set()
        async with asyncio.timeout(PATIENCE):
            await task


def _read(block: str) -> Sent | None:
    """An event or a comment; None for what only tells the browser when to come again."""
    if block.startswith(":"):
        return Sent("", "", block.removeprefix(": "))
    fields = dict(line.split(": ", 1) for line in block.split("\n"))
    if "event" not in fields:
        return None
    return Sent(fields["event"], fields["id"], json.loads(fields["data"]))
