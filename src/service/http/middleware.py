"""ASGI middleware that gives each request an id, and logs and counts each answer."""

from __future__ import annotations

import secrets
from time import perf_counter

import structlog
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import REQUEST_SECONDS, REQUESTS
from service.tenancy.identity import is_request_id

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.requests")


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""HTTP methods that the metrics count by name. All others are counted together as `other`, because a client can invent any
number of names."""


class RequestId:
    """Gives each request an id: the client's header Request-Id if that is valid, otherwise a new id.

    The id is in the answer's header Request-Id and in the log lines of the request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"request-id"), "")
        request_id = given if is_request_id(given) else secrets.token_hex(16)
        scope["request_id"] = request_id
        header = (b"request-id", request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], header]
            await send(message)

        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            structlog.contextvars.reset_contextvars(**bound)
            structlog.contextvars.unbind_contextvars("tenant")


class Answered:
    """Logs and counts every answer. The code that turns an error into an answer sets `scope["code"]` to the error code, which is
    then logged and counted, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        # Counters and timers are cached in dictionaries, because the library's `labels` takes a lock, which is slower.
        self._counters: dict[tuple[str, int, str], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}

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
            key = (scope["method"] if scope["method"] in _METHODS else "other", status, code)
            if (counter := self._counters.get(key)) is None:
                counter = self._counters[key] = REQUESTS.labels(method=key[0], status=str(status), code=code)
            counter.inc()
            seconds = perf_counter() - started
            if not scope.get("is_streamed"):
                self._timer(key[0], scope.get("template") or "none").observe(seconds)
            log.info(
                "answered", method=scope["method"], path=scope["path"], status=status, **({"code": code} if code else {}),
                milliseconds=round(seconds * 1000, 1),
            )  # fmt: skip

    def _timer(self, method: str, route: str) -> Histogram:
        """The timer of a method and of `route`, a path as it is declared, such as `/v1/campaigns/{id}`.

        With the paths of requests, which contain ids, the metrics would get one time series for every row.
        """
        if (timer := self._timers.get((method, route))) is None:
            timer = self._timers[method, route] = REQUEST_SECONDS.labels(method=method, route=route)
        return timer
