"""/v1/sessions"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field, TypeAdapter
from starlette.responses import Response

from service.api import answers
from service.api.caller import Call
from service.api.inputs import Body, Email, HostName
from service.api.pages import PageQuery
from service.errors import NotFound
from service.permissions import is_admin
from service.repos.sessions import Session
from service.repos.users import User
from service.work import Work
from service.workflows import sign_in

_USER_AGENT_LENGTH = 500


class SignInBody(Body):
    """What a person signs in with; without `tenant` (its domain) the host name decides."""

    tenant: HostName | None = None
    email: Email
    password: str = Field(min_length=1, max_length=1_000)


class SignedIn(BaseModel):
    """The answer to a sign-in: the token is shown this once."""

    token: str
    expires_at: datetime
    user: User


class SessionView(Session):
    """A session as its user sees it."""

    is_current: bool


_SESSIONS = TypeAdapter(list[SessionView])


async def create(call: Call) -> Response:
    """Sign in."""
    credentials = (await call.body(SignInBody)).get()
    signed_in = await sign_in(
        call.state["database"],
        call.state["passwords"],
        domain=credentials.tenant or call.request.url.hostname or "",
        email=credentials.email,
        password=credentials.password,
        origin=call.origin,
        user_agent=_user_agent(call.request.headers.get("user-agent", "")),
        lifetime=call.state["settings"].session_lifetime,
    )
    call.tenant, call.number = signed_in.tenant, signed_in.number
    answer = SignedIn(token=signed_in.token, expires_at=signed_in.session.expires_at, user=signed_in.user)
    return answers.entity(SignedIn, answer, 201)


async def page(call: Call) -> Response:
    """List the caller's own sessions, newest first."""
    query = call.query(PageQuery)
    rows = await call.run(lambda work: work.sessions.page(call.caller.user_id, **query.get().arguments()))
    return answers.page(_SESSIONS, [_view(row, call) for row in rows], query.get().limit)


async def current(call: Call) -> Response:
    """The session of this very request."""
    session = await call.run(lambda work: work.sessions.find(call.caller.session_id))
    return answers.entity(SessionView, _view(session, call))


async def sign_out(call: Call) -> Response:
    """End the session of this very request."""
    await call.run(lambda work: work.sessions.revoke(call.caller.session_id))
    return answers.nothing()


async def end_others(call: Call) -> Response:
    """End all other sessions of the caller."""
    await call.run(lambda work: work.sessions.revoke_of_user(call.caller.user_id, keep=call.caller.session_id))
    return answers.nothing()


async def end(call: Call) -> Response:
    """End one session: one's own, or any of the tenant as an admin."""

    async def operation(work: Work) -> None:
        only = None if is_admin(call.caller.role) else call.caller.user_id
        if not await work.sessions.revoke(call.id(), user_id=only):
            raise NotFound

    await call.run(operation)
    return answers.nothing()


def _user_agent(header: str) -> str | None:
    """What is kept of a header that anybody may fill with anything."""
    return "".join(char for char in header if char.isprintable())[:_USER_AGENT_LENGTH] or None


def _view(session: Session, call: Call) -> SessionView:
    return SessionView(**dict(session), is_current=session.id == call.caller.session_id)
