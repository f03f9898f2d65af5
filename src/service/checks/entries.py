"""All statements of the service, each with the Python signature of the method that runs it."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service import files
from service.errors import OperatorError
from service.statements.cached import Cached
from service.statements.calls import INDEX_SUFFIX, Bound
from service.statements.repository import Repository, attached
from service.statements.rows import Row
from service.statements.statement import TENANT_PARAMETER, Statement
from service.tenancy.transaction import Transaction


@dataclass(frozen=True)
class Entry:
    """A statement with the repository method that runs it. `hints` are the method's annotations, including `return`."""

    statement: Statement
    repository: type[Repository]
    model: type[Row] | None
    hints: Mapping[str, Any]
    personal: tuple[str, ...]
    cached: Cached | None
    attached: str
    """The name of the repository's attribute on a unit of work."""

    @property
    def label(self) -> str:
        """`campaigns.page`."""
        return self.statement.label

    @property
    def role(self) -> str:
        """The database role that runs the statement."""
        return "quarry_platform" if self.statement.scope == "platform" else "quarry_app"

    def annotation(self, parameter: str) -> Any:
        """The annotation of a parameter; for a blind index, the annotation of the text from which it is computed."""
        if parameter == TENANT_PARAMETER:
            return None
        if parameter not in self.hints and parameter.endswith(INDEX_SUFFIX):
            return self.hints[parameter.removesuffix(INDEX_SUFFIX)]
        return self.hints[parameter]

    def is_given(self, parameter: str, key: int) -> bool:
        """Whether a parameter is never None in the variant with this key."""
        if parameter == TENANT_PARAMETER or not is_optional(self.annotation(parameter)):
            return True
        return any(parameter == name or parameter in self.statement.groups[name] for name in self.statement.given(key))

    def is_full(self, parameter: str) -> bool:
        """Whether a parameter is an array of which no element is None."""
        if parameter == TENANT_PARAMETER:
            return False
        members = [each for each in typing.get_args(self.annotation(parameter)) if is_array(each)]
        arrays = [self.annotation(parameter)] if is_array(self.annotation(parameter)) else members
        return bool(arrays) and not any(is_optional(typing.get_args(each)[0]) for each in arrays)


def is_array(annotation: Any) -> bool:
    """Whether an annotation is that of an array: `list[…]` or `Sequence[…]`."""
    return typing.get_origin(annotation) in (list, Sequence)


def is_optional(annotation: Any) -> bool:
    """Whether an annotation allows None."""
    return type(None) in typing.get_args(annotation) and typing.get_origin(annotation) in (
        typing.Union,
        types.UnionType,
    )


def entries(kind: type[Transaction]) -> list[Entry]:
    """Every statement of the repositories that are attached to a class of transactions, sorted by file and line.

    Raises OperatorError for a file in `sql/queries/` whose repository is not attached.
    """
    repositories = attached(kind)
    files_of = {repository.aggregate for repository in repositories.values()}
    for path in sorted(files.sql("queries").glob("*.sql")):
        if path.stem not in files_of:
            raise OperatorError(
                f"sql/queries/{path.name} belongs to no repository of {kind.__name__}",
                f"write `{path.stem} = Attached(…)` in {kind.__module__.replace('.', '/')}.py",
            )
    found = [entry for name, repository in repositories.items() for entry in entries_of(repository, name)]
    return sorted(found, key=lambda each: (each.statement.place.path, each.statement.place.line))


def entries_of(repository: type[Repository], attached: str = "") -> Iterator[Entry]:
    """The statements of one repository."""
    name = attached or repository.aggregate
    for method in vars(repository).values():
        if isinstance(method, Bound):
            yield Entry(
                method.statement, repository, method.model, method.hints, method.personal, method.cached, name
            )  # fmt: skip
