"""Tickets: each can be used once, within a minute, to open a change stream."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from service.statements.repository import Repository, query
from service.statements.rows import Row


class TicketHolder(Row):
    """The session or API key that a ticket was issued for (kind and hash of its token), and the MAC of the ticket."""

    token_mac: bytes | None
    bearer_kind: Literal["session", "key"]
    bearer_hash: bytes


class ChangeTickets(Repository, aggregate="change_tickets", noun="ticket"):
    """The tenant's tickets that have not been used."""

    @query
    async def create(
        self, *, token_hash: bytes, token_mac: bytes, bearer_kind: str, bearer_hash: bytes, lifetime: timedelta
    ) -> int: ...

    @query
    async def redeem(self, token_hash: bytes) -> TicketHolder | None: ...

    @query
    async def purge(self, limit: int) -> int: ...
