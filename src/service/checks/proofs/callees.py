"""The functions that a tree runs, by whichever road: calls, operators, aggregates, windows, sorting, casts to domains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.checks.proofs.catalog import Catalog, Function
from service.checks.proofs.tree import Node, walk

_FUNCTIONS = ("funcid", "opfuncid", "aggfnoid", "winfnoid", "startInRangeFunc", "endInRangeFunc")
_OPERATORS = ("opno", "eqop", "sortop")


@dataclass(frozen=True)
class Callee:
    """A function that runs: where the text says so (-1 if it does not), and how."""

    function: Function
    location: int
    how: str


def callees(value: Any, catalog: Catalog) -> Iterator[Callee]:
    """The functions that a tree, or a part of one, runs; a function may come several times."""
    for node in walk(value):
        location = node["location"] if isinstance(node["location"], int) else -1
        for oid, how in _named(node, catalog):
            function = catalog.functions.get(oid)
            if function is not None:
                yield Callee(function, location, how)


def _named(node: Node, catalog: Catalog) -> Iterator[tuple[int, str]]:
    for field in _FUNCTIONS:
        if node[field]:
            operator = catalog.operators.get(node["opno"], "") if field == "opfuncid" else ""
            yield node[field], f"by the operator {operator}" if operator else ""
    operators = [node[field] for field in _OPERATORS if node[field]]
    for each in (*operators, *(node["opnos"] or ())):
        if each in catalog.operator_functions:
            yield catalog.operator_functions[each], f"by the operator {catalog.operators[each]}"
    if node.kind == "COERCETODOMAIN":
        name = catalog.types[node["resulttype"]]
        for implied in catalog.implied:
            if implied.what.endswith(f"of the domain {name}"):
                for each in callees(implied.expression, catalog):
                    yield each.function.oid, f"by {implied.what}"
