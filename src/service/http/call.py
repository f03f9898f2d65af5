"""Call: one request, with its token, its input and the transaction that it runs in."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import structlog
from pydantic import BaseModel
from starlette.requests import Request

from service import positions
from service.accounts import tokens
from service.accounts.caller import Caller, admit, is_authentic
from service.accounts.permissions import Permission
from service.accounts.tokens import Token
from service.cache.cache import Reading
from service.engine import EngineWork
from service.errors import Behind, DatabaseError, Malformed, NotFound, SessionExpired, Unauthorized
from service.http import answers
from service.http.answers import Answer, Entity
from service.http.idempotency import IdempotentRequest, read_key
from service.http.inputs import Parsed, parse_body, parse_query, read_bytes
from service.http.limits import household
from service.http.preconditions import Precondition
from service.http.single import SingleRead
from service.http.state import State
from service.positions import Position
from service.repos.api_keys import KeyBearer
from service.repos.sessions import Bearer
from service.statements.reads import ReadCall
from service.tenancy.direct import NotDirect
from service.tenancy.identity import Actor, Origin, TenantId

A = TypeVar("A", bound=Answer)
W = TypeVar("W", bound=EngineWork)
B = TypeVar("B", bound=BaseModel)
R = TypeVar("R")

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)


class Call(Generic[W]):
    """One request: reads its input, authenticates its caller and runs a handler's operation in a transaction."""

    def __init__(self, request: Request[State], permission: Permission, *, may_repeat: bool = True) -> None:
        self.request = request
        self.permission = permission
        self.state: State = request.state
        self.writes = request.method not in ("GET", "HEAD")
        self._caller: Caller | None = None
        self.tenant: TenantId | None = None
        """The caller's tenant; None until a transaction of this call has succeeded."""
        self.reading: Reading | None = None
        """The access to the cache of the only transaction of a read; None if there was none, or there were several."""
        self.number: int | None = None
        """The number of this call's commit in the tenant's log; None if the call has not committed yet, or changed nothing."""
        self._key = read_key(request.headers.getlist("idempotency-key")) if self.writes and may_repeat else None
        self._raw = b""
        self._has_run = False

    @property
    def caller(self) -> Caller:
        """The caller. Raises RuntimeError before the caller has been admitted, as it is when `run` awaits its operation."""
        if self._caller is None:
            raise RuntimeError(
                "the caller is not known yet: ask for it in an `async def` that is given to `run` or `write`"
            )
        return self._caller

    @property
    def origin(self) -> Origin:
        """The client's IP address (None if it is not known), and the id of the request."""
        client = self.request.client
        try:
            ip = ip_address(client.host) if client else None
        except ValueError:
            ip = None
        return Origin(ip, self.request.scope["request_id"])

    def id(self, name: str = "id") -> UUID:
        """The id of a row, from a path parameter. Raises NotFound if it is not a UUID."""
        text = self.request.path_params[name]
        # UUID() also accepts other spellings, such as one with braces. Here, only the usual one with hyphens is accepted.
        if not _ID.match(text):
            raise NotFound
        return UUID(text)

    async def body(self, model: type[B], most: int) -> Parsed[B]:
        """Read the JSON body; it is parsed as `model` when its value is needed. More than `most` bytes are an error.

        If the endpoint requires a token, and it is missing or malformed, raises Unauthorized before the body is read.
        """
        if self.permission != "anyone":
            self.token()
        raw = await read_bytes(self.request, min(most, self.state["settings"].max_body_bytes))
        self._raw = raw if isinstance(raw, bytes) else b""
        content_type = self.request.headers.get("content-type", "")
        return Parsed(lambda: parse_body(content_type, raw, model))

    def query(self, model: type[B]) -> Parsed[B]:
        """The query string, which is parsed as `model` when its value is needed."""
        return Parsed(lambda: parse_query(self.request.query_params.multi_items(), model))

    @property
    def precondition(self) -> Precondition:
        """The condition of the header If-Match on the row whose `id` is in the path, or on the tenant if the path has no `id`."""
        token, id = tokens.read(self.bearer()), self.request.path_params.get("id", "")
        row = UUID(id) if _ID.match(id) else token and token.tenant
        mark = answers.mark(token.tenant, row) if token and row else None
        return Precondition(self.request.headers.getlist("if-match"), mark)

    @property
    def if_none_match(self) -> Sequence[str]:
        """The values of all If-None-Match headers."""
        return self.request.headers.getlist("if-none-match")

    @property
    def at_least(self) -> int:
        """The number of the commit that a read must include. It is taken from the request's header Consistency.

        The result is 0 (no requirement) for a write, if the header is missing, or if it names an epoch other than the present
        one. Raises Malformed if the header is not a position (`<epoch>-<number>`).
        """
        given = self.request.headers.get("consistency")
        if given is None or self.writes:
            return 0
        position = positions.read(given)
        if position is None:
            raise Malformed("Consistency is what an answer to a write said: <epoch>-<number>.")
        return position.number if position.epoch == self.state["watermarks"].epoch else 0

    def note_commit(self, tenant: TenantId, number: int | None) -> None:
        """Note tenant and number of the call's commit, for the header Consistency. Needed if a handler commits without `run`."""
        self.tenant, self.number = tenant, number

    async def run(
        self,
        operation: Callable[[W], Awaitable[R]],
        *,
        token: Token | None = None,
        at_least: int = 0,
        may_lag: bool = True,
        single: SingleRead[W, R] | None = None,
    ) -> R:
        """Run `operation` after the caller has been authenticated by `token` or the request's token.

        A write runs in one transaction. The statements of a read are sent as single messages where that is possible, each with a
        snapshot of its own. If `operation` returns the call of one method that only reads, without awaiting it, it and the
        authentication are one message; then `operation` is called before the caller is known. `single` is such a read with more
        to be said of it.

        A read includes the tenant's commits up to number `at_least`, and goes to a replica, if there is one, unless `may_lag`
        is false. Every request is authenticated, so the suspension of a tenant, or the end of a user, session or key, takes
        effect within a second. Raises Unauthorized, SessionExpired, TenantSuspended, Forbidden, RateLimited (too many requests
        wait), and any error of `operation`.
        """
        shown = token or self.token()
        settings = self.state["settings"]
        at_least = max(at_least, self.at_least)
        if single is None and not self.writes:
            single = SingleRead(operation, lambda together: cast("R", together.rows))

        async def as_caller(work: W) -> tuple[R, W]:
            lookup = self._look_up(work, shown)
            if single is not None:
                with contextlib.suppress(NotDirect):
                    if (together := await single.together(work, lookup)) is not None:
                        self._admit(work, shown, together.bearer)
                        return single.result(together), work
            self._admit(work, shown, await lookup)
            return await operation(work), work

        client = self.request.client
        async with self.state["shares"].hold(shown.tenant, shown.hash, household(client.host if client else "")):
            result, work = await cast("type[W]", self.state["kind"]).run(
                self.state["database"], as_caller, shown.tenant,
                origin=self.origin if self.writes else None, read_only=not self.writes, deadline=settings.request_timeout,
                at_least=at_least, may_lag=may_lag, is_direct=not self.writes,
            )  # fmt: skip
        self.reading = None if self._has_run else work.reading
        self._has_run = True
        self.note_commit(shown.tenant, work.number)
        return result

    async def prepare(self, operation: Callable[[W], Awaitable[R]]) -> R:
        """Like `run`, for a handler that needs another transaction before that of `write`.

        If the request's Idempotency-Key has been used before, `operation` is not called: raises Replayed, KeyReused or
        InProgress, as `write` does.
        """

        async def unless_answered(work: W) -> R:
            if (request := self._idempotent()) is not None:
                await request.replay(work)
            return await operation(work)

        return await self.run(unless_answered)

    async def write(self, operation: Callable[[W], Awaitable[A]]) -> A:
        """Like `run`, for an operation that changes something and returns the answer to the request.

        A request with an Idempotency-Key takes effect only once: if it is repeated, raises Replayed with the stored answer. Also
        raises KeyReused if the key belongs to a different request, and InProgress if the first request has not ended.
        """

        async def once(work: W) -> A:
            request = self._idempotent()
            if request is None:
                return await operation(work)
            claim = await request.claim(work)
            # The quota (the most keys that a tenant may store) is checked after the claim. A repeated request has already
            # ended in `claim` with its stored answer, so a full quota does not refuse it.
            await self.state["quota"].check(work, self.caller.tenant)
            answer = await operation(work)
            if isinstance(answer, Entity):
                # The ETag is set before the answer is stored, so that a repeated request gets the same ETag.
                answer.tag(self.caller.tenant)
            await request.settle(work, claim, answer)
            return answer

        return await self.run(once)

    async def consistency(self) -> str | None:
        """The value for the answer's header Consistency: the position of this call's commit or, if nothing was changed, of the
        tenant's last commit.

        None (no header) for a read, and for a call without a tenant. Also None if the number of the last commit can't be read:
        this is not an error, because the request itself has succeeded.
        """
        if not self.writes or self.tenant is None:
            return None
        number = self.number
        if number is None:
            try:
                number = await EngineWork.run(
                    self.state["database"], lambda work: work.log.head(), self.tenant, read_only=True
                )
            except DatabaseError:
                return None
        return str(Position(self.state["watermarks"].epoch, number))

    def token(self) -> Token:
        """The bearer token of the request, parsed. Raises Unauthorized if it is missing or malformed."""
        token = tokens.read(self.bearer())
        if token is None:
            raise Unauthorized
        return token

    def bearer(self) -> str:
        """The bearer token of the request as text, empty if the request has no bearer token."""
        scheme, _, text = self.request.headers.get("authorization", "").partition(" ")
        return text.strip() if scheme.lower() == "bearer" else ""

    def _look_up(self, work: EngineWork, token: Token) -> ReadCall:
        """The call of the statement that looks up the session or API key of the token."""
        seen_every = self.state["upkeep"].seen_every
        if token.kind == "session":
            idle = timedelta(seconds=self.state["settings"].session_idle_timeout)
            asked: Any = work.sessions.authenticate(token.hash, idle=idle, seen_every=seen_every)
        else:
            asked = work.api_keys.authenticate(token.hash, seen_every=seen_every)
        return cast("ReadCall", asked)

    def _admit(self, work: EngineWork, token: Token, bearer: Bearer | KeyBearer | None) -> None:
        """Set the caller, from the row of the token's session or API key. Raises Unauthorized and so on, as `run` does."""
        if bearer is not None and not is_authentic(work.binding, token, bearer):
            bearer = None
        if (bearer is None or bearer.is_expired) and work.may_be_behind:
            # A replica may lack a new session or key, or its last use, without which it seems expired. `Behind` causes the
            # transaction to be repeated on the primary.
            raise Behind
        try:
            self._caller = caller = admit(token, bearer, self.permission)
            self.state["shares"].prove(token.hash)
            structlog.contextvars.bind_contextvars(tenant=str(token.tenant))
        except SessionExpired:
            self.state["upkeep"].expired(token.tenant)
            raise
        if bearer is not None and bearer.is_unseen:
            self.state["upkeep"].seen(token.tenant, token.kind, caller.session_id or caller.id)
        if self.writes:
            work.actor = Actor(caller.id, caller.session_id)

    def _idempotent(self) -> IdempotentRequest | None:
        if self._key is None:
            return None
        return IdempotentRequest.of(
            self.request, self._raw, key=self._key, caller_id=self.caller.id,
            lifetime=self.state["settings"].idempotency_lifetime,
        )  # fmt: skip
