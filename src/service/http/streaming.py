"""Event streams: answers that send events until the client disconnects, stops receiving, or may no longer read."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from typing import Any

import structlog
from starlette.types import Receive, Scope, Send

from service.changes.subscription import Subscription
from service.errors import ServiceError
from service.http.answers import Answer
from service.positions import Position

_SEND_PATIENCE = 10.0
"""If sending an event takes more seconds than this, the connection is closed. A client that reconnects with Last-Event-ID misses
no event."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.streams")


class EventStream(Answer):
    """A stream of server-sent events: `ready`, `commit` and `reset`. After some time without an event, a comment line with the
    position of the last commit is sent.
    """

    media_type = "text/event-stream"

    def __init__(self, subscription: Subscription, since: Position | None, opened: AsyncExitStack) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._subscription, self._since, self._opened = subscription, since, opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer's headers, and then events until the stream ends (for HEAD, no events)."""
        async with self._opened:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                gone = asyncio.create_task(self._watch(receive))
                try:
                    await self._send_frames(send)
                finally:
                    gone.cancel()
            # A client that has stopped receiving (`stuck`) would not receive the end of the stream either. So it is not sent, and
            # the server closes the connection.
            if self._subscription.reason != "stuck":
                await send({"type": "http.response.body", "body": b""})

    async def _send_frames(self, send: Send) -> None:
        try:
            async with contextlib.aclosing(self._subscription.frames(self._since)) as frames:
                async for data in frames:
                    async with asyncio.timeout(_SEND_PATIENCE):
                        await send({"type": "http.response.body", "body": data, "more_body": True})
        except TimeoutError:
            self._subscription.close("stuck")
        except ServiceError as error:
            # For example, the caller may no longer read. The client sees only that the stream ends. When it reconnects, this
            # error is the answer.
            self._subscription.close(error.code)
            log.info("stream_ended", reason=error.code)

    async def _watch(self, receive: Receive) -> None:
        message: Any = {}
        while message.get("type") != "http.disconnect":
            message = await receive()
        self._subscription.close("left")
