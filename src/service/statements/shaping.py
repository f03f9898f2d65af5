"""Turns the records of a result into what a repository's method returns: a row model, a list of them, or a single value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from service.errors import NotFound
from service.statements.reading import reader
from service.statements.statement import ResultKind
from service.tenancy.binding import Binding

Shape = Callable[[Sequence[Any], Binding], Any]
"""Turns the records of a result, or dictionaries, into what the method returns. Raises NotFound for a `:one` without a row."""


def missing(noun: str) -> str:
    """The message of the error NotFound; `noun` is the word for a row."""
    return f"There is no such {noun}."


def shape(kind: ResultKind, model: Any, noun: str, aggregate: str) -> Shape:
    """The shape of a result of this kind. Personal data of `model` is sealed for the table `aggregate`."""
    if kind == "value":
        return lambda records, _: next(iter(records[0].values())) if records else None
    read = reader(model, aggregate)
    if kind == "many":
        return read
    if kind == "maybe":
        return lambda records, binding: read(records, binding)[0] if records else None

    def one(records: Sequence[Any], binding: Binding) -> Any:
        if not records:
            raise NotFound(missing(noun))
        return read(records, binding)[0]

    return one
