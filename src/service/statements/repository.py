"""Repositories, and `@query`, which declares a method that runs the statement of the same name.

The body of the method is just `...`. Its parameters are those of the statement, and its return annotation says the result
kind and the row model. When the class of the repository is defined, the signatures are compared with the statements; nothing is
left to check in a call.
"""

from __future__ import annotations

import inspect
import itertools
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar, overload

from pydantic import BaseModel

from service.personal.marking import is_personal
from service.statements import frames, query_files
from service.statements.cached import Cached
from service.statements.calls import INDEX_SUFFIX, ROW_PARAMETER, Arguments, Bound
from service.statements.reads import Read
from service.statements.rows import Row
from service.statements.statement import TENANT_PARAMETER, ResultKind, Statement, suggest
from service.tenancy.binding import Binding
from service.tenancy.transaction import Transaction

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Repository")
A = TypeVar("A", bound="Repository")

_MARK = "_declared"


Method = Callable[Concatenate[S, P], Coroutine[Any, Any, R]]


@overload
def query(method: Method[S, P, R], /) -> Method[S, P, R]: ...
@overload
def query(*, cached: Cached) -> Callable[[Method[S, P, R]], Method[S, P, R]]: ...
def query(method: Any = None, /, *, cached: Cached | None = None) -> Any:
    """Declare that a method of a repository runs the statement of the same name. With `cached`, the results are cached."""

    def declare(method: Any) -> Any:
        setattr(method, _MARK, _Declared(cached))
        return method

    return declare if method is None else declare(method)


@dataclass(frozen=True)
class _Declared:
    cached: Cached | None


class Repository:
    """The base of repositories. `class Campaigns(Repository, aggregate="campaigns")` runs the statements of campaigns.sql.

    A repository holds only its binding (the transaction and its tenant). It never opens a transaction and uses no other
    repository. `noun` is the word for a row in error messages, by default the aggregate's name without its final s.
    """

    __slots__ = ("_binding",)

    aggregate: ClassVar[str]
    noun: ClassVar[str]

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    def __init_subclass__(
        cls, *, aggregate: str, noun: str | None = None, file: query_files.QueryFile | None = None
    ) -> None:
        """Replace each method declared with @query by a Bound. The statements are in the aggregate's file, or in `file` if given.

        Raises StatementError if a method has no statement, a statement has no method, or a signature does not match its
        statement.
        """
        cls.aggregate = aggregate
        cls.noun = noun or aggregate.removesuffix("s")
        file = file or query_files.of_aggregate(aggregate)
        declared = {name: value for name, value in vars(cls).items() if hasattr(value, _MARK)}
        for name, statement in file.statements.items():
            if name not in declared:
                raise statement.error(
                    f"no method of {cls.__name__} binds the statement '{name}'", suggest(name, list(declared))
                )
        first = next(iter(file.statements.values()))
        if file.repository != cls.__name__:
            raise first.error(f"the file belongs to '{file.repository}', not to {cls.__name__}")
        for name, method in declared.items():
            if name not in file.statements:
                raise first.error(
                    f"{cls.__name__}.{name} has no statement in {file.path.name}",
                    suggest(name, list(file.statements)),
                )
            setattr(cls, name, _bind(cls, method, file.statements[name]))


class Attached(Generic[A]):
    """A class attribute of a Transaction class that gives each transaction a repository bound to this transaction. The
    repository is created when the attribute is first used.
    """

    def __init__(self, repository: type[A]) -> None:
        self.repository = repository

    def __set_name__(self, owner: type[Transaction], name: str) -> None:
        self._name = name

    def __get__(self, transaction: Transaction, owner: type[Transaction]) -> A:
        repository = transaction.__dict__[self._name] = self.repository(transaction.binding)
        return repository


def attached(kind: type[Transaction]) -> dict[str, type[Repository]]:
    """Maps the names of a Transaction class's attributes that are Attached to the classes of their repositories."""
    return {
        name: each.repository
        for owner in reversed(kind.__mro__)
        for name, each in vars(owner).items()
        if isinstance(each, Attached)
    }


def _bind(cls: type[Repository], method: Callable[..., Awaitable[Any]], statement: Statement) -> Bound:
    where = f"{cls.__name__}.{statement.name}"
    signature = inspect.signature(method)
    names = tuple(signature.parameters)[1:]
    hints = typing.get_type_hints(method, vars(inspect.getmodule(method)), include_extras=True)
    personal = tuple(name for name in names if is_personal(hints[name]))
    derived = {f"{name}{INDEX_SUFFIX}": name for name in personal}
    wanted = tuple(name for name in statement.parameters if name != TENANT_PARAMETER)
    known = tuple(dict.fromkeys(derived.get(name, name) for name in (*wanted, *statement.conditions)))
    for name in names:
        if name == TENANT_PARAMETER:
            raise statement.error(f"{where} can't have a parameter '{name}'", "the binding supplies it")
        if name not in known:
            unbound = [each for each in known if each not in names]
            raise statement.error(
                f"{where} has a parameter '{name}' that the statement does not use",
                f"the statement has {', '.join(f':{each}' for each in unbound)}"
                if unbound
                else "take it away, or use it",
            )
    for name in known:
        if name not in names:
            raise statement.error(f"the statement uses :{name}, which {where} does not have", suggest(name, names))
    for group in itertools.chain.from_iterable(statement.groups.values()):
        name = derived.get(group, group)
        if signature.parameters[name].default is not None:
            raise statement.error(f"{where}: '{name}' stands in an optional line, so it needs '= None'")
    model = _result(statement, where, hints.get("return"))
    if ROW_PARAMETER not in names and any(name in known and name in statement.parameters for name in personal):
        raise statement.error(f"{where} seals personal data, so it needs the parameter 'id': it is sealed for its row")
    if model is not None and model.personal and "id" not in model.model_fields:
        raise statement.error(f"{model.__name__} has personal data, so it needs the column 'id' that it is sealed for")
    arguments = Arguments(where, tuple(signature.parameters.values())[1:])
    declared: _Declared = getattr(method, _MARK)
    kind = Read if declared.cached is not None or frames.is_read(statement) else Bound
    return kind(
        statement, arguments, model, noun=cls.noun, aggregate=cls.aggregate, hints=hints, personal=personal,
        cached=declared.cached,
    )  # fmt: skip


def _result(statement: Statement, where: str, annotation: Any) -> type[Row] | None:
    """The row model in a method's return annotation; None if the statement's result kind is `value` or `count`.

    Raises StatementError if the annotation contradicts the result kind.
    """
    kind, inner = _kind_of(annotation)
    if statement.kind in ("value", "count"):
        if statement.kind == "count" and annotation is not int:
            raise statement.error(f"{where} is a :count, so it returns int")
        members = (annotation, *typing.get_args(annotation))
        has_model = any(isinstance(member, type) and issubclass(member, BaseModel) for member in members)
        if has_model or annotation in (None, types.NoneType):
            raise statement.error(f"{where} is a :{statement.kind}, so it returns a single value")
        return None
    if kind != statement.kind or not (isinstance(inner, type) and issubclass(inner, Row)):
        shape = {"one": "Model", "maybe": "Model | None", "many": "list[Model]"}[statement.kind]
        raise statement.error(
            f"{where} is a :{statement.kind}, so it returns {shape} with a Row model",
            "a :one returns Model, a :maybe returns Model | None, a :many returns list[Model]",
        )
    return inner


def _kind_of(annotation: Any) -> tuple[ResultKind, Any]:
    if typing.get_origin(annotation) is list:
        return "many", typing.get_args(annotation)[0]
    members = typing.get_args(annotation)
    if type(None) in members and len(members) == 2:
        return "maybe", next(member for member in members if member is not type(None))
    return "one", annotation
