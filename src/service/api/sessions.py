"""Handlers of /v1/sessions: signing in and out, and the list of sessions."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter

from service.accounts.permissions import is_admin, roles_up_to
from service.accounts.sign_in import SignInAttempt, is_known_place, sign_in
from service.accounts.users import check_grant
from service.api.call import Call
from service.api.fields import Email, HostName
from service.errors import Forbidden, NotFound, RateLimited
from service.http import answers
from service.http.answers import Created, Entity, Nothing, Page
from service.http.inputs import Body, Parsed, example
from service.http.limits import household
from service.http.pages import PageQuery
from service.repos.sessions import Session
from service.repos.users import Role, User
from service.work import Work

_USER_AGENT_LENGTH = 500


class SessionQuery(PageQuery):
    """The query parameters of the list of sessions. Without `user_id`, the caller's own are listed; an admin can name a user."""

    user_id: UUID | None = None


class SignInBody(Body):
    """The credentials to sign in with. `tenant` is the tenant's domain; if it is left out, the request's host name is used."""

    model_config = example(tenant="acme.example", email="owner@acme.example", password="quarry-demo")  # noqa: S106  an example

    tenant: HostName | None = None
    email: Email
    password: str = Field(min_length=1, max_length=1_000)


class SignedIn(BaseModel):
    """The answer to a sign-in; only this answer shows the token."""

    token: str
    expires_at: datetime
    user: User


class SessionView(Session):
    """A session. `is_current` is true for the session that the request was sent with."""

    is_current: bool


_SESSIONS = TypeAdapter(list[SessionView])


async def create(call: Call, body: Parsed[SignInBody]) -> Created[SignedIn]:
    """Sign in: create a session with email address and password."""
    limits = call.state["limits"]
    await limits.hit("sign_in_address", str(call.origin.ip))
    credentials = body.get()
    # A host name may end with a dot, which marks it in DNS as fully qualified; domains are stored without this dot.
    domain = (credentials.tenant or call.request.url.hostname or "").removesuffix(".")
    place = household(str(call.origin.ip))
    # Attempts are counted separately for each network. So somebody on a different network who tries wrong passwords can't keep
    # the person who owns the account from signing in.
    await limits.hit("sign_in_account", domain, credentials.email, place)
    try:
        await limits.hit("sign_in_strangers", domain, credentials.email)
    except RateLimited:
        if not await is_known_place(call.state["database"], domain, credentials.email, call.origin):
            raise
    attempt = SignInAttempt(
        domain=domain,
        email=credentials.email,
        password=credentials.password,
        origin=call.origin,
        place=place,
        user_agent=_user_agent(call.request.headers.get("user-agent", "")),
        lifetime=call.state["settings"].session_lifetime,
        may_note=lambda tenant: limits.admits("failures_tenant", str(tenant)),
    )
    signed_in = await sign_in(call.state["database"], call.state["passwords"], attempt)
    await limits.forgive("sign_in_account", domain, credentials.email, place)
    call.note_commit(signed_in.tenant, signed_in.work.number)
    answer = SignedIn(token=signed_in.token, expires_at=signed_in.session.expires_at, user=signed_in.user)
    return answers.created(SignedIn, answer)


async def page(call: Call, query: Parsed[SessionQuery]) -> Page[SessionView]:
    """List the caller's own sessions, newest first. An admin can list those of a user whose role is not higher."""

    async def operation(work: Work) -> list[Session]:
        arguments = query.get().arguments()
        user_id = arguments.pop("user_id", None) or call.caller.user_id
        if user_id != call.caller.user_id:
            await _check_reach(work, call.caller.role, user_id)
        return await work.sessions.page(user_id, idle=_idle(call), **arguments)

    rows = await call.run(operation)
    return answers.page(_SESSIONS, [_view(row, call) for row in rows], query.get().limit)


async def current(call: Call) -> Entity[SessionView]:
    """Get the session that this request was sent with."""
    session = await call.run(lambda work: work.sessions.find(_own(call), idle=_idle(call)))
    return answers.entity(SessionView, _view(session, call))


async def sign_out(call: Call) -> Nothing:
    """Sign out: end the session that this request was sent with."""

    async def operation(work: Work) -> Nothing:
        await work.sessions.revoke(_own(call))
        return answers.nothing()

    return await call.write(operation)


async def end_others(call: Call) -> Nothing:
    """End all other sessions of the caller."""

    async def operation(work: Work) -> Nothing:
        await work.sessions.revoke_of_user(call.caller.user_id, keep=_own(call))
        return answers.nothing()

    return await call.write(operation)


async def end(call: Call) -> Nothing:
    """End a session: the caller's own or, as an admin, that of a user whose role is not higher."""

    async def operation(work: Work) -> Nothing:
        if is_admin(call.caller.role):
            ended = await work.sessions.revoke(call.id(), roles=roles_up_to(call.caller.role))
        else:
            ended = await work.sessions.revoke(call.id(), user_id=call.caller.user_id)
        if not ended:
            raise NotFound("There is no such session.")
        return answers.nothing()

    return await call.write(operation)


async def _check_reach(work: Work, role: Role, user_id: UUID) -> None:
    """Raise Forbidden if the caller may not see this user's sessions: only an admin may, if the user's role is not higher.

    For a user who does not exist, no error is raised; the list of sessions is then empty.
    """
    if not is_admin(role):
        raise Forbidden
    with contextlib.suppress(NotFound):
        check_grant(role, (await work.users.find(user_id)).role)


def _own(call: Call) -> UUID:
    """The id of the session that this request was sent with. Raises Forbidden for an API key, which has no session."""
    if call.caller.session_id is None:
        raise Forbidden
    return call.caller.session_id


def _idle(call: Call) -> timedelta:
    return timedelta(seconds=call.state["settings"].session_idle_timeout)


def _user_agent(header: str) -> str | None:
    """The User-Agent header as it is stored: without unprintable characters, and cut at _USER_AGENT_LENGTH."""
    return "".join(char for char in header if char.isprintable())[:_USER_AGENT_LENGTH] or None


def _view(session: Session, call: Call) -> SessionView:
    return SessionView(**dict(session), is_current=session.id == call.caller.session_id)
