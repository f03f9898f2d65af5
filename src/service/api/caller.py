"""Who asks, for which tenant: a Call is one request on its way from token to transaction."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from service import tokens
from service.api.inputs import Parsed, read_body, read_query
from service.api.preconditions import Precondition
from service.api.state import State
from service.errors import DatabaseError, Forbidden, NotFound, SessionExpired, TenantSuspended, Unauthorized
from service.permissions import Permission, allows
from service.repos.sessions import Bearer
from service.repos.users import Role
from service.tenancy.identity import Actor, Origin, TenantId
from service.tokens import Token
from service.work import Work, run

B = TypeVar("B", bound=BaseModel)
R = TypeVar("R")

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Caller:
    """A signed-in user."""

    tenant: TenantId
    user_id: UUID
    session_id: UUID
    role: Role


class Call:
    """One request: read its input, run one piece of work as its caller, answer."""

    def __init__(self, request: Request[State], permission: Permission) -> None:
        self.request = request
        self.permission = permission
        self.state: State = request.state
        self.writes = request.method not in ("GET", "HEAD")
        self.caller: Caller
        self.tenant: TenantId | None = None
        """Known once the token has been admitted."""
        self.number: int | None = None
        """What this call's commit got, None when it changed nothing."""

    @property
    def origin(self) -> Origin:
        """The client's address and the request's id."""
        client = self.request.client
        try:
            ip = ip_address(client.host) if client else None
        except ValueError:
            ip = None
        return Origin(ip, self.request.scope["request_id"])

    def id(self, name: str = "id") -> UUID:
        """A path parameter that names a row; anything but a UUID is a row that does not exist."""
        text = self.request.path_params[name]
        # UUID() reads braces, underscores and more; a row has one address.
        if not _ID.match(text):
            raise NotFound
        return UUID(text)

    async def body(self, model: type[B]) -> Parsed[B]:
        """The JSON body."""
        return await read_body(self.request, model, self.state["settings"].max_body_bytes)

    def query(self, model: type[B]) -> Parsed[B]:
        """The query string."""
        return read_query(self.request, model)

    @property
    def precondition(self) -> Precondition:
        """If-Match."""
        return Precondition(self.request.headers.getlist("if-match"))

    async def run(self, operation: Callable[[Work], Awaitable[R]]) -> R:
        """Run `operation` as the caller, in one transaction whose first statement finds out who that is.

        A suspended tenant, an inactive user and a revoked session are refused at once. Raises Unauthorized,
        SessionExpired, TenantSuspended, Forbidden, and what the operation raises.
        """
        token = self._token()

        async def as_caller(work: Work) -> tuple[R, Work]:
            self.caller = caller = admit(token, await work.sessions.authenticate(token.hash), self.permission)
            if self.writes:
                work.actor = Actor(caller.user_id, caller.session_id)
            return await operation(work), work

        result, work = await run(
            self.state["database"], as_caller, token.tenant, origin=self.origin if self.writes else None,
            read_only=not self.writes, deadline=self.state["settings"].request_timeout,
        )  # fmt: skip
        self.tenant, self.number = token.tenant, work.number
        return result

    async def consistency(self) -> str | None:
        """`<epoch>-<number>` of this call's commit, or of the tenant's head when it changed nothing.

        None for a read, and when the head can't be asked for: the write is committed all the same.
        """
        if not self.writes or self.tenant is None:
            return None
        number = self.number
        if number is None:
            try:
                number = await run(self.state["database"], lambda work: work.log.head(), self.tenant, read_only=True)
            except DatabaseError:
                return None
        return f"{self.state['epoch']}-{number}"

    def _token(self) -> Token:
        scheme, _, text = self.request.headers.get("authorization", "").partition(" ")
        token = tokens.read(text.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            raise Unauthorized
        return token


def admit(token: Token, bearer: Bearer | None, permission: Permission) -> Caller:
    """The caller, if nothing speaks against serving them."""
    if bearer is None or not bearer.is_active:
        raise Unauthorized
    if bearer.is_expired:
        raise SessionExpired
    if bearer.tenant_status != "active":
        raise TenantSuspended
    if not allows(bearer.role, permission):
        raise Forbidden
    return Caller(token.tenant, bearer.user_id, bearer.session_id, bearer.role)


Handler = Callable[[Call], Awaitable[Response]]
