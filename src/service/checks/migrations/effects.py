"""What a statement of a migration does to the rows of tables that existed before it: it looks at all, changes or deletes some."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg


@dataclass(frozen=True)
class Effects:
    """Each item is a table's name, or a table's and a constraint's or column's."""

    checked: tuple[tuple[str, str], ...] = ()
    """CHECKs that were added and looked at all rows at once."""
    kept: tuple[tuple[str, str], ...] = ()
    """Constraints that were validated in the transaction that added them."""
    required: tuple[tuple[str, str], ...] = ()
    """Columns that became NOT NULL, without a CHECK that had already said so."""
    narrowed: tuple[tuple[str, str], ...] = ()
    """CHECKs that refuse rows that were allowed before, as far as is known, and columns that became NOT NULL."""
    updated: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


def between(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    first: Mapping[str, Any],
    names: Mapping[int, str],
    refused: Sequence[tuple[str, int]] = (),
) -> Effects:
    """The effects of what happened between two states, as `sql/checks/migration_state.sql` returns them.

    `first` is the state before the migration, `names` are the names of the tables by their OIDs, and `refused` the CHECKs
    that rows do not pass.
    """
    known = {(name, oid) for name, oid, _ in before["checks"]} | {tuple(each) for each in before["promised"]}
    promised, at_first = {tuple(each) for each in before["promised"]}, {tuple(each) for each in first["promised"]}
    still = {tuple(each) for each in after["promised"]}
    validated = {each for each in promised - at_first - still if any(each == (n, o) for n, o, _ in after["checks"])}
    required = tuple(_required(before, after))
    return Effects(
        tuple(_named(((name, oid) for name, oid, _ in after["checks"] if (name, oid) not in known), names)),
        tuple(_named(sorted(validated), names)),
        tuple(_named(required, names)),
        tuple(_named(dict.fromkeys((*_narrowed(before, after, first), *refused, *required)), names)),
        tuple(_more(before, after, 1, names)),
        tuple(_more(before, after, 2, names)),
    )


def _named(found: Any, names: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    return ((names[oid], name) for name, oid in found if oid in names)


def _required(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    was = {(name, oid): required for name, oid, required, _ in before["columns"]}
    for name, oid, required, _ in after["columns"]:
        # A CHECK that says so already has looked at the rows.
        if required and was.get((name, oid)) is False and not _is_promised(name, oid, before["checks"]):
            yield name, oid


def _is_promised(column: str, table: int, checks: Sequence[Any]) -> bool:
    """Whether a CHECK says that a column is NOT NULL, and nothing else."""
    form = re.compile(rf'CHECK \(\("?{re.escape(column)}"? IS NOT NULL\)\)')
    return any(oid == table and form.match(text) for _, oid, text, *_ in checks)


def _narrowed(
    before: Mapping[str, Any], after: Mapping[str, Any], first: Mapping[str, Any]
) -> Iterator[tuple[str, int]]:
    """The CHECKs and columns because of which rows may be refused that were accepted before.

    These are CHECKs that were added on columns that existed before the migration, unless they only add values to a list; and
    columns that lost their default and are NOT NULL, or have a CHECK.
    """
    existed = {(oid, name) for name, oid, *_ in first["columns"]}
    earlier = [(oid, *listed) for _, oid, text, _ in first["refusing"] if (listed := _listed(text))]
    for name, oid, text, columns in _added(before, after):
        listed = _listed(text)
        is_wider = listed and any((oid, listed[0]) == each[:2] and listed[1] >= each[2] for each in earlier)
        if not is_wider and any((oid, each) in existed for each in columns):
            yield name, oid
    had = {(name, oid): default for name, oid, _, default in before["columns"]}
    for name, oid, required, default in after["columns"]:
        if not had.get((name, oid), False) or default:
            continue
        is_checked = any(oid == each[1] and name in each[3] for each in after["refusing"])
        if (required or is_checked) and not _is_promised(name, oid, first["refusing"]):
            yield name, oid


async def violated_checks(
    connection: Any, before: Mapping[str, Any], after: Mapping[str, Any], names: Mapping[int, str]
) -> list[Any]:
    """The added CHECKs, still NOT VALID, that existing rows violate, as pairs of name and table OID.

    Rows that `fill` inserted stand for those that the running release writes.
    """
    promised, found = {tuple(each) for each in after["promised"]}, []
    for name, oid, _, _ in _added(before, after):
        if (name, oid) in promised and oid in names:
            await connection.execute("SAVEPOINT validation")
            try:
                await connection.execute(f'ALTER TABLE {names[oid]} VALIDATE CONSTRAINT "{name}"')
            except asyncpg.CheckViolationError:
                found.append((name, oid))
            await connection.execute("ROLLBACK TO validation; RELEASE validation")
    return found


def _added(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Any]:
    known = {(name, oid, text.removesuffix(" NOT VALID")) for name, oid, text, _ in before["refusing"]}
    return (each for each in after["refusing"] if (each[0], each[1], each[2].removesuffix(" NOT VALID")) not in known)


def _listed(text: str) -> tuple[str, frozenset[str]] | None:
    """The column and the values of a CHECK that says nothing else than that a column has one of them; else None."""
    match = re.fullmatch(r"CHECK \(\((.*?) = ANY \(\(?ARRAY\[(.*)\]\)?(?:::[\w ]+\[\]\))?\)\)(?: NOT VALID)?", text)
    if match is None or "ARRAY[" in match[2] or not re.fullmatch(r"[\w\"():]+", match[1]):
        return None
    return match[1], frozenset(re.findall(r"'(?:[^']|'')*'|-?[\d.]+", match[2]))


def _more(before: Mapping[str, Any], after: Mapping[str, Any], which: int, names: Mapping[int, str]) -> Iterator[str]:
    was = {each[0]: each[which] for each in before["changed"]}
    return (names[each[0]] for each in after["changed"] if each[0] in names and each[which] > was.get(each[0], 0))
