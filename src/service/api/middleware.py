"""Pure ASGI middleware: the request id, and one log line and count per answer."""

from __future__ import annotations

from time import perf_counter
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import REQUESTS
from service.tenancy.identity import is_request_id

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.requests")


class RequestId:
    """Takes the client's Request-Id if it is one, makes one otherwise, and sends it back."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"request-id"), "")
        request_id = given if is_request_id(given) else uuid4().hex
        scope["request_id"] = request_id
        header = (b"request-id", request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], header]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self.app(scope, receive, send_with_id)


class Answered:
    """Logs and counts every answer; `scope["code"]` is the error's code where there was one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        status = 0

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        finally:
            code = scope.get("code", "")
            REQUESTS.labels(method=scope["method"], status=str(status), code=code).inc()
            log.info(
                "answered", method=scope["method"], path=scope["path"], status=status, code=code or None,
                milliseconds=round((perf_counter() - started) * 1000, 1),
            )  # fmt: skip
