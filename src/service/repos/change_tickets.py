"""Tickets for change streams. A ticket opens one stream, once, within a minute after it was issued."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from service.statements.repository import Repository, query
from service.statements.rows import Row


class TicketHolder(Row):
    """The result of using a ticket. `bearer_kind` and `bearer_hash` identify the session or API key that it was issued for.

    `token_mac` is the MAC of the ticket.
    """

    token_mac: bytes | None
    bearer_kind: Literal["session", "key"]
    bearer_hash: bytes


class ChangeTickets(Repository, aggregate="change_tickets", noun="ticket"):
    """The tenant's tickets. A ticket's row is deleted when the ticket is used."""

    @query
    async def create(
        self, *, token_hash: bytes, token_mac: bytes, bearer_kind: str, bearer_hash: bytes, lifetime: timedelta
    ) -> int: ...

    @query
    async def redeem(self, token_hash: bytes) -> TicketHolder | None: ...

    @query
    async def purge(self, limit: int) -> int: ...
