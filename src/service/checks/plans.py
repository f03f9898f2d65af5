"""Generic plans of statements, made as the role that runs them. They do not depend on parameter values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from service.checks.proving import Proved, Subject

Plan = Mapping[str, Any]
"""A node of `EXPLAIN (FORMAT JSON)`."""


async def generic(connection: Any, subject: Subject, proved: Proved, *, without_scans: bool = False) -> Plan:
    """The generic plan of a variant; with `without_scans` it has a sequential scan only where no index can be used.

    The statement is planned and not executed. The connection belongs to a superuser and is bound to a tenant; it takes the
    role of the statement until this returns.
    """
    text = subject.entry.statement.variants[proved.key].text
    types = ", ".join(subject.catalog.types[oid] for oid in proved.described.parameters)
    nulls = ", ".join("NULL" for _ in proved.described.parameters)
    async with connection.transaction():
        await connection.execute(
            f"SET LOCAL ROLE {subject.entry.role}; SET LOCAL plan_cache_mode = force_generic_plan;"
            f"SET LOCAL enable_seqscan = {'off' if without_scans else 'on'};"
            f"PREPARE examined{f' ({types})' if types else ''} AS {text}"
        )
        try:
            # In a savepoint: DEALLOCATE would fail in a transaction that an error has aborted.
            async with connection.transaction():
                explained = await connection.fetchval(
                    f"EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE examined{f' ({nulls})' if nulls else ''}"
                )
        finally:
            await connection.execute("DEALLOCATE examined")
    plan: Plan = json.loads(explained)[0]["Plan"]
    return plan


def nodes(plan: Plan) -> Iterator[Plan]:
    """A plan's nodes, from the top down."""
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)
