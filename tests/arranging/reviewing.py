"""The report on a database of its own, as `quarry sql report` makes it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection
from typing import Any

from service.addresses import Address
from service.api.routes import by_handler
from service.checks import entries as catalogue
from service.checks import proving, scratch
from service.checks.proofs import catalog
from service.checks.proving import Subject
from service.checks.review.report import Report, gather
from service.embedded.server import Server
from service.work import Work


@contextlib.asynccontextmanager
async def proved(server: Server, aggregates: Collection[str] = ()) -> AsyncIterator[tuple[Any, list[Subject]]]:
    """A superuser's connection to a migrated database, and what is proved of these repositories' statements, or of all."""
    async with (
        scratch.database(Address(server.url()), "quarry") as made,
        scratch.connected(made, "quarry") as connection,
    ):
        entries = [
            each for each in catalogue.entries(Work) if not aggregates or each.repository.aggregate in aggregates
        ]
        yield connection, await proving.prove(connection, await catalog.load(connection), entries)


async def reported(server: Server, aggregates: Collection[str] = ()) -> Report:
    """The report on these repositories, or on all."""
    async with proved(server, aggregates) as (connection, subjects):
        return await gather(connection, subjects, routes=by_handler())
