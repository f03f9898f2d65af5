"""How a route is declared, and how a request on it becomes an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api import answers
from service.api.caller import Call, Handler
from service.api.state import State
from service.errors import MethodNotAllowed, ServiceError
from service.permissions import Permission

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.requests")


@dataclass(frozen=True)
class Endpoint:
    """A method of a path: who may call it, and what does the work."""

    method: str
    path: str
    permission: Permission
    handler: Handler


class Resource:
    """The endpoints of one path, as an ASGI application. Every error of theirs becomes a problem document."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self.endpoints = endpoints
        self.allowed = tuple(sorted({*endpoints, *({"HEAD"} if "GET" in endpoints else ())}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request[State] = Request(scope, receive, send)
        try:
            answer = await self._answer(request)
        except Exception as error:
            if not isinstance(error, ServiceError) or error.code == "internal":
                log.exception("failed")
            answer = answers.problem(error, scope["request_id"])
            scope["code"] = answer.code
        await answer(scope, receive, send)

    async def _answer(self, request: Request[State]) -> Response:
        endpoint = self.endpoints.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            raise MethodNotAllowed(self.allowed)
        call = Call(request, endpoint.permission)
        answer = await endpoint.handler(call)
        if (token := await call.consistency()) is not None:
            answer.headers["Consistency"] = token
        if not call.writes and answers.unmodified(answer, request.headers.getlist("if-none-match")):
            return Response(status_code=304, headers={"ETag": answer.headers["etag"]})
        return answer
