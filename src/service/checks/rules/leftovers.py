"""What should not be in a migrated database, whichever statements there are: rules, disabled triggers, surplus rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from service import files
from service.checks.findings import Finding, Span
from service.checks.proofs.bodies import bodies_of, lies
from service.checks.proofs.catalog import Catalog
from service.checks.rules.functions import creation, is_declared
from service.checks.rules.privileges import ROLES


async def check(connection: Any, catalog: Catalog) -> list[Finding]:
    """The findings of sql/checks/leftovers.sql, and a finding for each function whose label is not true."""
    text = files.sql("checks", "leftovers.sql").read_text(encoding="utf-8")
    place = Span(files.sql("migrations"), 1)
    found = [
        Finding(row["code"], row["object"] or "PUBLIC", place, row["message"], "", row["remedy"])
        for row in await connection.fetch(text, list(ROLES))
    ]
    return found + list(_false_labels(catalog))


def _false_labels(catalog: Catalog) -> Iterator[Finding]:
    bodies = bodies_of(catalog)
    for oid in catalog.routines:
        function = catalog.functions[oid]
        for why in lies(function, bodies.of(function)):
            if not is_declared(function, "function-volatility"):
                yield Finding(
                    "function-volatility", function.qualified, creation(function.name),
                    f"{function.qualified}() is not what it says: {why}", "", "label it STABLE or VOLATILE, as it is",
                )  # fmt: skip
