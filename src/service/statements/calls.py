"""Bound: a method of a repository that runs a statement. A call puts the values in order, sends the text of one variant, and
turns the result into rows, a value or a count. reads.py has the methods that only read.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import itemgetter
from time import perf_counter
from types import MethodType
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from service.database.connection import row_count
from service.errors import ServiceError, TenantUnbound
from service.metrics import STATEMENT_ERRORS
from service.statements.cached import Cached
from service.statements.rows import Row
from service.statements.shaping import Shape, shape
from service.statements.statement import TENANT_PARAMETER, Statement, Variant
from service.tenancy.binding import Binding

R = TypeVar("R")

INDEX_SUFFIX = "_index"
"""The ending of parameters that are blind indexes: `:email_index` is the blind index of the method's parameter `email`."""
ROW_PARAMETER = "id"
"""The parameter with the row's id. Personal data is sealed for one row, and can be opened only with the id of this row."""

Prepared = tuple[Variant, Callable[[Sequence[object]], Sequence[object]]]


def _count_rows(result: object) -> int:
    return len(result) if isinstance(result, list) else int(result is not None)


class Arguments:
    """The parameters of a method, in the order of its signature. `arrange` puts the values of a call into this order."""

    def __init__(self, where: str, parameters: Sequence[inspect.Parameter]) -> None:
        self.where = where
        self.names = tuple(parameter.name for parameter in parameters)
        self.positional = sum(parameter.kind is not inspect.Parameter.KEYWORD_ONLY for parameter in parameters)
        self.defaults = {
            parameter.name: parameter.default
            for parameter in parameters
            if parameter.default is not inspect.Parameter.empty
        }

    def arrange(self, args: tuple[object, ...], named: dict[str, object]) -> list[object]:
        """The values of a call as one list, in the signature's order and with defaults for omitted ones. Raises TypeError as a
        plain Python call would.
        """
        values = list(args)
        if len(values) > self.positional:
            raise TypeError(f"{self.where} takes {self.positional} positional values, {len(values)} were given")
        used = 0
        for name in self.names[len(values) :]:
            if name in named:
                values.append(named[name])
                used += 1
            elif name in self.defaults:
                values.append(self.defaults[name])
            else:
                raise TypeError(f"{self.where} misses the value '{name}'")
        if used != len(named):
            unknown = sorted(set(named) - set(self.names[len(args) :]))
            raise TypeError(f"{self.where} does not take {', '.join(unknown)}")
        return values


class Bound:
    """A method of a repository, made from a statement and the signature that declares the method. A call runs the statement.

    The values of a call become one list: the arguments in the signature's order, then the tenant's id, then the values made from
    personal data (sealed values and blind indexes). The position of each value in the list is computed once, in __init__.
    """

    def __init__(
        self,
        statement: Statement,
        arguments: Arguments,
        model: type[Row] | None,
        *,
        noun: str,
        aggregate: str = "",
        hints: Mapping[str, Any] | None = None,
        personal: Sequence[str] = (),
        cached: Cached | None = None,
    ) -> None:
        """`noun` is the word for a row in error messages. Personal data is sealed for the table `aggregate`; `personal` are the
        parameters that hold it. `hints` are the method's annotations.

        """
        self.statement, self.model, self.cached = statement, model, cached
        self.hints: Mapping[str, Any] = hints or {}
        self.personal = tuple(personal)
        self.__name__, self.__qualname__, self.__doc__ = statement.name, arguments.where, statement.doc
        self._label = statement.label
        self._needs_tenant = TENANT_PARAMETER in statement.parameters
        self._arrange = arguments.arrange
        self._sealings = _sealings(statement, arguments, aggregate, personal)
        self._row_at = arguments.names.index(ROW_PARAMETER) if ROW_PARAMETER in arguments.names else None
        self._choose = _chooser(statement, arguments, [each.name for each in self._sealings])
        self.noun = noun
        self.shape = shape("value" if statement.kind == "count" else statement.kind, model, noun, aggregate)
        self._ask = _ASKS[statement.kind](self.shape)

    def __get__(self, repository: Any, owner: type[Any] | None = None) -> Any:
        return self if repository is None else MethodType(self, repository)

    def __call__(self, repository: Any, *args: object, **named: object) -> Awaitable[Any]:
        """Run the statement in the repository's transaction. Raises TypeError as a plain Python call would, and TenantUnbound if
        the statement needs a tenant and the transaction has none. Errors of the statement are raised when the result is awaited.
        """
        binding: Binding = repository._binding  # noqa: SLF001  it is the repository's own method
        variant, values = self.prepared(binding, args, named)
        return self._run(binding, variant, values)

    async def _run(self, binding: Binding, variant: Variant, values: Sequence[object]) -> Any:
        return await self.observed(binding, self._ask(binding, variant.text, values))

    def prepared(
        self, binding: Binding, args: tuple[object, ...], named: dict[str, object]
    ) -> tuple[Variant, Sequence[object]]:
        """The variant for the values of a call, and its values in the order of `$1`, `$2` …; personal data is sealed.

        Raises TypeError as a plain Python call would, TenantUnbound if the statement needs a tenant and there is none.
        """
        if self._needs_tenant and binding.tenant is None:
            raise TenantUnbound(f"{self._label} needs a tenant, and this work has none.")
        values = self._arrange(args, named)
        values.append(binding.tenant)
        if self._sealings:
            self._seal(values, binding)
        variant, pick = self._choose(values)
        return variant, pick(values)

    async def observed(self, binding: Binding, asking: Awaitable[R], count: Callable[[R], int] = _count_rows) -> R:
        """Await `asking`, which runs the statement, and note how long it took, its `count` of rows, or that it failed.

        The transaction's access to the cache is told that the database has been read.
        """
        if binding.reading is not None:
            binding.reading.note_database_read()
        observe = binding.connection.observe
        if observe is None:
            return await asking
        started = perf_counter()
        try:
            result = await asking
        except ServiceError as error:
            STATEMENT_ERRORS.labels(statement=self._label, code=error.code).inc()
            raise
        observe(self._label, perf_counter() - started, count(result))
        return result

    def _seal(self, values: list[object], binding: Binding) -> None:
        row: Any = None if self._row_at is None else values[self._row_at]
        for each in self._sealings:
            plain: Any = values[each.position]
            values.append(None if plain is None else each.make(binding, plain, each.column, row))


class Sealing(NamedTuple):
    """A parameter of a statement whose value is made from personal data: a sealed value or a blind index.

    `make` computes the value from the plain text, which is at `position` in the list of a call's values (see Bound).
    """

    name: str
    position: int
    make: Callable[[Binding, str, str, UUID], bytes]
    column: str
    """The column of the personal data, as `<table>.<column>`. A sealed value can't be opened for another column."""


def _sealings(
    statement: Statement, arguments: Arguments, aggregate: str, personal: Sequence[str]
) -> tuple[Sealing, ...]:
    used = {*statement.parameters, *statement.conditions}
    found: list[Sealing] = []
    for name in personal:
        position, column = arguments.names.index(name), f"{aggregate}.{name}"
        if name in used:
            found.append(Sealing(name, position, Binding.seal, column))
        if f"{name}{INDEX_SUFFIX}" in used:
            found.append(Sealing(f"{name}{INDEX_SUFFIX}", position, _index, column))
    return tuple(found)


def _index(binding: Binding, plain: str, column: str, _: UUID) -> bytes:
    return binding.index(plain, column)


def _chooser(statement: Statement, arguments: Arguments, made: Sequence[str]) -> Callable[[Sequence[object]], Prepared]:
    """Return a function that chooses the variant for the list of a call's values (see Bound).

    The function returns the variant's text, and a second function that takes the list and returns the values for this variant,
    in the order of `$1`, `$2` …. `made` are the names of the values made from personal data.
    """
    positions = {name: position for position, name in enumerate((*arguments.names, TENANT_PARAMETER, *made))}
    labels = (*arguments.names, TENANT_PARAMETER, *made)
    prepared = {
        key: (variant, _picker([positions[name] for name in variant.parameters]))
        for key, variant in statement.variants.items()
    }
    if not statement.conditions:
        only = prepared[0]
        return lambda _: only
    bits = [
        (1 << bit, positions[condition], tuple(positions[name] for name in statement.groups[condition]))
        for bit, condition in enumerate(statement.conditions)
    ]

    def choose(values: Sequence[object]) -> Prepared:
        key = 0
        for bit, position, group in bits:
            given = values[position] is not None
            if given:
                key |= bit
            for member in group:
                if (values[member] is not None) != given:
                    names = ", ".join(labels[each] for each in group)
                    raise TypeError(f"{arguments.where}: {names} are given together or not at all")
        return prepared[key]

    return choose


def _picker(positions: list[int]) -> Callable[[Sequence[object]], Sequence[object]]:
    if not positions:
        return lambda _: ()
    if len(positions) == 1:
        only = positions[0]
        return lambda values: (values[only],)
    return itemgetter(*positions)


Ask = Callable[[Binding, str, Sequence[object]], Awaitable[Any]]
"""Sends the text of a statement with its values to the database, and returns what the method returns."""


def _row(shape: Shape) -> Ask:
    async def row(binding: Binding, text: str, values: Sequence[object]) -> Any:
        record = await binding.connection.fetchrow(text, values)
        return shape(() if record is None else (record,), binding)

    return row


def _many(shape: Shape) -> Ask:
    async def many(binding: Binding, text: str, values: Sequence[object]) -> Any:
        return shape(await binding.connection.fetch(text, values), binding)

    return many


async def _value(binding: Binding, text: str, values: Sequence[object]) -> Any:
    return await binding.connection.fetchval(text, values)


async def _count(binding: Binding, text: str, values: Sequence[object]) -> int:
    tag = await binding.connection.execute(text, values)
    return row_count(tag)


_ASKS: dict[str, Callable[[Shape], Ask]] = {
    "one": _row,
    "maybe": _row,
    "many": _many,
    "value": lambda _: _value,
    "count": lambda _: _count,
}
