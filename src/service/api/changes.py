"""Handlers of /v1/changes: the commits of a tenant as a list and as a stream, and tickets to open a stream."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, Field, PlainValidator, WithJsonSchema

from service import positions
from service.accounts import tokens
from service.accounts.tokens import Token
from service.api.call import Call
from service.changes.events import MOST_CHANGES, CutEvent, Event, event
from service.changes.subscription import Admission
from service.errors import Gone, NotFound, Unauthorized
from service.http import answers
from service.http.answers import Created, Entity
from service.http.inputs import Body, Parsed
from service.http.streaming import EventStream
from service.positions import Position
from service.repos.log import StreamPlace
from service.work import Work

_TICKET_LIFETIME = timedelta(seconds=60)


def _position(text: object) -> Position:
    position = positions.read(str(text))
    if position is None:
        raise ValueError("this is not a position: <epoch>-<number>")
    return position


Since = Annotated[Position, PlainValidator(_position), WithJsonSchema({"type": "string", "pattern": positions.PATTERN})]


class ChangesQuery(Body):
    """The query parameters of the list of commits. It begins after the position `since`, by default with the oldest commit that
    is still stored.
    """

    since: Since | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class StreamQuery(Body):
    """The query parameters of the stream. It begins after the position `since`, by default after the last commit.

    The header Last-Event-ID overrides `since`. `ticket` is sent instead of a bearer token.
    """

    since: Since | None = None
    ticket: str | None = None


class ChangePage(BaseModel):
    """Commits, in commit order. `next` has to be sent as `since` to get the next page. `head` is the position of the tenant's
    last commit.
    """

    items: list[Event | CutEvent]
    next: str
    head: str


class Ticket(BaseModel):
    """A ticket, which opens one stream if it is sent as `?ticket=` within a minute."""

    ticket: str


async def page(call: Call, query: Parsed[ChangesQuery]) -> Entity[ChangePage]:
    """List the commits and their changes, in commit order."""

    async def operation(work: Work) -> Entity[ChangePage]:
        wanted = query.get()
        place = await work.log.place()
        since = wanted.since or Position(place.epoch, place.floor)
        if place.loss_after(since) is not None:
            raise Gone
        commits = (await work.log.read_on(since.number, most=MOST_CHANGES, limit=wanted.limit)).commits
        if commits and commits[0].number != since.number + 1:
            raise Gone
        last = commits[-1].number if commits else since.number
        shown = ChangePage(
            items=[event(place.epoch, commit) for commit in commits],
            next=str(Position(place.epoch, last)),
            # The page may include commits that were made after `place.head` was read, so the last one may be newer than that.
            head=str(Position(place.epoch, max(place.head, last))),
        )
        return answers.entity(ChangePage, shown)

    # The primary is asked. A replica that lags may not have the commit of `since` yet, and would take `since` for a position of a
    # different epoch.
    return await call.run(operation, may_lag=False)


async def create_ticket(call: Call) -> Created[Ticket]:
    """Create a ticket for a browser's EventSource, which can't send a token. Within a minute, the ticket opens one stream."""
    bearer = call.token()
    text, ticket = tokens.issue(bearer.tenant, "ticket")

    async def operation(work: Work) -> Created[Ticket]:
        await work.change_tickets.create(
            token_hash=ticket.hash,
            token_mac=work.binding.mac(tokens.ticket_fields(ticket.hash, bearer.kind, bearer.hash)),
            bearer_kind=bearer.kind,
            bearer_hash=bearer.hash,
            lifetime=_TICKET_LIFETIME,
        )
        return answers.created(Ticket, Ticket(ticket=text))

    return await call.write(operation)


async def stream(call: Call, query: Parsed[StreamQuery]) -> EventStream:
    """Stream the committed changes as server-sent events."""
    token = await _bearer(call)
    # The stream begins at `place`, which is read before the caller is admitted. So a commit after the admission that ends the
    # caller's right to read is in the stream, which then ends.
    place = await _place(call, token)

    async def prove(at_least: int = 0) -> Admission:
        now = await call.run(lambda work: work.server.now(), token=token, at_least=at_least, may_lag=False)
        caller = call.caller
        rows = {caller.tenant, caller.id, caller.user_id, *([caller.session_id] if caller.session_id else ())}
        return Admission(frozenset(rows), None if caller.expires_at is None else caller.expires_at - now)

    admission = await prove(place.head)
    wanted = query.get().since
    since = _resumed(call) or wanted
    async with contextlib.AsyncExitStack() as stack:
        subscription = await stack.enter_async_context(
            call.state["feed"].subscription(token.tenant, place=place, admission=admission, prove=prove)
        )
        return EventStream(subscription, since, stack.pop_all())


async def _bearer(call: Call) -> Token:
    """The bearer token; with a ticket in the query string, the token with which the ticket was requested. Raises Unauthorized."""
    given = call.request.query_params.get("ticket")
    if given is None:
        return call.token()
    ticket = tokens.read(given, "ticket")
    if ticket is None:
        raise Unauthorized

    async def redeem(work: Work) -> Token | None:
        holder = await work.change_tickets.redeem(ticket.hash)
        if holder is None:
            return None
        fields = tokens.ticket_fields(ticket.hash, holder.bearer_kind, holder.bearer_hash)
        if not work.binding.authenticates(holder.token_mac, fields, None):
            raise Unauthorized
        return Token(holder.bearer_kind, ticket.tenant, holder.bearer_hash)

    token = await Work.run(call.state["database"], redeem, ticket.tenant, attempts=1)
    if token is None:
        raise Unauthorized("The ticket has been used, or its minute is over.")
    return token


async def _place(call: Call, token: Token) -> StreamPlace:
    try:
        return await Work.run(call.state["database"], lambda work: work.log.place(), token.tenant, read_only=True)
    except NotFound:
        raise Unauthorized from None


def _resumed(call: Call) -> Position | None:
    """The position in the header Last-Event-ID, which a browser sends when it reconnects. None without this header.

    A malformed value is replaced by a position of another epoch, so that the stream begins with the event `reset`.
    """
    given = call.request.headers.get("last-event-id", "")
    if not given:
        return None
    return positions.read(given) or Position(0, 0)
