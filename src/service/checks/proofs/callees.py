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
                if (routine := catalog.routines.get(oid)) is not None and routine.defaults is not None:
                    for each in callees(routine.defaults, catalog):
                        yield Callee(each.function, location, f"by the default of an argument of {function.name}()")


def _named(node: Node, catalog: Catalog) -> Iterator[tuple[int, str]]:
    for field in _FUNCTIONS:
        if node[field]:
            operator = catalog.operators.get(node["opno"], "") if field == "opfuncid" else ""
            yield node[field], f"by the operator {operator}" if operator else ""
    operators = [node[field] for field in _OPERATORS if node[field]] + list(node["opnos"] or ())
    for each in operators:
        for operator in (each, *catalog.twins.get(each, ())):
            if operator in catalog.operator_functions:
                yield catalog.operator_functions[operator], f"by the operator {catalog.operators[operator]}"
    if node.kind == "COERCETODOMAIN":
        yield from _checks(catalog.types[node["resulttype"]], catalog)


def _checks(name: str, catalog: Catalog) -> Iterator[tuple[int, str]]:
    """The functions that the CHECKs of a domain call, and those of the domains that it is based on."""
    for implied in catalog.implied:
        if implied.what.endswith(f"of the domain {name}"):
            for each in callees(implied.expression, catalog):
                yield each.function.oid, f"by {implied.what}"
    if name in catalog.kinds:
        yield from _checks(catalog.kinds[name], catalog)
