"""How a route is declared, and how a request on it becomes an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api import answers, contract
from service.api.answers import Answer
from service.api.caller import Call
from service.api.contract import Contract
from service.api.idempotency import Replayed
from service.api.state import State
from service.errors import MethodNotAllowed, ServiceError
from service.permissions import Permission

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.requests")


@dataclass(frozen=True)
class Endpoint:
    """A method of a path: who may call it, and what does the work.

    `may_repeat` is False where an Idempotency-Key means nothing. `refuses` are
    codes that its requests can end in beside those that its declaration tells. The contract is read off the handler's
    signature; raises ContractError.
    """

    method: str
    path: str
    permission: Permission
    handler: Callable[..., Awaitable[Answer]]
    may_repeat: bool = True
    refuses: tuple[str, ...] = ()
    contract: Contract = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "contract", contract.of(self.handler))

    @property
    def is_idempotent(self) -> bool:
        """Whether an Idempotency-Key makes repeating it safe."""
        return self.method != "GET" and self.may_repeat and self.permission not in ("anyone", "operator")


class Resource:
    """The endpoints of one path, as an ASGI application. Every error of theirs becomes a problem document."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self.endpoints = endpoints
        self.path = next(iter(endpoints.values())).path
        self.allowed = tuple(sorted({*endpoints, *({"HEAD"} if "GET" in endpoints else ())}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request[State] = Request(scope, receive, send)
        scope["template"] = self.path
        try:
            answer = await self._answer(request)
        except Exception as error:
            if not isinstance(error, ServiceError) or error.code == "internal":
                log.exception("failed")
            problem = answers.problem(error, scope["request_id"])
            scope["code"] = problem.code
            answer = problem
        await answer(scope, receive, send)

    async def _answer(self, request: Request[State]) -> Response:
        endpoint = self.endpoints.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            raise MethodNotAllowed(self.allowed)
        call = Call(request, endpoint.permission, may_repeat=endpoint.is_idempotent)
        answer: Response
        try:
            answer = await endpoint.handler(call, **await _inputs(call, endpoint.contract))
        except Replayed as replayed:
            answer, call.tenant, call.number = replayed.answer, call.caller.tenant, replayed.number
        if (token_of_commit := await call.consistency()) is not None:
            answer.headers["Consistency"] = token_of_commit
        if not call.writes and answers.unmodified(answer, call.if_none_match):
            return answers.not_modified(answer.headers["etag"])
        return answer


async def _inputs(call: Call, contract: Contract) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    if contract.body is not None:
        inputs["body"] = await call.body(contract.body)
    if contract.query is not None:
        inputs["query"] = call.query(contract.query)
    if contract.has_precondition:
        inputs["precondition"] = call.precondition
    return inputs
