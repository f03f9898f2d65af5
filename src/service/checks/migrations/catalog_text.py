"""The catalog as lines of text, and what differs between two of them. Made by the server alone, without pg_dump."""

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
"""What is told first: the rest often follows from it."""


@dataclass(frozen=True)
class Line:
    """What the catalog says of one object; `parent` is the table that it belongs to."""

    kind: str
    name: str
    parent: str | None
    definition: str


Catalog = Mapping[tuple[str, str], Line]


@dataclass(frozen=True)
class Difference:
    """An object that one of two catalogs has alone, or that they define otherwise."""

    how: Literal["left", "lost", "changed"]
    line: Line
    """As it was; of what is left, as it is."""
    now: str = ""

    @property
    def names(self) -> tuple[str | None, ...]:
        """What a file that is about it may call it, the best first."""
        return (*reversed(re.findall(r"\w+", self.line.name.partition("(")[0])), self.line.parent)

    def __str__(self) -> str:
        told = f"{self.line.kind} {self.line.name} is {self.how}"
        return told if self.how != "changed" else f"{told}: {_apart(self.line.definition, self.now)}"


async def read(connection: Any) -> Catalog:
    """The catalog by kind and name, as any role sees it."""
    text = files.sql("checks", "catalog_text.sql").read_text(encoding="utf-8")
    return {(row["kind"], row["name"]): Line(*row) for row in await connection.fetch(text)}


def differences(before: Catalog, after: Catalog) -> list[Difference]:
    """What became of `before`, whole objects first."""
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
    """Both around the first character that differs."""
    pairs = enumerate(zip(before, after, strict=False))
    start = max(0, next((at for at, (was, now) in pairs if was != now), min(len(before), len(after))) - 20)
    was, now = (" ".join(text[start : start + 60].split()) for text in (before, after))
    return f"was '{was}', now '{now}'"
