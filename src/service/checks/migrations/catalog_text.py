"""The catalog as lines of text, and the differences between two catalogs. The server makes the text; pg_dump is not needed."""

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
"""The order in which differences are reported. A difference of a later kind often follows from one of an earlier kind."""


@dataclass(frozen=True)
class Line:
    """One object of the catalog and its definition; `parent` is the table that it belongs to."""

    kind: str
    name: str
    parent: str | None
    definition: str


Catalog = Mapping[tuple[str, str], Line]


@dataclass(frozen=True)
class Difference:
    """An object that only one of two catalogs has, or that they define differently.

    `how` is "left" if only the later catalog has it, "lost" if only the earlier one has it.
    """

    how: Literal["left", "lost", "changed"]
    line: Line
    """The object in the earlier catalog, or in the later one if `how` is "left"."""
    now: str = ""

    @property
    def names(self) -> tuple[str | None, ...]:
        """The names by which a migration's file may mention the object, the most specific first."""
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
    """An excerpt of each definition, around the first character that differs."""
    pairs = enumerate(zip(before, after, strict=False))
    start = max(0, next((at for at, (was, now) in pairs if was != now), min(len(before), len(after))) - 20)
    was, now = (" ".join(text[start : start + 60].split()) for text in (before, after))
    return f"was '{was}', now '{now}'"
