"""The joins of a query."""

from __future__ import annotations

from dataclasses import dataclass

from service.checks.proofs.tree import Join, Node

NO_ENTRY = -1
"""The entry number of the implicit join of a MERGE, which has no range table entry."""


@dataclass(frozen=True)
class Joined:
    """A join. `entry` is the number of the range table entry for the join itself.

    `left` and `right` have the numbers of the entries on its two sides. `on` is the join's condition, split at AND.
    """

    entry: int
    kind: Join
    left: frozenset[int]
    right: frozenset[int]
    on: tuple[Node, ...]

    @property
    def nullable(self) -> frozenset[int]:
        """The entries whose columns the join fills with nulls where no row matches: of a left join, those on its right side."""
        return {
            Join.LEFT: self.right,
            Join.RIGHT: self.left,
            Join.FULL: self.left | self.right,
        }.get(self.kind, frozenset())
