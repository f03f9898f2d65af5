"""What a statement of a migration does to the rows of tables that existed before it: it looks at all, changes or deletes some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Effects:
    """Each item is a table's name, or a table's and a constraint's or column's."""

    checked: tuple[tuple[str, str], ...] = ()
    """CHECKs that were added and looked at all rows at once."""
    kept: tuple[tuple[str, str], ...] = ()
    """Constraints that were validated in the transaction that added them."""
    required: tuple[tuple[str, str], ...] = ()
    """Columns that became NOT NULL, without a CHECK that had already said so."""
    updated: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


def between(
    before: Mapping[str, Any], after: Mapping[str, Any], first: Mapping[str, Any], names: Mapping[int, str]
) -> Effects:
    """The effects of what happened between two states, as `sql/checks/migration_state.sql` returns them.

    `first` is the state before the migration, `names` are the names of the tables by their OIDs.
    """
    known = {(name, oid) for name, oid, _ in before["checks"]} | {tuple(each) for each in before["promised"]}
    promised, at_first = {tuple(each) for each in before["promised"]}, {tuple(each) for each in first["promised"]}
    still = {tuple(each) for each in after["promised"]}
    validated = {each for each in promised - at_first - still if any(each == (n, o) for n, o, _ in after["checks"])}
    return Effects(
        tuple(_named(((name, oid) for name, oid, _ in after["checks"] if (name, oid) not in known), names)),
        tuple(_named(sorted(validated), names)),
        tuple(_named(_required(before, after), names)),
        tuple(_more(before, after, 1, names)),
        tuple(_more(before, after, 2, names)),
    )


def _named(found: Any, names: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    return ((names[oid], name) for name, oid in found if oid in names)


def _required(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    was = {(name, oid): required for name, oid, required in before["columns"]}
    for name, oid, required in after["columns"]:
        says = any(other == oid and f"{name} IS NOT NULL" in text for _, other, text in before["checks"])
        if required and was.get((name, oid)) is False and not says:
            yield name, oid


def _more(before: Mapping[str, Any], after: Mapping[str, Any], which: int, names: Mapping[int, str]) -> Iterator[str]:
    was = {each[0]: each[which] for each in before["changed"]}
    return (names[each[0]] for each in after["changed"] if each[0] in names and each[which] > was.get(each[0], 0))
