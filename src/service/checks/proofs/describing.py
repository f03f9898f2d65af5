"""Prepares statements on the server without executing them, and reads the query tree that the server's rewriter made."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from service.checks.proofs import tree
from service.checks.proofs.catalog import Catalog
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import UnknownNode

_SHOWN = "rewritten"
"""The server's message with a rewritten tree begins so. That tree includes the queries of views and the policies of tables."""
_ON = "SET client_min_messages = log; SET debug_pretty_print = off; SET debug_print_rewritten = on"
_OFF = "RESET debug_print_rewritten; RESET client_min_messages"


@dataclass(frozen=True)
class Described:
    """What was found by preparing one text: its query tree, and its result columns and parameters with the oids of their types.

    `added` are the queries that rules of tables (CREATE RULE) run in addition to the query of the text.
    """

    scope: QueryScope
    columns: tuple[tuple[str, int], ...]
    parameters: tuple[int, ...]
    added: tuple[QueryScope, ...] = ()


@contextlib.asynccontextmanager
async def describing(connection: Any, catalog: Catalog) -> AsyncIterator[Describer]:
    """Let an asyncpg connection receive the query trees of what it prepares, as log messages of the server.

    The connection must not go through a connection pooler, because a pooler does not forward these messages.
    """
    messages: list[str] = []

    def listen(_: Any, message: Any) -> None:
        if message.message.startswith(_SHOWN):
            messages.append(message.detail)

    connection.add_log_listener(listen)
    await connection.execute(_ON)
    try:
        yield Describer(connection, catalog, messages)
    finally:
        connection.remove_log_listener(listen)
        await connection.execute(_OFF)


class Describer:
    """Prepares SQL texts on one connection, with the role that the connection has at that time."""

    def __init__(self, connection: Any, catalog: Catalog, messages: list[str]) -> None:
        self._connection, self._catalog, self._messages = connection, catalog, messages

    async def describe(self, text: str) -> Described:
        """Prepare a text. Raises asyncpg's PostgresError if the server refuses it, UnknownNode for an unknown kind of node."""
        self._messages.clear()
        prepared = await self._connection.prepare(text)
        # The first message is about the statement. Later ones may be about the driver's own queries for types.
        queries = tree.parse(self._messages[0])
        main = next((each for each in queries if each["canSetTag"]), None)
        if main is None:
            raise UnknownNode("QUERY that a rule has put nothing in the place of")
        return Described(
            QueryScope(main, self._catalog),
            tuple((each.name, each.type.oid) for each in prepared.get_attributes() or ()),
            tuple(each.oid for each in prepared.get_parameters()),
            tuple(QueryScope(each, self._catalog) for each in queries if each is not main),
        )
