"""Reads a database's catalog as text, one definition for each object, and compares two catalogs. pg_dump is not needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from service import files

_KINDS = (
    *("schema", "table", "view", "materialized view", "foreign table", "type", "sequence", "function", "column"),
    *("constraint", "index", "policy", "trigger", "rule", "grant", "comment"),
)
"""The kinds of objects, in the order in which differences are reported. A difference in a later kind is often caused by one in
an earlier kind."""


@dataclass(frozen=True)
class Line:
    """One object of the catalog and its definition; `parent` is the table that the object belongs to, or None."""

    kind: str
    name: str
    parent: str | None
    definition: str


Catalog = Mapping[tuple[str, str], Line]


@dataclass(frozen=True)
class Difference:
    """An object that exists in only one of two catalogs, or that has different definitions in them.

    `how` is "left" if it exists only in the later catalog, "lost" if only in the earlier one, "changed" if in both. Then `now`
    is the definition in the later catalog.
    """

    how: Literal["left", "lost", "changed"]
    line: Line
    """The object in the earlier catalog, or in the later one if `how` is "left"."""
    now: str = ""

    @property
    def names(self) -> tuple[str | None, ...]:
        """Names that may occur in the statement of a migration that changes the object, the most specific name first."""
        return (*reversed(re.findall(r"\w+", self.line.name.partition("(")[0])), self.line.parent)

    def __str__(self) -> str:
        told = f"{self.line.kind} {self.line.name} is {self.how}"
        return told if self.how != "changed" else f"{told}: {_apart(self.line.definition, self.now)}"


async def read(connection: Any) -> Catalog:
    """The catalog's objects by kind and name. The result does not depend on the role that reads it."""
    text = files.sql("checks", "catalog_text.sql").read_text(encoding="utf-8")
    return {(row["kind"], row["name"]): Line(*row) for row in await connection.fetch(text)}


def differences(before: Catalog, after: Catalog) -> list[Difference]:
    """The differences from `before` to `after`, in the order of `_KINDS`."""
    found = [
        *(Difference("left", after[key]) for key in after.keys() - before.keys()),
        *(Difference("lost", before[key]) for key in before.keys() - after.keys()),
        *(
            Difference("changed", before[key], after[key].definition)
            for key in before.keys() & after.keys()
            if before[key].definition != after[key].definition
        ),
    ]
    return sorted(found, key=lambda each: (_rank(each.line.kind), each.line.name))


def _rank(kind: str) -> int:
    return _KINDS.index(kind) if kind in _KINDS else len(_KINDS)


def _apart(before: str, after: str) -> str:
    """An excerpt of both definitions, around the first character in which they differ."""
    pairs = enumerate(zip(before, after, strict=False))
    start = max(0, next((at for at, (was, now) in pairs if was != now), min(len(before), len(after))) - 20)
    was, now = (" ".join(text[start : start + 60].split()) for text in (before, after))
    return f"was '{was}', now '{now}'"
