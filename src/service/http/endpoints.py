"""Declares routes (Endpoint), and answers the requests that match a route (Resource)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.accounts.permissions import Permission
from service.errors import MethodNotAllowed, ServiceError
from service.http import answers, contract, ready
from service.http.answers import Answer, Entity
from service.http.call import Call
from service.http.contract import Contract
from service.http.idempotency import Replayed
from service.http.ready import ReadyAnswers
from service.http.state import State
from service.http.streaming import EventStream

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.requests")


SMALL, LARGE = 16 * 1024, 1024 * 1024
"""Limits on the size of a request body, in bytes: SMALL is the default of endpoints, LARGE is for bodies with long texts. The
setting MAX_BODY_BYTES is a limit for all endpoints, so it can be the lower one."""


@dataclass(frozen=True)
class Endpoint:
    """One HTTP method of one path: the permission that a caller needs, and the handler that serves the requests.

    `contract` (the types of the handler's inputs and answer) is read from the handler's signature and docstring. Raises
    ContractError if they do not describe a contract.
    """

    method: str
    path: str
    permission: Permission
    handler: Callable[..., Awaitable[Answer]]
    may_repeat: bool = True
    """False if the endpoint ignores the header Idempotency-Key: then a repeated request is carried out again."""
    refuses: tuple[str, ...] = ()
    """Error codes that the endpoint can answer with, besides those that problems.py derives from its other fields."""
    is_secret: bool = False
    """True if neither clients nor caches may store the answers, because these contain a credential or are for operators only."""
    is_shared: bool = False
    """True if the endpoint writes shared data, which belongs to no tenant. Its answers then have no Consistency header."""
    has_own_failure: bool = False
    """True if the handler itself can answer with status 503 and a JSON body that is not a problem document, as /readyz does."""
    most: int = SMALL
    """The largest request body that is accepted, in bytes."""
    heading: str = ""
    """The section of the documentation that lists the endpoint.

    By default it is the last part of the path after `/v1` that is not a parameter: `campaigns` for `/v1/campaigns/{id}`. For a
    path without such a part, such as `/docs`, it is `service`.
    """
    contract: Contract = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "contract", contract.read(self.handler))
        nouns = [part for part in self.path.split("/")[2:] if not part.startswith("{")]
        object.__setattr__(self, "heading", self.heading or (nouns[-1] if nouns else "service"))

    @property
    def is_for_callers(self) -> bool:
        """Whether the endpoint's answers are for the caller only, so that shared caches must not store them."""
        return self.permission != "anyone" or self.is_secret

    @property
    def is_streamed(self) -> bool:
        """Whether the endpoint's answer is an event stream, which stays open until the client or the server ends it."""
        return self.contract.answer is EventStream

    @property
    def is_idempotent(self) -> bool:
        """Whether the endpoint respects the header Idempotency-Key, so that a repeated request is not carried out twice."""
        return self.method != "GET" and self.may_repeat and self.permission not in ("anyone", "operator")


class Resource:
    """An ASGI application that serves the `endpoints` of one path, by method. Every exception becomes a problem document."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self.endpoints = endpoints
        self.path = next(iter(endpoints.values())).path
        self.is_streamed = any(each.is_streamed for each in endpoints.values())
        self._without_state = ReadyAnswers(None, 0, 0)
        self.allowed = tuple(sorted({*endpoints, *({"HEAD"} if "GET" in endpoints else ())}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["template"], scope["is_streamed"] = self.path, self.is_streamed
        # An application without a lifespan, as in a test of the middleware, has no state.
        ready_answers: ReadyAnswers = scope.get("state", {}).get("ready", self._without_state)
        key = ready.key_of(scope)
        if key is not None and (found := ready_answers.find(key)) is not None:
            structlog.contextvars.bind_contextvars(tenant=str(found.tenant))
            await ready.send(found, send)
            return
        request: Request[State] = Request(scope, receive, send)
        endpoint, call = self.endpoint(request.method), None
        try:
            if endpoint is None:
                raise MethodNotAllowed(self.allowed)
            call = Call[Any](request, endpoint.permission, may_repeat=endpoint.is_idempotent)
            answer = await self._answer(call, endpoint)
        except Exception as error:
            if not isinstance(error, ServiceError) or error.code == "internal":
                log.exception("failed")
            problem = answers.problem(error, scope["request_id"])
            scope["code"] = problem.code
            answer = problem
        if endpoint is not None and endpoint.is_for_callers:
            answers.keep(answer, is_secret=endpoint.is_secret)
            if key is not None and call is not None and not endpoint.is_secret and not endpoint.is_streamed:
                ready_answers.keep(key, call.reading, answer)
        await answer(scope, receive, send)

    def endpoint(self, method: str) -> Endpoint | None:
        """The endpoint that serves a method; None if the method is not allowed. The endpoint of GET also serves HEAD."""
        return self.endpoints.get("GET" if method == "HEAD" else method)

    async def _answer(self, call: Call[Any], endpoint: Endpoint) -> Response:
        answer: Response
        try:
            answer = await endpoint.handler(call, **await _inputs(call, endpoint))
        except Replayed as replayed:
            answer = replayed.answer
            call.note_commit(call.caller.tenant, replayed.number)
        if isinstance(answer, Entity) and call.tenant is not None:
            answer.tag(call.tenant)
        if (token_of_commit := await call.consistency()) is not None:
            answer.headers["Consistency"] = token_of_commit
        if not call.writes and answers.unmodified(answer, call.if_none_match):
            return answers.not_modified(answer.headers["etag"])
        return answer


async def _inputs(call: Call[Any], endpoint: Endpoint) -> dict[str, Any]:
    contract, inputs = endpoint.contract, dict[str, Any]()
    if contract.body is not None:
        inputs["body"] = await call.body(contract.body, endpoint.most)
    if contract.query is not None:
        inputs["query"] = call.query(contract.query)
    if contract.has_precondition:
        inputs["precondition"] = call.precondition
    return inputs
